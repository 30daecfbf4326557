// Which offsets of one partition are finished, and how far a consumer may commit.
//
// Every consumed record is added once, in offset order (gaps are fine: compaction and transaction markers
// leave them), and finished once, in any order. commit_offset() never passes an unfinished record; what is
// finished above it is told by finished_runs(), so that a successor can be spared it. Pure: no I/O, no clock.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/base/clock.h"

namespace naru::flow {

// The offsets begin <= offset < end.
struct OffsetRun {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool operator==(const OffsetRun&) const = default;
};

class AckTracker {
 public:
  enum class Added {
    kNew,       // to be worked on
    kFinished,  // an earlier owner has finished it: nothing is to be done
    kRefused,   // full, or not above every offset added before
  };

  // At most `entries_max` records between the oldest unfinished one and the newest. `start`: where reading
  // is to begin; a first record below it (the log began anew) moves it back. `finished`: the runs above it
  // that an earlier owner has finished, ascending and apart.
  AckTracker(std::size_t entries_max, std::int64_t start, std::vector<OffsetRun> finished = {});

  // No room: the caller pauses the partition.
  bool full() const { return entries_.size() >= entries_max_; }
  std::size_t size() const { return entries_.size(); }

  // `timestamp_ms`: the record's own, for oldest_timestamp_ms().
  Added add(std::int64_t offset, UnixNanos now, UnixMillis timestamp_ms = 0);

  // No record below `offset` comes any more: when nothing is unfinished, a commit may stand there.
  void pass_gap(std::int64_t offset);

  // False: unknown, or finished before (a late or repeated result; nothing changes).
  bool finish(std::int64_t offset);

  // The next offset to read after a restart: nothing below it is unfinished.
  std::int64_t commit_offset() const { return commit_; }

  // The finished records above commit_offset(), ascending; offsets that were never added can lie inside.
  // While restoring(), the part that was not read again yet is not among them.
  std::vector<OffsetRun> finished_runs() const;

  // Reading has not passed the runs of the earlier owner yet. Until then a commit would forget some of them.
  bool restoring() const { return !restored_.empty(); }
  // The end of those runs. A commit that names them no more, for want of room, would have a successor do them
  // again although their counts are stored.
  std::int64_t restored_end() const { return restored_end_; }

  // When the oldest unfinished record was added.
  std::optional<UnixNanos> oldest_unfinished() const;
  std::optional<UnixMillis> oldest_timestamp_ms() const;

  // Records added and not finished.
  std::size_t unfinished() const { return unfinished_; }

 private:
  struct Entry {
    std::int64_t offset;
    UnixNanos added;
    UnixMillis timestamp_ms;
    bool finished;
  };
  void advance();

  std::size_t entries_max_;
  std::size_t unfinished_ = 0;
  std::deque<Entry> entries_;  // the front is unfinished, or the tracker is empty
  std::deque<OffsetRun> restored_;
  std::int64_t restored_end_;
  std::optional<std::int64_t> newest_;
  std::int64_t commit_;
};

}  // namespace naru::flow
