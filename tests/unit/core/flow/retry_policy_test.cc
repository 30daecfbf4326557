#include "core/flow/retry_policy.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace naru::flow {
namespace {

using std::chrono::milliseconds;

TEST(RetryPolicy, StaysBetweenTheFloorAndTheGrowingBound) {
  RetryPolicy policy({.first = milliseconds(100), .max = milliseconds(1000), .floor = milliseconds(10)}, 1);
  for (int round = 0; round < 1000; ++round) {
    std::int64_t bound = 100;
    for (std::uint32_t attempt = 1; attempt < 40; ++attempt) {
      const auto wait = policy.wait(attempt);
      ASSERT_GE(wait.count(), 10);
      ASSERT_LE(wait.count(), bound);
      bound = std::min<std::int64_t>(bound * 2, 1000);
    }
  }
}

TEST(RetryPolicy, SpreadsWaitsOverTheWholeRange) {
  RetryPolicy policy({.first = milliseconds(1000), .max = milliseconds(1000), .floor = milliseconds(0)}, 7);
  int low = 0;
  for (int i = 0; i < 1000; ++i) {
    low += policy.wait(1) < milliseconds(500) ? 1 : 0;
  }
  EXPECT_GT(low, 400);
  EXPECT_LT(low, 600);
}

TEST(RetryPolicy, RepeatsItselfWithTheSameSeed) {
  RetryPolicy a({}, 42), b({}, 42);
  for (std::uint32_t attempt = 1; attempt < 20; ++attempt) {
    EXPECT_EQ(a.wait(attempt), b.wait(attempt));
  }
}

}  // namespace
}  // namespace naru::flow
