#include "core/flow/byte_budget.h"

#include <gtest/gtest.h>

namespace naru::flow {
namespace {

TEST(ByteBudget, PausesAtTheLimitAndResumesUnderThreeQuarters) {
  ByteBudget budget(1000);
  budget.charge(999);
  EXPECT_FALSE(budget.paused());
  budget.charge(1);
  EXPECT_TRUE(budget.paused());
  budget.release(200);
  EXPECT_TRUE(budget.paused());
  budget.release(51);
  EXPECT_FALSE(budget.paused());
  EXPECT_EQ(budget.used(), 749u);
}

}  // namespace
}  // namespace naru::flow
