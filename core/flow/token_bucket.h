// A rate: at most `per_second` units on average, with bursts of one second's worth. Pure: time is a parameter
// (nanoseconds of any steady clock). Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

namespace naru::flow {

class TokenBucket {
 public:
  explicit TokenBucket(double per_second) : per_second_(per_second), tokens_(per_second) {}

  // 0: `units` were taken; else how many nanoseconds later to ask again, nothing was taken. More than one
  // second's worth passes when the bucket is full, and is paid off before the next.
  std::uint64_t take(double units, std::uint64_t now) {
    constexpr double kNanos = 1e9;
    if (at_ != 0 && now > at_) {
      tokens_ = std::min(per_second_, tokens_ + per_second_ * static_cast<double>(now - at_) / kNanos);
    }
    at_ = now;
    const double needed = std::min(units, per_second_);
    if (tokens_ >= needed) {
      tokens_ -= units;
      return 0;
    }
    return static_cast<std::uint64_t>((needed - tokens_) / per_second_ * kNanos) + 1;
  }

 private:
  double per_second_;
  double tokens_;
  std::uint64_t at_ = 0;
};

}  // namespace naru::flow
