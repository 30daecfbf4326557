// A named rate: at most so many permits in any one second. Pure: time is a parameter. Not thread-safe.
//
// Exact for any second, not only on average: what was granted is remembered in slices of 10 ms, and a grant
// is possible only while the slices of the last second hold less than the rate.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "core/base/clock.h"

namespace naru::alerting {

class Limiter {
 public:
  static constexpr std::uint64_t kSlice = kNanosPerSecond / 100;
  static constexpr std::size_t kSlices = 101;  // the last second, and the slice that is being filled

  // `full_at`: another limiter of this name may have granted everything just before.
  explicit Limiter(double per_second, std::uint64_t full_at = 0) : per_second_(per_second) {
    if (full_at != 0) {
      slice_ = full_at / kSlice;
      granted_[slice_ % kSlices] = static_cast<std::uint64_t>(per_second);
      total_ = granted_[slice_ % kSlices];
    }
  }

  void set_rate(double per_second) { per_second_ = per_second; }
  double rate() const { return per_second_; }

  // Grants as many of `wanted` as fit now; 0: none. A rate below one a second grants one when 1/rate seconds
  // have passed since the last.
  std::uint64_t take(std::uint64_t wanted, std::uint64_t now) {
    advance(now);
    if (per_second_ <= 0 || wanted == 0) {
      return 0;
    }
    std::uint64_t room = 0;
    if (per_second_ < 1) {
      const double apart = static_cast<double>(kNanosPerSecond) / per_second_;
      room = last_ == 0 || static_cast<double>(now - last_) >= apart ? 1 : 0;
    } else {
      const auto most = static_cast<std::uint64_t>(per_second_);
      room = most > total_ ? most - total_ : 0;
    }
    const std::uint64_t granted = wanted < room ? wanted : room;
    if (granted > 0) {
      granted_[slice_ % kSlices] += granted;
      total_ += granted;
      last_ = now;
    }
    return granted;
  }

 private:
  void advance(std::uint64_t now) {
    const std::uint64_t slice = now / kSlice;
    if (slice <= slice_) {
      return;
    }
    const std::uint64_t steps = slice - slice_ < kSlices ? slice - slice_ : kSlices;
    for (std::uint64_t i = 1; i <= steps; ++i) {
      std::uint64_t& old = granted_[(slice_ + i) % kSlices];
      total_ -= old;
      old = 0;
    }
    slice_ = slice;
  }

  double per_second_;
  std::array<std::uint64_t, kSlices> granted_{};
  std::uint64_t total_ = 0;
  std::uint64_t slice_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace naru::alerting
