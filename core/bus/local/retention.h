// What may be deleted from a partition, and what compaction keeps. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/bus/local/local_bus.h"
#include "core/spool/segment_log.h"

namespace naru::bus::local {

struct RetentionPlan {
  std::uint64_t trim_before = 0;   // 0: nothing
  std::uint64_t lost_records = 0;  // of them not finished by every group
  bool roll = false;               // the active segment is finished and old: close it, so that it can go
};
// `finished`: what every known group has finished; nullopt: no group knows the topic.
RetentionPlan plan_retention(std::span<const spool::SegmentInfo> segments,
                             std::optional<std::uint64_t> finished, const LocalBusConfig& config,
                             UnixNanos now);

// Runs of neighbouring closed segments, each to be rewritten as one of at most about `bytes_max`. Empty while
// less than half of the closed bytes came since the last compaction.
using SegmentRun = std::pair<std::size_t, std::size_t>;  // indices of the first and the last
std::vector<SegmentRun> plan_compaction(std::span<const spool::SegmentInfo> segments,
                                        std::uint64_t bytes_max);

}  // namespace naru::bus::local
