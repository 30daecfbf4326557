// Which offsets of one partition are finished, and how far a consumer may commit.
//
// Every consumed record is added once, in offset order (gaps are fine: compaction and transaction markers
// leave them), and finished once, in any order. commit_offset() never passes an unfinished record. Pure: no
// I/O, no clock. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "core/base/clock.h"

namespace naru::flow {

class AckTracker {
 public:
  // At most `entries_max` records between the oldest unfinished one and the newest.
  explicit AckTracker(std::size_t entries_max) : entries_max_(entries_max) {}

  // No room: the caller pauses the partition.
  bool full() const { return entries_.size() >= entries_max_; }
  std::size_t size() const { return entries_.size(); }

  // `offset` must be above every offset added before. False when full, or when it is not above.
  bool add(std::int64_t offset, UnixNanos now);

  // False: unknown, or finished before (a late or repeated result; nothing changes).
  bool finish(std::int64_t offset);

  // The next offset to read after a restart: one past the highest finished record below which nothing is
  // unfinished. nullopt: nothing was finished since the tracker was made.
  std::optional<std::int64_t> commit_offset() const { return commit_; }

  // When the oldest unfinished record was added.
  std::optional<UnixNanos> oldest_unfinished() const;

  // Records added and not finished.
  std::size_t unfinished() const { return unfinished_; }

 private:
  struct Entry {
    std::int64_t offset;
    UnixNanos added;
    bool finished;
  };
  std::size_t entries_max_;
  std::size_t unfinished_ = 0;
  std::deque<Entry> entries_;  // the front is unfinished, or the tracker is empty
  std::optional<std::int64_t> newest_;
  std::optional<std::int64_t> commit_;
};

}  // namespace naru::flow
