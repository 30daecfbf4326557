// What becomes of an export request between its receipt and its first durable write (contracts.md 1 and 3).
// Pure: bytes in, bytes out.
//
// Two steps, so that a spill can stand between them: identify() makes every log record identifiable, whatever
// happens later; regroup() cuts the request into Kafka values. The common request (one resource, from an
// agent, small enough) passes both without a copy.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/hash.h"
#include "core/base/result.h"
#include "core/otlp/otlp.h"

namespace naru::otlp {

struct IdentifyOptions {
  Signal signal = Signal::kLogs;
  // The peer is an agent: its naru.* attributes are kept. All others could forge identities.
  bool trusted = false;
  // Random, drawn for this request: the source of the log records that have none.
  std::array<unsigned char, 16> source{};
};

struct Identified {
  std::string request;
  std::uint64_t records = 0;   // log records, spans, metric points
  std::uint64_t stamped = 0;   // log records that got `source`
  std::uint64_t stripped = 0;  // naru.* attributes of peers that may not send them
};

// kInvalidArgument: malformed. Of metrics, attributes of points are left alone: no identity comes from them.
Result<Identified> identify(const IdentifyOptions& options, std::string request);

struct RegroupOptions {
  Signal signal = Signal::kLogs;
  std::int32_t partitions = 1;            // of the topic; at least 1
  std::size_t value_bytes_max = 900'000;  // contracts.md 3
  // A record that is alone over the limit is shortened; false: it goes as it is, in a value of its own.
  bool shorten = true;
  bool want_keys = false;  // fill Regrouped::keys
};

// One Kafka record.
struct PartitionValue {
  std::int32_t partition = 0;
  std::string key;  // logs, metrics: hash of the (first) resource's attributes, 16 bytes; spans: empty
  std::string value;
  std::uint64_t records = 0;
};

struct Regrouped {
  std::vector<PartitionValue> values;  // of one partition in the order of the request
  std::uint64_t cut_records = 0;       // shortened to fit, marked naru.truncated_bytes
  std::uint64_t cut_bytes = 0;
  std::vector<Hash128> keys;  // of all resources, if asked for; spans have none
};

// Set on a record that was over the size of a value: how many bytes it lost.
inline constexpr std::string_view kTruncatedKey = "naru.truncated_bytes";

// Logs and metrics stay together by the hash of their resource attributes, spans by their trace id. Groups
// over the limit are cut into about equal parts, with naru.base moved on. A single log record over it loses
// the end of its body (then its largest attributes), a span its largest events, links and attributes.
// `records`: as identify() counted. kInvalidArgument: malformed. kTooLarge: a resource, a scope or a metric
// point alone is over the limit.
Result<Regrouped> regroup(const RegroupOptions& options, std::string request, std::uint64_t records);

// FNV-1a as Sarama and librdkafka's fnv1a partitioner take it, so that any producer with that partitioner
// and the same keys agrees.
std::int32_t partition_of_key(std::string_view key, std::int32_t partitions);
std::int32_t partition_of_trace(std::string_view trace_id, std::int32_t partitions);

}  // namespace naru::otlp
