// How long to wait before the next attempt: exponential with full jitter.
//
// Full jitter (a uniform draw between the floor and the exponential bound) spreads clients that failed
// together. Pure and seeded: the same seed gives the same waits. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace naru::flow {

struct RetryConfig {
  std::chrono::milliseconds first{100};  // bound of the first wait
  std::chrono::milliseconds max{30'000};
  std::chrono::milliseconds floor{10};  // no wait is shorter
};

class RetryPolicy {
 public:
  RetryPolicy(RetryConfig config, std::uint64_t seed) : config_(config), random_(seed) {}

  // The wait after the `attempt`-th failure in a row (1 is the first).
  std::chrono::milliseconds wait(std::uint32_t attempt);

 private:
  RetryConfig config_;
  std::mt19937_64 random_;
};

}  // namespace naru::flow
