#include "core/flow/ack_tracker.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace naru::flow {
namespace {

TEST(AckTracker, CommitsNothingBeforeTheFirstRecordIsFinished) {
  AckTracker tracker(10);
  EXPECT_EQ(tracker.commit_offset(), std::nullopt);
  ASSERT_TRUE(tracker.add(5, 1));
  ASSERT_TRUE(tracker.add(6, 2));
  ASSERT_TRUE(tracker.finish(6));
  EXPECT_EQ(tracker.commit_offset(), std::nullopt);
  ASSERT_TRUE(tracker.finish(5));
  EXPECT_EQ(tracker.commit_offset(), 7);
}

TEST(AckTracker, RefusesOffsetsThatGoBackAndResultsThatRepeat) {
  AckTracker tracker(10);
  ASSERT_TRUE(tracker.add(5, 1));
  EXPECT_FALSE(tracker.add(5, 1));
  EXPECT_FALSE(tracker.add(4, 1));
  EXPECT_FALSE(tracker.finish(4));
  EXPECT_TRUE(tracker.finish(5));
  EXPECT_FALSE(tracker.finish(5));
  EXPECT_FALSE(tracker.add(5, 1));
}

TEST(AckTracker, IsBoundedByTheSpanBehindTheOldestUnfinishedRecord) {
  AckTracker tracker(3);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(tracker.add(i, 1));
  }
  EXPECT_TRUE(tracker.full());
  EXPECT_FALSE(tracker.add(3, 1));
  tracker.finish(1);
  tracker.finish(2);
  EXPECT_TRUE(tracker.full());
  tracker.finish(0);
  EXPECT_EQ(tracker.size(), 0u);
  EXPECT_TRUE(tracker.add(3, 1));
}

// Random adds and finishes against the definition.
TEST(AckTracker, AgreesWithTheDefinitionUnderRandomOrders) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    AckTracker tracker(64);
    std::map<std::int64_t, bool> model;  // offset -> finished, all ever added
    std::map<std::int64_t, UnixNanos> added;
    std::int64_t next = static_cast<std::int64_t>(random() % 1000);
    for (UnixNanos now = 1; now < 400; ++now) {
      if (random() % 2 == 0) {
        next += 1 + static_cast<std::int64_t>(random() % 3);
        if (tracker.add(next, now)) {
          model[next] = false;
          added[next] = now;
        } else {
          EXPECT_TRUE(tracker.full());
        }
      } else if (!model.empty()) {
        auto at = model.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random() % model.size()));
        EXPECT_EQ(tracker.finish(at->first), !at->second);
        at->second = true;
      }
      std::optional<std::int64_t> commit;
      std::optional<UnixNanos> oldest;
      std::size_t unfinished = 0;
      for (const auto& [offset, finished] : model) {
        if (finished && !oldest.has_value()) {
          commit = offset + 1;
        } else if (!finished) {
          ++unfinished;
          if (!oldest.has_value()) {
            oldest = added[offset];
          }
        }
      }
      ASSERT_EQ(tracker.commit_offset(), commit);
      ASSERT_EQ(tracker.oldest_unfinished(), oldest);
      ASSERT_EQ(tracker.unfinished(), unfinished);
      ASSERT_LE(tracker.size(), 64u);
    }
  }
}

}  // namespace
}  // namespace naru::flow
