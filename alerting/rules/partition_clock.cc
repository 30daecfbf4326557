#include "alerting/rules/partition_clock.h"

#include <algorithm>

namespace naru::alerting {

void PartitionClock::read(std::int64_t offset, UnixNanos received) {
  const std::uint64_t newest_second = newest_ / kNanosPerSecond;
  if (marks_.empty() || (received / kNanosPerSecond > newest_second && marks_.size() < kMarksMax)) {
    marks_.push_back({newest_second, offset});
  }
  newest_ = std::max(newest_, received);
  next_offset_ = offset + 1;
  caught_up_to_ = std::max(caught_up_to_.value_or(0), received);
}

void PartitionClock::caught_up(UnixNanos now) {
  caught_up_to_ = std::max(caught_up_to_.value_or(0), now);
}

std::optional<std::int64_t> PartitionClock::resume_offset(UnixNanos horizon) {
  if (next_offset_ >= 0 && newest_ < horizon) {
    marks_.clear();
    return next_offset_;
  }
  const std::uint64_t second = horizon / kNanosPerSecond;
  while (marks_.size() > 1 && marks_[1].newest_below < second) {
    marks_.pop_front();
  }
  if (marks_.empty()) {
    return std::nullopt;
  }
  return marks_.front().offset;
}

}  // namespace naru::alerting
