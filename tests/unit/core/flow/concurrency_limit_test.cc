#include "core/flow/concurrency_limit.h"

#include <gtest/gtest.h>

namespace naru::flow {
namespace {

TEST(ConcurrencyLimit, HalvesOnOverloadDownToOneAndGrowsBackSlowly) {
  ConcurrencyLimit limit(8);
  limit.overloaded();
  EXPECT_EQ(limit.limit(), 4u);
  limit.overloaded();
  limit.overloaded();
  limit.overloaded();
  EXPECT_EQ(limit.limit(), 1u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(limit.limit(), 1u);
    limit.success();
  }
  EXPECT_EQ(limit.limit(), 2u);
  for (int i = 0; i < 1000; ++i) {
    limit.success();
  }
  EXPECT_EQ(limit.limit(), 8u);
}

}  // namespace
}  // namespace naru::flow
