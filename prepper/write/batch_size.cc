#include "prepper/write/batch_size.h"

#include <algorithm>

namespace naru::prepper {
namespace {

constexpr std::size_t kSteps = 10;
constexpr double kFull = 0.8;     // of the size: it was full
constexpr double kBetter = 1.02;  // less is noise
constexpr std::size_t kLeastAfterRefusals = 64 << 10;

}  // namespace

BatchSize::BatchSize(std::size_t min, std::size_t max)
    : min_(min),
      max_(std::max(min, max)),
      step_(std::max<std::size_t>((max_ - min_) / kSteps, 1)),
      now_(std::make_shared<std::atomic<std::size_t>>(min)) {}

void BatchSize::set(std::size_t bytes) {
  now_->store(bytes, std::memory_order_relaxed);
  bytes_ = seconds_ = 0;
  samples_ = 0;
}

void BatchSize::answered(std::size_t bytes, double seconds) {
  const std::size_t size = now_->load(std::memory_order_relaxed);
  if (static_cast<double>(bytes) < kFull * static_cast<double>(size)) {
    return;
  }
  bytes_ += static_cast<double>(bytes);
  seconds_ += seconds;
  if (++samples_ < kSamples) {
    return;
  }
  if (size < min_) {
    set(std::min(size * 2, min_));  // back to the bounds after refusals
    return;
  }
  const double rate = bytes_ / std::max(seconds_, 1e-9);
  if (rate_before_ > 0 && rate < rate_before_ * kBetter) {
    up_ = !up_;
  }
  rate_before_ = rate;
  up_ = size <= min_ || (up_ && size < max_);
  set(up_ ? std::min(size + step_, max_) : std::max(size - std::min(step_, size - min_), min_));
}

void BatchSize::refused() {
  const std::size_t size = now_->load(std::memory_order_relaxed);
  rate_before_ = 0;
  set(std::max(size / 2, std::min(kLeastAfterRefusals, min_)));
}

}  // namespace naru::prepper
