// The bus on Apache Kafka, through librdkafka.
//
// A broker that is away is no error: every client connects later and sends then report kTimeout or
// kUnavailable. Guarantees that cannot be configured away: idempotent producer, acks=all, manual commits,
// one partitioner. Delivery callbacks run on one thread per producer.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/telemetry/metrics.h"

namespace naru::bus {

// What a consumer does when a position lies outside what the partition still holds (contracts.md 3).
enum class OutOfRange {
  kHold,              // the partition is not read on; poll() reports it; a person decides
  kContinueAtOldest,  // declared policy: the gap is counted as lost and reading goes on
};

struct KafkaBusConfig {
  std::string brokers;  // host:port, comma separated
  // Passed to librdkafka as they are (TLS, SASL, tuning); see refused_property().
  std::map<std::string, std::string> properties;
  std::string client_id = "naru";
  // Records that one producer holds until they are acknowledged; over it send() answers kOverloaded.
  std::size_t producer_bytes_max = 64u << 20;
  // After this a record that is not acknowledged is answered with kTimeout. Bounded: 1 s .. 15 min.
  std::chrono::milliseconds delivery_timeout{30'000};
  std::chrono::milliseconds request_timeout{10'000};  // administration and look-ups
  OutOfRange out_of_range = OutOfRange::kHold;
  telemetry::Registry* metrics = nullptr;  // optional; must outlive the bus and all that it makes
};

// Why a librdkafka property may not be set; empty when it may.
std::string_view refused_property(std::string_view name);
// What is wrong with one entry of KafkaBusConfig::properties: a refused or unknown name, a value that
// librdkafka does not take. Empty: nothing. Files that a value names are opened by make_kafka_bus() only.
std::string property_problem(const std::string& name, const std::string& value);

// kInvalidArgument: no brokers, a refused or unknown property, a value or file that librdkafka refuses.
Result<std::unique_ptr<Bus>> make_kafka_bus(const KafkaBusConfig& config);

}  // namespace naru::bus
