#include "core/flow/circuit_breaker.h"

#include <gtest/gtest.h>

namespace naru::flow {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
const BreakerConfig kConfig{
    .failures_max = 3, .open_first = std::chrono::seconds(1), .open_max = std::chrono::seconds(4)};

void open(CircuitBreaker& breaker, std::uint64_t now) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(breaker.allow(now));
    breaker.failure(now);
  }
}

TEST(CircuitBreaker, OpensOnlyAfterFailuresInARow) {
  CircuitBreaker breaker(kConfig);
  breaker.failure(0);
  breaker.failure(0);
  breaker.success();
  breaker.failure(0);
  breaker.failure(0);
  EXPECT_TRUE(breaker.allow(0));
  breaker.failure(0);
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kOpen);
  EXPECT_FALSE(breaker.allow(kSecond - 1));
}

TEST(CircuitBreaker, LetsOneProbeThroughAndClosesOnItsSuccess) {
  CircuitBreaker breaker(kConfig);
  open(breaker, 0);
  EXPECT_TRUE(breaker.allow(kSecond));
  EXPECT_FALSE(breaker.allow(kSecond));
  breaker.success();
  EXPECT_TRUE(breaker.allow(kSecond));
}

TEST(CircuitBreaker, WaitsTwiceAsLongAfterEachFailedProbeUpToItsBound) {
  CircuitBreaker breaker(kConfig);
  open(breaker, 0);
  std::uint64_t now = kSecond;
  for (const std::uint64_t wait : {2, 4, 4}) {
    ASSERT_TRUE(breaker.allow(now));
    breaker.failure(now);
    EXPECT_EQ(breaker.retry_at(), now + wait * kSecond);
    EXPECT_FALSE(breaker.allow(breaker.retry_at() - 1));
    now = breaker.retry_at();
  }
}

}  // namespace
}  // namespace naru::flow
