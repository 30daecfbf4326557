#include "core/bus/local/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::bus::local {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr UnixNanos kHour = kNanosPerHour;

// Three closed segments of 100 records and 1,000 bytes, begun one hour apart, and the active one.
std::vector<spool::SegmentInfo> segments() {
  std::vector<spool::SegmentInfo> out;
  for (std::uint64_t i = 0; i < 4; ++i) {
    out.push_back({.first_offset = i * 100,
                   .end_offset = i * 100 + 100,
                   .bytes = 1000,
                   .created = (i + 1) * kHour,
                   .active = i == 3});
  }
  return out;
}

LocalBusConfig config() {
  LocalBusConfig config;
  config.retention_age = std::chrono::hours(1);
  config.retention_bytes = 1u << 30;
  return config;
}

TEST(Retention, KeepsWhatIsYoung) {
  EXPECT_EQ(plan_retention(segments(), 400, config(), 3 * kHour).trim_before, 0u);
}

TEST(Retention, DeletesWhatIsOldAndFinished) {
  // At 4.5 h the records from before 3 h (begin of the third) are older than an hour... and so on.
  EXPECT_EQ(plan_retention(segments(), 400, config(), 3 * kHour + kHour / 2).trim_before, 100u);
  EXPECT_EQ(plan_retention(segments(), 400, config(), 9 * kHour).trim_before, 300u);
}

TEST(Retention, NeverDeletesWhatAGroupHasNotFinished) {
  EXPECT_EQ(plan_retention(segments(), 199, config(), 9 * kHour).trim_before, 100u);
  EXPECT_EQ(plan_retention(segments(), 0, config(), 9 * kHour).trim_before, 0u);
  EXPECT_EQ(plan_retention(segments(), std::nullopt, config(), 9 * kHour).trim_before, 300u);
}

TEST(Retention, DeletesFinishedRecordsBeyondItsBytes) {
  LocalBusConfig bytes = config();
  bytes.retention_bytes = 2500;
  EXPECT_EQ(plan_retention(segments(), 400, bytes, 0).trim_before, 200u);
  EXPECT_EQ(plan_retention(segments(), 150, bytes, 0).trim_before, 100u);
}

TEST(Retention, DeletesUnfinishedRecordsOnlyWhereItIsDeclaredAndSaysHowMany) {
  LocalBusConfig limited = config();
  limited.partition_bytes_max = 2500;
  EXPECT_EQ(plan_retention(segments(), 50, limited, 0).trim_before, 0u);
  limited.drop_unfinished_at_limit = true;
  const auto plan = plan_retention(segments(), 50, limited, 0);
  EXPECT_EQ(plan.trim_before, 200u);
  EXPECT_EQ(plan.lost_records, 150u);
}

TEST(Retention, ClosesAnOldFinishedActiveSegment) {
  EXPECT_FALSE(plan_retention(segments(), 400, config(), 4 * kHour).roll);
  EXPECT_TRUE(plan_retention(segments(), 400, config(), 6 * kHour).roll);
  EXPECT_FALSE(plan_retention(segments(), 399, config(), 6 * kHour).roll);
}

TEST(Compaction, WaitsUntilHalfOfTheClosedBytesAreNew) {
  auto three = segments();
  three[0].sparse = true;
  three[0].bytes = 2001;
  EXPECT_THAT(plan_compaction(three, 10'000), IsEmpty());
  three[0].bytes = 2000;
  EXPECT_THAT(plan_compaction(three, 10'000), ElementsAre(Pair(0, 2)));
}

TEST(Compaction, BoundsEachRun) {
  EXPECT_THAT(plan_compaction(segments(), 2000), ElementsAre(Pair(0, 1), Pair(2, 2)));
  EXPECT_THAT(plan_compaction(segments(), 1), ElementsAre(Pair(0, 0), Pair(1, 1), Pair(2, 2)));
}

}  // namespace
}  // namespace naru::bus::local
