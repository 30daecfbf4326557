// How far one partition was read in receive time, and where reading must go on after a restart.
//
// Pure. Not thread-safe. Keeps one mark per second of receive time since the last settled one, at most
// kMarksMax; beyond it marks get coarser, so that a restart reads more again, never less.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "core/base/clock.h"

namespace naru::alerting {

class PartitionClock {
 public:
  static constexpr std::size_t kMarksMax = 100'000;

  // Offsets rise. Receive times may fall back a little: they come from several collectors.
  void read(std::int64_t offset, UnixNanos received);
  // Everything that was in the partition at `now` has been read.
  void caught_up(UnixNanos now);

  // nullopt: nothing was read yet.
  std::optional<UnixNanos> caught_up_to() const { return caught_up_to_; }

  // The highest offset below which every record was received before `horizon`; nullopt: none is known.
  // Forgets what lies below it, so `horizon` must not fall.
  std::optional<std::int64_t> resume_offset(UnixNanos horizon);

 private:
  // Records below `offset` were received in the second `newest_below` or before.
  struct Mark {
    std::uint64_t newest_below;
    std::int64_t offset;
  };
  std::deque<Mark> marks_;
  UnixNanos newest_ = 0;  // highest receive time read
  std::int64_t next_offset_ = -1;
  std::optional<UnixNanos> caught_up_to_;
};

}  // namespace naru::alerting
