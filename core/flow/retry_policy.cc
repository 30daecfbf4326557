#include "core/flow/retry_policy.h"

#include <algorithm>

namespace naru::flow {

std::chrono::milliseconds RetryPolicy::wait(std::uint32_t attempt) {
  const std::uint32_t doublings = std::min(attempt > 0 ? attempt - 1 : 0, 20U);
  const std::int64_t bound = std::min<std::int64_t>(config_.first.count() << doublings, config_.max.count());
  const std::int64_t floor = std::min(config_.floor.count(), bound);
  return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(floor, bound)(random_));
}

}  // namespace naru::flow
