// State of keys in a fixed piece of memory: sets of eight slots, the oldest of a full set gives way.
// Thread-safe.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/base/clock.h"
#include "core/base/hash.h"

namespace naru::prepper {

template <class State>
class KeyedSlots {
 public:
  explicit KeyedSlots(std::uint32_t keys_max) : sets_(std::bit_ceil(std::max(1U, keys_max / kWays))) {}

  // Calls f(State&, bool found) for the slot of `key` with its lock held; a slot that is new holds State{}.
  // `now` says how recently a slot was used.
  template <class F>
  auto with(const Hash128& key, UnixNanos now, F&& f) {
    std::uint64_t low = 0;
    std::memcpy(&low, key.data(), sizeof low);
    const std::size_t at = low & (sets_.size() - 1);
    const std::lock_guard lock(locks_[at % locks_.size()]);
    Set& set = sets_[at];
    Slot* slot = &set[0];
    for (Slot& one : set) {
      if (one.used != 0 && one.key == key) {
        one.used = std::max<UnixNanos>(now, 1);
        return f(one.state, true);
      }
      if (one.used < slot->used) {
        slot = &one;
      }
    }
    *slot = {key, std::max<UnixNanos>(now, 1), State{}};
    return f(slot->state, false);
  }

  // Calls f(const State&) when `key` has a slot, and leaves its age as it is.
  template <class F>
  void peek(const Hash128& key, F&& f) {
    std::uint64_t low = 0;
    std::memcpy(&low, key.data(), sizeof low);
    const std::size_t at = low & (sets_.size() - 1);
    const std::lock_guard lock(locks_[at % locks_.size()]);
    for (const Slot& one : sets_[at]) {
      if (one.used != 0 && one.key == key) {
        f(one.state);
        return;
      }
    }
  }

 private:
  static constexpr std::uint32_t kWays = 8;
  struct Slot {
    Hash128 key{};
    UnixNanos used = 0;  // 0: free
    State state{};
  };
  using Set = std::array<Slot, kWays>;
  std::vector<Set> sets_;
  std::array<std::mutex, 64> locks_;
};

}  // namespace naru::prepper
