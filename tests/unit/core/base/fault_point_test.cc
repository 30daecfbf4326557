#include "core/base/fault_point.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace naru {
namespace {

TEST(FaultPoint, FiresAsOftenAsTheEnvironmentSaysAndOnlyByName) {
  ASSERT_EQ(::setenv("NARU_FAULT", "writer.drop_record,agent.drop_record:2", 1), 0);
  EXPECT_FALSE(fault_point("collector.drop_record"));
  EXPECT_TRUE(fault_point("agent.drop_record"));
  EXPECT_TRUE(fault_point("agent.drop_record"));
  EXPECT_FALSE(fault_point("agent.drop_record"));
  EXPECT_TRUE(fault_point("writer.drop_record"));
  EXPECT_FALSE(fault_point("writer.drop_record"));
}

}  // namespace
}  // namespace naru
