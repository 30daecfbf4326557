// How many requests a client keeps in flight towards a peer that says "too many": additive increase,
// multiplicative decrease, between 1 and a maximum. Pure. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

namespace naru::flow {

class ConcurrencyLimit {
 public:
  explicit ConcurrencyLimit(std::uint32_t max) : max_(std::max(max, 1U)), limit_(max_) {}

  std::uint32_t limit() const { return limit_; }
  // The peer refused for load: half as many from now on.
  void overloaded() {
    limit_ = std::max(limit_ / 2, 1U);
    successes_ = 0;
  }
  // One more after as many successes in a row as the limit is wide.
  void success() {
    if (limit_ < max_ && ++successes_ >= limit_ * kSuccessesPerSlot) {
      ++limit_;
      successes_ = 0;
    }
  }

 private:
  static constexpr std::uint32_t kSuccessesPerSlot = 4;
  std::uint32_t max_;
  std::uint32_t limit_;
  std::uint32_t successes_ = 0;
};

}  // namespace naru::flow
