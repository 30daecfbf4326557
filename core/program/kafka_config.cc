#include "core/program/kafka_config.h"

#include <chrono>

namespace naru::bus {

void describe(config::Schema<KafkaBusConfig>& schema) {
  using namespace std::chrono_literals;
  schema.field("brokers", &KafkaBusConfig::brokers, "Kafka brokers, host:port, comma separated.").required();
  schema.field(
      "properties", &KafkaBusConfig::properties,
      "librdkafka properties as they are, such as security.protocol, ssl.ca.location, sasl.password.");
  schema.field("client_id", &KafkaBusConfig::client_id,
               "Name of this client in the broker's logs and quotas.");
  schema
      .bytes("producer_bytes_max", &KafkaBusConfig::producer_bytes_max,
             "Records that a producer holds until Kafka acknowledged them.")
      .min(1u << 20);
  schema
      .field("delivery_timeout", &KafkaBusConfig::delivery_timeout,
             "After this an unacknowledged record counts as refused and its sender is asked to send again.")
      .min(1s)
      .max(15min);
  schema.field("request_timeout", &KafkaBusConfig::request_timeout, "Limit of administration and look-ups.")
      .min(100ms);
  schema.choice(
      "out_of_range", &KafkaBusConfig::out_of_range,
      "When Kafka deleted records that were not read: hold the partition and alarm, or count the gap as lost "
      "and go on at the oldest record.",
      {{"hold", OutOfRange::kHold}, {"continue_at_oldest", OutOfRange::kContinueAtOldest}});
}

void validate(const KafkaBusConfig& config, config::Errors& errors) {
  for (const auto& [name, value] : config.properties) {
    if (const std::string problem = property_problem(name, value); !problem.empty()) {
      errors.add("properties." + name, problem);
    }
  }
}

}  // namespace naru::bus
