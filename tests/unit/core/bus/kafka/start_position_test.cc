#include "core/bus/kafka/start_position.h"

#include <gtest/gtest.h>

namespace naru::bus::kafka {
namespace {

TEST(StartPosition, KeepsAPositionInsideTheLog) {
  for (const std::int64_t wanted : {10, 15, 20}) {
    const StartPosition start = decide_start(wanted, 10, 20, OutOfRange::kContinueAtOldest);
    EXPECT_EQ(start.offset, wanted);
    EXPECT_FALSE(start.out_of_range);
    EXPECT_EQ(start.lost, 0);
  }
}

TEST(StartPosition, CountsTheGapAndContinuesOnlyWhenDeclared) {
  const StartPosition held = decide_start(4, 10, 20, OutOfRange::kHold);
  EXPECT_TRUE(held.out_of_range);
  EXPECT_EQ(held.offset, 4);
  EXPECT_EQ(held.lost, 6);
  const StartPosition goes_on = decide_start(4, 10, 20, OutOfRange::kContinueAtOldest);
  EXPECT_EQ(goes_on.offset, 10);
  EXPECT_EQ(goes_on.lost, 6);
}

TEST(StartPosition, ReadsATopicThatWasMadeAgainFromItsBeginning) {
  const StartPosition start = decide_start(100, 0, 20, OutOfRange::kContinueAtOldest);
  EXPECT_TRUE(start.out_of_range);
  EXPECT_EQ(start.offset, 0);
  EXPECT_EQ(start.lost, 0);
}

}  // namespace
}  // namespace naru::bus::kafka
