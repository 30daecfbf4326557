#include "core/flow/adaptive_limit.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace naru::flow {
namespace {

TEST(AdaptiveLimit, HalvesOnOverloadDownToOneAndGrowsBackSlowly) {
  AdaptiveLimit limit(8);
  EXPECT_EQ(limit.limit(), 8u);
  for (const std::uint32_t left : {4u, 2u, 1u, 1u}) {
    limit.overloaded();
    EXPECT_EQ(limit.limit(), left);
  }
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(limit.limit(), 1u);
    limit.success(1);
  }
  EXPECT_EQ(limit.limit(), 2u);
  for (int i = 0; i < 1000; ++i) {
    limit.success(1);
  }
  EXPECT_EQ(limit.limit(), 8u);
}

// A peer with four workers: beyond four requests in flight, each one more waits.
TEST(AdaptiveLimit, StaysAboutWhereThePeerBeginsToQueue) {
  AdaptiveLimit limit(64);
  double usual_phase = 0;
  for (int i = 0; i < 200; ++i) {
    limit.overloaded();
  }
  for (int i = 0; i < 20'000; ++i) {
    const double in_flight = limit.limit();
    limit.success(std::max(1.0, in_flight / 4));
    usual_phase = std::max(usual_phase, i > 2'000 ? in_flight : 0);
  }
  EXPECT_GE(usual_phase, 4);
}

TEST(AdaptiveLimit, ShrinksWhenThePeerSlowsDownAndTakesItsNewPaceAsUsual) {
  AdaptiveLimit limit(32);
  for (int i = 0; i < 2'000; ++i) {
    limit.success(0.1);
  }
  EXPECT_EQ(limit.limit(), 32u);
  for (int i = 0; i < 400; ++i) {
    limit.success(1.0);
  }
  EXPECT_LT(limit.limit(), 30u);
  for (int i = 0; i < 8'000; ++i) {
    limit.success(1.0);
  }
  EXPECT_EQ(limit.limit(), 32u);
}

}  // namespace
}  // namespace naru::flow
