#include "core/bus/local/retention.h"

#include <algorithm>
#include <limits>

namespace naru::bus::local {

RetentionPlan plan_retention(std::span<const spool::SegmentInfo> segments,
                             std::optional<std::uint64_t> finished, const LocalBusConfig& config,
                             UnixNanos now) {
  RetentionPlan plan;
  const std::uint64_t finished_end = finished.value_or(std::numeric_limits<std::uint64_t>::max());
  const auto age_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(config.retention_age).count());
  const auto old = [&](UnixNanos newest) { return now > newest && now - newest > age_ns; };
  std::uint64_t bytes = 0;
  for (const auto& segment : segments) {
    bytes += segment.bytes;
  }
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
    const auto& segment = segments[i];
    // Its newest record came before the next segment was begun.
    const bool wanted = old(segments[i + 1].created) || bytes > config.retention_bytes;
    const bool is_finished = segment.end_offset <= finished_end;
    const bool over_limit = config.drop_unfinished_at_limit && config.partition_bytes_max != 0 &&
                            bytes > config.partition_bytes_max;
    if (!over_limit && !(wanted && is_finished)) {
      break;
    }
    if (!is_finished) {
      plan.lost_records += segment.end_offset - std::max(segment.first_offset, finished_end);
    }
    plan.trim_before = segment.end_offset;
    bytes -= segment.bytes;
  }
  if (!segments.empty()) {
    const auto& active = segments.back();
    plan.roll =
        active.end_offset > active.first_offset && active.end_offset <= finished_end && old(active.created);
  }
  return plan;
}

std::vector<SegmentRun> plan_compaction(std::span<const spool::SegmentInfo> segments,
                                        std::uint64_t bytes_max) {
  std::uint64_t clean = 0;
  std::uint64_t dirty = 0;
  for (const auto& segment : segments) {
    if (!segment.active) {
      (segment.sparse ? clean : dirty) += segment.bytes;
    }
  }
  std::vector<SegmentRun> runs;
  if (dirty == 0 || dirty < clean) {
    return runs;
  }
  std::uint64_t run_bytes = 0;
  for (std::size_t i = 0; i < segments.size() && !segments[i].active; ++i) {
    if (runs.empty() || run_bytes + segments[i].bytes > bytes_max) {
      runs.emplace_back(i, i);
      run_bytes = 0;
    }
    runs.back().second = i;
    run_bytes += segments[i].bytes;
  }
  return runs;
}

}  // namespace naru::bus::local
