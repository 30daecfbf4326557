// Where dead letters are read from: the topic of a Kafka cluster, or the embedded bus below a data directory.
//
// Both read what is there when they begin, each partition from `from` on, and end there; nothing is committed
// and nothing is locked, so reading is safe beside running programs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "naru/deadletter/letter.h"

namespace naru::deadletter {

struct ReadOptions {
  std::string topic = "naru.deadletter";
  std::map<std::int32_t, std::int64_t> from;  // first offset, by partition; else the oldest
  // Only this partition and offset.
  std::optional<bus::RecordPosition> only;
  std::function<bool()> stopped;  // a person wants to end
};

enum class Visit : bool { kStop, kGoOn };
using Visitor = std::function<Result<Visit>(Letter&)>;

// kNotFound: no such topic. kUnavailable, kTimeout: Kafka is away or does not deliver.
Result<void> read_kafka(bus::Bus& bus, const ReadOptions& options, const Visitor& visitor);

// `data`: the directory of a `naru up`, running or not. kInvalidArgument: there is no bus in it. A topic that
// nobody wrote to yet holds nothing.
Result<void> read_embedded(const std::string& data, const ReadOptions& options, const Visitor& visitor);

std::string bus_directory(const std::string& data);

}  // namespace naru::deadletter
