#include "core/flow/circuit_breaker.h"

#include <algorithm>

namespace naru::flow {

bool CircuitBreaker::allow(std::uint64_t now) {
  switch (state_) {
    case State::kClosed: return true;
    case State::kHalfOpen: return false;  // the probe is on its way
    case State::kOpen:
      if (now < retry_at_) {
        return false;
      }
      state_ = State::kHalfOpen;
      return true;
  }
  return false;
}

void CircuitBreaker::success() {
  state_ = State::kClosed;
  failures_ = 0;
  open_for_ = config_.open_first;
}

void CircuitBreaker::failure(std::uint64_t now) {
  ++failures_;
  if (state_ == State::kOpen) {
    return;  // a call from before it opened
  }
  if (state_ == State::kHalfOpen) {
    open_for_ = std::min(open_for_ * 2, config_.open_max);
  } else if (failures_ < config_.failures_max) {
    return;
  }
  state_ = State::kOpen;
  retry_at_ = now + static_cast<std::uint64_t>(std::chrono::nanoseconds(open_for_).count());
}

}  // namespace naru::flow
