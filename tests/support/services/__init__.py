"""Real Kafka brokers and real OpenSearch nodes on 127.0.0.1, as child processes."""
