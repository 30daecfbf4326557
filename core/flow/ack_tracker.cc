#include "core/flow/ack_tracker.h"

#include <algorithm>

namespace naru::flow {

AckTracker::AckTracker(std::size_t entries_max, std::int64_t start, std::vector<OffsetRun> finished)
    : entries_max_(entries_max),
      restored_(finished.begin(), finished.end()),
      restored_end_(finished.empty() ? start : finished.back().end),
      commit_(start) {}

AckTracker::Added AckTracker::add(std::int64_t offset, UnixNanos now, UnixMillis timestamp_ms) {
  if (full() || (newest_.has_value() && offset <= *newest_)) {
    return Added::kRefused;
  }
  if (!newest_.has_value()) {
    commit_ = std::min(commit_, offset);
  }
  newest_ = offset;
  while (!restored_.empty() && restored_.front().end <= offset) {
    restored_.pop_front();
  }
  const bool finished = !restored_.empty() && restored_.front().begin <= offset;
  if (finished && restored_.front().end == offset + 1) {
    restored_.pop_front();
  }
  entries_.push_back({offset, now, timestamp_ms, finished});
  if (!finished) {
    ++unfinished_;
    return Added::kNew;
  }
  advance();
  return Added::kFinished;
}

bool AckTracker::finish(std::int64_t offset) {
  const auto at = std::ranges::lower_bound(entries_, offset, {}, &Entry::offset);
  if (at == entries_.end() || at->offset != offset || at->finished) {
    return false;
  }
  at->finished = true;
  --unfinished_;
  advance();
  return true;
}

void AckTracker::pass_gap(std::int64_t offset) {
  if (entries_.empty()) {
    commit_ = std::max(commit_, offset);
  }
}

void AckTracker::advance() {
  while (!entries_.empty() && entries_.front().finished) {
    commit_ = entries_.front().offset + 1;
    entries_.pop_front();
  }
}

std::vector<OffsetRun> AckTracker::finished_runs() const {
  std::vector<OffsetRun> out;
  bool open = false;
  for (const Entry& entry : entries_) {
    if (entry.finished) {
      if (!open) {
        out.push_back({entry.offset, entry.offset});
      }
      out.back().end = entry.offset + 1;
    }
    open = entry.finished;
  }
  return out;
}

std::optional<UnixNanos> AckTracker::oldest_unfinished() const {
  return entries_.empty() ? std::nullopt : std::optional(entries_.front().added);
}

std::optional<UnixMillis> AckTracker::oldest_timestamp_ms() const {
  return entries_.empty() ? std::nullopt : std::optional(entries_.front().timestamp_ms);
}

}  // namespace naru::flow
