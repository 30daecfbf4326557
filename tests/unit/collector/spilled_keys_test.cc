#include "collector/buffer/spilled_keys.h"

#include <gtest/gtest.h>

namespace naru::collector {
namespace {

using Keys = std::vector<RoutingKey>;

TEST(SpilledKeys, AKeyIsSpilledUntilItsLastEntryHasLeft) {
  SpilledKeys keys(100, 0, 0);
  EXPECT_FALSE(keys.any_spilled(Keys{1}));
  const auto a = keys.add(Keys{1, 2});
  const auto b = keys.add(Keys{1});
  EXPECT_TRUE(keys.any_spilled(Keys{1}));  // also before it is on the disk
  EXPECT_TRUE(keys.any_spilled(Keys{3, 2}));
  EXPECT_FALSE(keys.any_spilled(Keys{3}));
  EXPECT_FALSE(keys.any_spilled({}));
  keys.stored(a, 0);
  keys.stored(b, 1);
  keys.left(0, Keys{1, 2});
  keys.move_to(1);
  EXPECT_TRUE(keys.any_spilled(Keys{1}));
  EXPECT_FALSE(keys.any_spilled(Keys{2}));
  keys.left(1, Keys{1});
  EXPECT_FALSE(keys.any_spilled(Keys{1}));
  EXPECT_EQ(keys.size(), 0U);
}

TEST(SpilledKeys, AnEntryThatDidNotReachTheDiskHoldsNothing) {
  SpilledKeys keys(100, 0, 0);
  keys.failed(keys.add(Keys{1}), Keys{1});
  EXPECT_FALSE(keys.any_spilled(Keys{1}));
}

TEST(SpilledKeys, EveryKeyWaitsForEntriesOfAnEarlierProcess) {
  SpilledKeys keys(100, 5, 8);
  EXPECT_TRUE(keys.any_spilled(Keys{1}));
  EXPECT_FALSE(keys.any_spilled({})) << "spans have no order to keep";
  keys.stored(keys.add(Keys{2}), 8);
  keys.left(5, Keys{2});  // not counted: must not take away what entry 8 counts
  keys.move_to(7);
  EXPECT_TRUE(keys.any_spilled(Keys{1}));
  keys.move_to(8);
  EXPECT_FALSE(keys.any_spilled(Keys{1}));
  EXPECT_TRUE(keys.any_spilled(Keys{2}));
}

TEST(SpilledKeys, OverItsBoundEveryKeyWaitsUntilThoseEntriesHaveLeft) {
  SpilledKeys keys(2, 0, 0);
  keys.stored(keys.add(Keys{1}), 0);
  const auto pending = keys.add(Keys{2});
  const auto over = keys.add(Keys{3});
  EXPECT_LE(keys.size(), 2U);
  EXPECT_TRUE(keys.any_spilled(Keys{9}));
  keys.stored(pending, 1);
  keys.stored(over, 2);
  keys.left(0, Keys{1});
  keys.move_to(1);
  EXPECT_TRUE(keys.any_spilled(Keys{9}));
  keys.left(1, Keys{2});
  keys.move_to(2);
  EXPECT_FALSE(keys.any_spilled(Keys{9}));
  EXPECT_TRUE(keys.any_spilled(Keys{3}));
  keys.left(2, Keys{3});
  EXPECT_FALSE(keys.any_spilled(Keys{3}));
}

TEST(SpilledKeys, ARequestWithMoreKeysThanTheBoundIsOfEveryKey) {
  SpilledKeys keys(2, 0, 0);
  const auto wide = keys.add(Keys{1, 2, 3});
  EXPECT_TRUE(keys.any_spilled(Keys{9}));
  keys.stored(wide, 0);
  EXPECT_TRUE(keys.any_spilled(Keys{9}));
  keys.left(0, Keys{1, 2, 3});
  keys.move_to(1);
  EXPECT_FALSE(keys.any_spilled(Keys{9}));
  keys.failed(keys.add(Keys{1, 2, 3}), Keys{1, 2, 3});
  EXPECT_FALSE(keys.any_spilled(Keys{1}));
}

}  // namespace
}  // namespace naru::collector
