// What the counters tell the deciders: the value of a record of naru.rule-counts
// (docs/formats/rule-counts.md).
//
// One record says everything about one range of one partition of the input, or a part of it. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::rules {

// What was counted in one second of event time.
struct SecondCount {
  std::int64_t second = 0;     // since 1970
  std::uint64_t certain = 0;   // records
  std::uint64_t possible = 0;  // records that another cluster may have taken too (naru.resent)
  std::uint64_t share = 0;     // ratio: of `certain`, those for which `of` holds
  // percentile, max: bucket -> records; distinct: register -> rank (sketch.h).
  std::vector<std::pair<std::int32_t, std::uint32_t>> sketch;
};

struct GroupCount {
  std::vector<std::string> labels;  // values of `by`, in the order of the label names
  std::vector<SecondCount> seconds;
};

struct RuleCount {
  std::uint64_t rule = 0;  // fingerprint
  std::vector<GroupCount> groups;
};

// Where the counts come from: the record's key.
struct Feed {
  std::string cluster_id;
  std::string topic;
  std::int32_t partition = 0;
  auto operator<=>(const Feed&) const = default;
};
std::string format_feed(const Feed& feed);  // "cluster/topic/partition"
Result<Feed> parse_feed(std::string_view key);

struct Counts {
  std::int64_t from = 0, to = 0;  // offsets [from, to) of the input; equal: nothing new
  UnixNanos caught_up_to = 0;     // everything that the partition had received until then is counted
  bool last = true;               // further records of the same range follow when false
  std::vector<RuleCount> rules;
};

inline constexpr std::size_t kCountsBytesMax = 900'000;
// Of the topic: the longest window, `for` and what a restart may take. Whoever comes first makes it.
inline constexpr std::chrono::milliseconds kCountsRetention = std::chrono::hours(6);
inline constexpr std::int32_t kCountsPartitions = 4;

// One value, or several when they would be larger than `bytes_max`.
std::vector<std::string> encode(const Counts& counts, std::size_t bytes_max = kCountsBytesMax);
// kCorrupt: not these bytes. kUnsupported: of a newer version.
Result<Counts> parse_counts(std::string_view value);

}  // namespace naru::rules
