#include "alerting/rules/partition_clock.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace naru::alerting {
namespace {

UnixNanos at(double seconds) {
  return static_cast<UnixNanos>((1'000 + seconds) * 1e9);
}

TEST(PartitionClock, KnowsNothingBeforeTheFirstReading) {
  PartitionClock clock;
  EXPECT_FALSE(clock.caught_up_to());
  EXPECT_FALSE(clock.resume_offset(at(5)));
  clock.caught_up(at(3));
  EXPECT_EQ(clock.caught_up_to(), at(3));
  EXPECT_FALSE(clock.resume_offset(at(5)));
}

TEST(PartitionClock, NeverRunsBackwards) {
  PartitionClock clock;
  clock.read(0, at(10));
  clock.read(1, at(9));
  EXPECT_EQ(clock.caught_up_to(), at(10));
  clock.caught_up(at(8));
  EXPECT_EQ(clock.caught_up_to(), at(10));
}

TEST(PartitionClock, ResumesBehindTheLastRecordWhenAllAreOld) {
  PartitionClock clock;
  clock.read(5, at(1));
  clock.read(6, at(2));
  EXPECT_EQ(clock.resume_offset(at(1)), 5);
  EXPECT_EQ(clock.resume_offset(at(2)), 6);  // the record of second 2 is not older
  EXPECT_EQ(clock.resume_offset(at(3)), 7);
}

TEST(PartitionClock, NeverResumesBehindARecordThatIsNotOld) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    PartitionClock clock;
    std::vector<UnixNanos> received;
    double now = 0;
    double horizon = 0;
    for (std::int64_t offset = 0; offset < 300; ++offset) {
      now += 0.1 * (random() % 10);
      received.push_back(at(now - 0.1 * (random() % 50) + 5));
      clock.read(offset, received.back());
      if (random() % 20 == 0) {
        horizon = std::max(horizon, now - 10);
        const auto resume = clock.resume_offset(at(horizon + 5));
        ASSERT_TRUE(resume);
        for (std::int64_t below = 0; below < *resume; ++below) {
          ASSERT_LT(received[static_cast<std::size_t>(below)], at(horizon + 5)) << "offset " << below;
        }
      }
    }
    EXPECT_GT(*clock.resume_offset(at(now - 1)), 0);
  }
}

TEST(PartitionClock, KeepsABoundedNumberOfMarksAndStaysSafe) {
  PartitionClock clock;
  const auto seconds = static_cast<std::int64_t>(PartitionClock::kMarksMax) + 1000;
  for (std::int64_t i = 0; i < seconds; ++i) {
    clock.read(i, at(static_cast<double>(i)));
  }
  EXPECT_EQ(clock.resume_offset(at(50)), 50);
  EXPECT_EQ(clock.resume_offset(at(static_cast<double>(seconds) - 10)),
            static_cast<std::int64_t>(PartitionClock::kMarksMax) - 1);
}

}  // namespace
}  // namespace naru::alerting
