// How many bytes a stage holds, with a hysteresis for its intake.
//
// Counting never fails: what was received must be held somewhere. The intake asks paused() and stops at the
// limit until usage is back under three quarters of it. Thread-safe, except that paused() is for one thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace naru::flow {

class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t limit) : limit_(limit) {}

  void charge(std::uint64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void release(std::uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t limit() const { return limit_; }

  bool paused() {
    const std::uint64_t now = used();
    paused_ = paused_ ? now >= limit_ / 4 * 3 : now >= limit_;
    return paused_;
  }

 private:
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
  bool paused_ = false;
};

}  // namespace naru::flow
