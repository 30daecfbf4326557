#include "naru/up/progress.h"

#include <gtest/gtest.h>

namespace naru {
namespace {

TEST(Progress, GroupsThousands) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1'000), "1,000");
  EXPECT_EQ(with_thousands(1'234'567), "1,234,567");
}

TEST(Progress, ScalesBytes) {
  EXPECT_EQ(human_bytes(1'023), "1023 B");
  EXPECT_EQ(human_bytes(1'536), "1.5 KiB");
  EXPECT_EQ(human_bytes(5ULL << 40), "5.0 TiB");
  EXPECT_EQ(human_bytes(5ULL << 50), "5120.0 TiB");
}

TEST(Progress, RateIsWhatWasStoredBetweenTheSamples) {
  const ProgressSample before{.at = kNanosPerSecond, .read = 10, .stored = 100};
  const ProgressSample now{.at = 3 * kNanosPerSecond,
                           .read = 2'000,
                           .stored = 1'101,
                           .lag = 899,
                           .waiting = 7,
                           .lag_bytes = 2'048};
  EXPECT_EQ(format_progress(before, now),
            "read 2,000  stored 1,101  rate 501/s  lag 899 records, 7 requests on the bus, 2.0 KiB unread");
  EXPECT_EQ(format_progress(now, now),
            "read 2,000  stored 1,101  rate 0/s  lag 899 records, 7 requests on the bus, 2.0 KiB unread");
}

}  // namespace
}  // namespace naru
