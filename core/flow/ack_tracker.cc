#include "core/flow/ack_tracker.h"

#include <algorithm>

namespace naru::flow {

bool AckTracker::add(std::int64_t offset, UnixNanos now) {
  if (full() || (newest_.has_value() && offset <= *newest_)) {
    return false;
  }
  newest_ = offset;
  entries_.push_back({offset, now, false});
  ++unfinished_;
  return true;
}

bool AckTracker::finish(std::int64_t offset) {
  const auto at = std::ranges::lower_bound(entries_, offset, {}, &Entry::offset);
  if (at == entries_.end() || at->offset != offset || at->finished) {
    return false;
  }
  at->finished = true;
  --unfinished_;
  while (!entries_.empty() && entries_.front().finished) {
    commit_ = entries_.front().offset + 1;
    entries_.pop_front();
  }
  return true;
}

std::optional<UnixNanos> AckTracker::oldest_unfinished() const {
  return entries_.empty() ? std::nullopt : std::optional(entries_.front().added);
}

}  // namespace naru::flow
