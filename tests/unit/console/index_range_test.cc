#include "console/index_range.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace naru::console {
namespace {

constexpr std::int64_t kHour = 3'600'000, kDay = 24 * kHour;
constexpr std::int64_t kNoon = 1'793'793'600'000;  // 2026-11-04T12:00:00Z

TEST(IndexRange, NamesTheDaysAndTheirMonth) {
  EXPECT_EQ(indices_in("logs", kNoon - kHour, kNoon), "logs-otel-v1-*-2026.11,logs-otel-v1-*-2026.11.04*");
  EXPECT_EQ(indices_in("traces", kNoon - kDay, kNoon),
            "otel-v1-apm-span-*-2026.11,otel-v1-apm-span-*-2026.11.03*,otel-v1-apm-span-*-2026.11.04*");
  EXPECT_EQ(indices_in("metrics", kNoon - 4 * kDay, kNoon - 3 * kDay - 12 * kHour),
            "metrics-otel-v1-*-2026.10,metrics-otel-v1-*-2026.11,metrics-otel-v1-*-2026.10.31*,"
            "metrics-otel-v1-*-2026.11.01*");
}

TEST(IndexRange, NamesMonthsOfLongRangesAndTheAliasOfAll) {
  EXPECT_EQ(indices_in("logs", kNoon - 60 * kDay, kNoon),
            "logs-otel-v1-*-2026.09*,logs-otel-v1-*-2026.10*,logs-otel-v1-*-2026.11*");
  EXPECT_EQ(indices_in("logs", 0, kNoon), "logs");
  EXPECT_EQ(indices_in("logs", kNoon, kNoon - 1), "logs");
  EXPECT_EQ(indices_in("logs", INT64_MIN, INT64_MAX), "logs");
  EXPECT_EQ(indices_in("logs-otel-v1-web-2026.11.04", kNoon, kNoon), "logs-otel-v1-web-2026.11.04");
}

TEST(IndexRange, StaysShortEnoughForARequestLine) {
  for (std::int64_t days = 0; days < 800; ++days) {
    const std::string target = indices_in("traces", kNoon - days * kDay, kNoon);
    EXPECT_LT(target.size(), 2'000u) << days;
  }
}

}  // namespace
}  // namespace naru::console
