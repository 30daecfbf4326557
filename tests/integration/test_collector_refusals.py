"""What a real Kafka refuses of what a collector sends."""

from __future__ import annotations

import random
import string
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from support import configs
from support.bus import KafkaRecord, read_topic
from support.naru import Program
from support.path_cases import post
from support.services.kafka import KafkaCluster

TOPIC_BYTES_MAX = 20_000


def test_only_the_record_that_is_over_the_topics_limit_becomes_a_dead_letter(
    tmp_path: Path, kafka: KafkaCluster
) -> None:
    """A broker refuses a whole batch for its size; the small records in it must not pay for that."""
    name = uuid.uuid4().hex
    topics = {"logs": f"logs-{name}", "dead_letters": f"letters-{name}"}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    limit = {"max.message.bytes": str(TOPIC_BYTES_MAX)}
    created = admin.create_topics(
        [NewTopic(topics["logs"], 1, 1, config=limit), NewTopic(topics["dead_letters"], 1, 1)]
    )
    for topic in created.values():
        topic.result()

    small = [f"{i} {noise(1_000)}" for i in range(200)]  # ten times the limit, in few batches
    large = noise(3 * TOPIC_BYTES_MAX)
    config = configs.collector(tmp_path, kafka.bootstrap) | {"topics": topics}
    with Program.configured("naru-collector", config, tmp_path) as collector:
        url = collector.url("otlp-http") + "/v1/logs"
        with ThreadPoolExecutor(16) as senders:
            bodies = [*small[:100], large, *small[100:]]
            list(senders.map(lambda body: post(url, request(body)), bodies))  # all of them succeed
        assert collector.metric("naru_records_accepted_total", stage="collector", signal="logs") == 201
        assert collector.metric("naru_records_delivered_total", stage="collector", signal="logs") == 200
        assert collector.metric("naru_records_deadlettered_total", stage="collector", signal="logs") == 1
        assert collector.metric("naru_kafka_producer_rebuilds_total") == 0

    assert sorted(body_of(record) for record in read_topic(kafka.bootstrap, topics["logs"])) == sorted(small)
    letters = read_topic(kafka.bootstrap, topics["dead_letters"])
    assert [body_of(letter) for letter in letters] == [large]
    assert dict(letters[0].headers)["naru.dl.type"] == b"value_too_large"


def noise(count: int) -> str:
    """Characters that do not compress much: limits are checked behind the compression."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=count))


def request(body: str) -> bytes:
    message = ExportLogsServiceRequest()
    record = message.resource_logs.add().scope_logs.add().log_records.add()
    record.body.string_value = body
    return message.SerializeToString()


def body_of(record: KafkaRecord) -> str:
    message = ExportLogsServiceRequest.FromString(record.value or b"")
    return message.resource_logs[0].scope_logs[0].log_records[0].body.string_value
