// Stops calling a peer that keeps failing, and lets one call through from time to time to see.
//
// Closed: all calls pass. After `failures_max` failures in a row it opens: no call passes until the wait is
// over, then exactly one (half open); its success closes the breaker, its failure opens it for twice as long,
// up to `open_max`. Pure: time is a parameter. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>

namespace naru::flow {

struct BreakerConfig {
  std::uint32_t failures_max = 5;
  std::chrono::milliseconds open_first{1'000};
  std::chrono::milliseconds open_max{30'000};
};

class CircuitBreaker {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };
  explicit CircuitBreaker(BreakerConfig config) : config_(config), open_for_(config.open_first) {}

  // Whether a call may start now (nanoseconds of any steady clock). A caller that was let through must
  // report success() or failure().
  bool allow(std::uint64_t now);
  void success();
  void failure(std::uint64_t now);
  State state() const { return state_; }
  // When the next call may pass; only meaningful while open.
  std::uint64_t retry_at() const { return retry_at_; }

 private:
  BreakerConfig config_;
  State state_ = State::kClosed;
  std::uint32_t failures_ = 0;
  std::chrono::milliseconds open_for_;
  std::uint64_t retry_at_ = 0;
};

}  // namespace naru::flow
