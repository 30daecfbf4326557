#include "prepper/count/repeats.h"

#include <gtest/gtest.h>

namespace naru::prepper {
namespace {

SourceId source(unsigned char n) {
  SourceId id{};
  id[0] = n;
  return id;
}

TEST(Repeats, AdmitsAPositionOfASourceOnce) {
  Repeats repeats(10);
  EXPECT_TRUE(repeats.admit(source(1), 0, 0));
  EXPECT_TRUE(repeats.admit(source(1), 7, 0));
  EXPECT_FALSE(repeats.admit(source(1), 7, 0));
  EXPECT_FALSE(repeats.admit(source(1), 0, 0));
  EXPECT_TRUE(repeats.admit(source(1), 8, 0));
  EXPECT_TRUE(repeats.admit(source(2), 7, 0));
}

TEST(Repeats, ForgetsTheSourceThatWasCountedLongestAgo) {
  Repeats repeats(2);
  repeats.admit(source(1), 5, 0);
  repeats.admit(source(2), 5, 0);
  repeats.admit(source(1), 6, 0);
  repeats.admit(source(3), 5, 0);
  EXPECT_EQ(repeats.sources(), 2u);
  EXPECT_EQ(repeats.evicted(), 1u);
  EXPECT_FALSE(repeats.admit(source(1), 6, 0));
  EXPECT_TRUE(repeats.admit(source(2), 5, 0));
}

TEST(Repeats, ForgetsThePartitionThatWillBeReadAgain) {
  Repeats repeats(10);
  repeats.admit(source(1), 5, 1);
  repeats.admit(source(2), 5, 2);
  repeats.forget(1);
  EXPECT_TRUE(repeats.admit(source(1), 5, 1));
  EXPECT_FALSE(repeats.admit(source(2), 5, 2));
}

}  // namespace
}  // namespace naru::prepper
