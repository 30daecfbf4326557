// How long bulk requests are: between two bounds, where the cluster takes the most bytes a second. Pure but
// for the value, which encoders read from any thread; the rest is for one thread.
//
// Climbs: one step in the direction that was better last time. A request that is refused for its size or for
// load halves it. Requests that were sent before they were full say nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace naru::prepper {

class BatchSize {
 public:
  BatchSize(std::size_t min, std::size_t max);

  const std::shared_ptr<const std::atomic<std::size_t>> now() const { return now_; }
  void answered(std::size_t bytes, double seconds);
  void refused();

 private:
  static constexpr std::uint32_t kSamples = 16;
  void set(std::size_t bytes);

  const std::size_t min_, max_, step_;
  std::shared_ptr<std::atomic<std::size_t>> now_;
  double bytes_ = 0, seconds_ = 0;  // of the requests at this size
  std::uint32_t samples_ = 0;
  double rate_before_ = 0;
  bool up_ = true;
};

}  // namespace naru::prepper
