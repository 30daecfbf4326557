#include "core/bus/kafka/client.h"

#include <gtest/gtest.h>

#include "core/base/clock.h"

namespace naru::bus::kafka {
namespace {

TEST(LogLimiter, AdmitsOneLineOfAKindPerIntervalAndCountsTheOthers) {
  LogLimiter limiter{std::chrono::seconds(30)};
  const std::uint64_t start = 1'000 * kNanosPerSecond;
  EXPECT_EQ(limiter.admit("FAIL", start), 0U);
  EXPECT_EQ(limiter.admit("FAIL", start + kNanosPerSecond), std::nullopt);
  EXPECT_EQ(limiter.admit("FAIL", start + 2 * kNanosPerSecond), std::nullopt);
  EXPECT_EQ(limiter.admit("REBALANCE", start + 2 * kNanosPerSecond), 0U);
  EXPECT_EQ(limiter.admit("FAIL", start + 30 * kNanosPerSecond), 2U);
  EXPECT_EQ(limiter.admit("FAIL", start + 60 * kNanosPerSecond), 0U);
}

TEST(ToError, SaysWhatACallerMayDo) {
  EXPECT_EQ(to_error(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, "x").code(), ErrorCode::kTimeout);
  EXPECT_EQ(to_error(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, "x").code(), ErrorCode::kUnavailable);
  EXPECT_EQ(to_error(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "x").code(), ErrorCode::kTooLarge);
  EXPECT_EQ(to_error(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "x").code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(to_error(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, "x").code(), ErrorCode::kConflict);
}

}  // namespace
}  // namespace naru::bus::kafka
