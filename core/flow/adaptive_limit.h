// How many requests a client keeps in flight towards one peer: grows while answers come as fast as usual,
// shrinks when they slow down, and halves when the peer says "too many". Between 1 and a maximum. Pure. Not
// thread-safe.
//
// "As usual" is a slow average of the cost of an answer (its time, or its time per byte), "now" a fast one:
// queueing at the peer shows in their ratio before the peer refuses anything. A peer that is slower for good
// becomes usual.
#pragma once

#include <algorithm>
#include <cstdint>

namespace naru::flow {

class AdaptiveLimit {
 public:
  explicit AdaptiveLimit(std::uint32_t max) : max_(std::max(max, 1U)), limit_(max_) {}

  std::uint32_t limit() const { return limit_; }
  // An answer in order, at a cost above 0.
  void success(double cost) {
    usual_ = usual_ == 0 ? cost : usual_ + (cost - usual_) / kUsualSamples;
    now_ = now_ == 0 ? cost : now_ + (cost - now_) / kNowSamples;
    ++answers_;
    if (now_ > usual_ * kSlow && answers_ >= limit_) {
      limit_ = std::max(limit_ - (limit_ + kShrinkPart - 1) / kShrinkPart, 1U);
      answers_ = 0;
    } else if (answers_ >= limit_ * kAnswersToGrow) {
      limit_ = std::min(limit_ + 1, max_);
      answers_ = 0;
    }
  }
  // The peer refused for load.
  void overloaded() {
    limit_ = std::max(limit_ / 2, 1U);
    answers_ = 0;
  }

 private:
  static constexpr double kUsualSamples = 200, kNowSamples = 8;
  static constexpr double kSlow = 2.0;
  static constexpr std::uint32_t kAnswersToGrow = 4;  // per slot, so that a step shows before the next one
  static constexpr std::uint32_t kShrinkPart = 8;
  std::uint32_t max_;
  std::uint32_t limit_;
  std::uint32_t answers_ = 0;
  double usual_ = 0, now_ = 0;
};

}  // namespace naru::flow
