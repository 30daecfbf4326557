#include "core/flow/token_bucket.h"

#include <gtest/gtest.h>

namespace naru::flow {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(TokenBucket, LetsThroughWhatTheRateSays) {
  TokenBucket bucket(1'000);
  std::uint64_t now = kSecond;
  double taken = 0;
  while (now < 11 * kSecond) {
    const std::uint64_t wait = bucket.take(300, now);
    taken += wait == 0 ? 300 : 0;
    now += wait;
  }
  EXPECT_NEAR(taken, 11'000, 600);
}

TEST(TokenBucket, LetsMoreThanASecondsWorthThroughAndHasItPaidOff) {
  TokenBucket bucket(100);
  EXPECT_EQ(bucket.take(1'000, kSecond), 0u);
  const std::uint64_t wait = bucket.take(1, kSecond);
  EXPECT_NEAR(static_cast<double>(wait), 9.01e9, 1e8);
  EXPECT_EQ(bucket.take(1, kSecond + wait), 0u);
}

}  // namespace
}  // namespace naru::flow
