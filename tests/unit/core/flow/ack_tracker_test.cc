#include "core/flow/ack_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace naru::flow {
namespace {

using Added = AckTracker::Added;

TEST(AckTracker, CommitsNothingBeforeTheFirstRecordIsFinished) {
  AckTracker tracker(10, 3);
  EXPECT_EQ(tracker.commit_offset(), 3);
  ASSERT_EQ(tracker.add(5, 1), Added::kNew);
  ASSERT_EQ(tracker.add(6, 2), Added::kNew);
  ASSERT_TRUE(tracker.finish(6));
  EXPECT_EQ(tracker.commit_offset(), 3);
  EXPECT_EQ(tracker.finished_runs(), (std::vector<OffsetRun>{{6, 7}}));
  ASSERT_TRUE(tracker.finish(5));
  EXPECT_EQ(tracker.commit_offset(), 7);
  EXPECT_TRUE(tracker.finished_runs().empty());
}

TEST(AckTracker, RefusesOffsetsThatGoBackAndResultsThatRepeat) {
  AckTracker tracker(10, 0);
  ASSERT_EQ(tracker.add(5, 1), Added::kNew);
  EXPECT_EQ(tracker.add(5, 1), Added::kRefused);
  EXPECT_EQ(tracker.add(4, 1), Added::kRefused);
  EXPECT_FALSE(tracker.finish(4));
  EXPECT_TRUE(tracker.finish(5));
  EXPECT_FALSE(tracker.finish(5));
  EXPECT_EQ(tracker.add(5, 1), Added::kRefused);
}

TEST(AckTracker, IsBoundedByTheSpanBehindTheOldestUnfinishedRecord) {
  AckTracker tracker(3, 0);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(tracker.add(i, 1), Added::kNew);
  }
  EXPECT_TRUE(tracker.full());
  EXPECT_EQ(tracker.add(3, 1), Added::kRefused);
  tracker.finish(1);
  tracker.finish(2);
  EXPECT_TRUE(tracker.full());
  tracker.finish(0);
  EXPECT_EQ(tracker.size(), 0u);
  EXPECT_EQ(tracker.add(3, 1), Added::kNew);
}

TEST(AckTracker, SparesWhatAnEarlierOwnerHasFinished) {
  AckTracker tracker(10, 5, {{6, 8}, {9, 11}});
  EXPECT_TRUE(tracker.restoring());
  EXPECT_EQ(tracker.add(5, 1), Added::kNew);
  EXPECT_EQ(tracker.add(6, 1), Added::kFinished);
  EXPECT_EQ(tracker.add(7, 1), Added::kFinished);
  EXPECT_EQ(tracker.add(8, 1), Added::kNew);
  EXPECT_EQ(tracker.finished_runs(), (std::vector<OffsetRun>{{6, 8}}));
  tracker.finish(5);
  EXPECT_EQ(tracker.commit_offset(), 8);
  EXPECT_TRUE(tracker.restoring());
  EXPECT_EQ(tracker.add(10, 1), Added::kFinished);  // 9 is gone from the log
  EXPECT_FALSE(tracker.restoring());
  EXPECT_FALSE(tracker.finish(10));
  EXPECT_EQ(tracker.unfinished(), 1u);
  tracker.finish(8);
  EXPECT_EQ(tracker.commit_offset(), 11);
  EXPECT_EQ(tracker.add(11, 1), Added::kNew);
}

TEST(AckTracker, PassesRunsThatTheLogDoesNotHaveAnyMore) {
  AckTracker tracker(10, 5, {{6, 8}, {9, 11}});
  EXPECT_EQ(tracker.add(20, 1), Added::kNew);
  EXPECT_FALSE(tracker.restoring());
}

TEST(AckTracker, PassesAGapWhenNothingBeforeItIsUnfinished) {
  AckTracker tracker(10, 5);
  tracker.pass_gap(20);
  EXPECT_EQ(tracker.commit_offset(), 20);
  ASSERT_EQ(tracker.add(20, 1), Added::kNew);
  tracker.pass_gap(30);
  EXPECT_EQ(tracker.commit_offset(), 20);
}

TEST(AckTracker, GoesBackWithALogThatBeganAnew) {
  AckTracker tracker(10, 500);
  EXPECT_EQ(tracker.add(2, 1), Added::kNew);
  EXPECT_EQ(tracker.commit_offset(), 2);
  tracker.finish(2);
  EXPECT_EQ(tracker.commit_offset(), 3);
}

// A partition that is consumed by one owner after another: any of them ends at any time, with or without a
// last commit. No record may be passed over unfinished, and a ledger that travels with the commits counts
// each record that they cover exactly once.
TEST(AckTracker, LosesNothingWhenOwnersChangeAtAnyTime) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto chance = [&](std::uint64_t one_in) { return random() % one_in == 0; };
    std::vector<std::int64_t> log;
    for (std::int64_t offset = 0; log.size() < 120; offset += 1 + (chance(5) ? 3 : 0)) {
      log.push_back(offset);
    }
    std::map<std::int64_t, int> done;     // by offset, over all owners
    std::map<std::int64_t, int> counted;  // by the ledger of the last commit
    std::int64_t stored = 0;
    std::vector<OffsetRun> stored_runs;
    const std::size_t entries_max = 8 + random() % 24;
    for (int owner = 0; stored <= log.back(); ++owner) {
      ASSERT_LT(owner, 2000);
      AckTracker tracker(entries_max, stored, stored_runs);
      auto next = std::ranges::lower_bound(log, stored);
      std::vector<std::int64_t> open, finished_here;
      const std::map<std::int64_t, int> base = counted;
      while (!chance(60) && (next != log.end() || !open.empty())) {
        if (next != log.end() && !tracker.full() && chance(2)) {
          const Added added = tracker.add(*next, 1);
          ASSERT_NE(added, Added::kRefused);
          if (added == Added::kNew) {
            open.push_back(*next);
          } else {
            ASSERT_GT(done[*next], 0) << "skipped, and never done: " << *next;
          }
          ++next;
        }
        if (!open.empty() && chance(2)) {
          const std::size_t which = chance(8) ? 0 : random() % open.size();
          ASSERT_TRUE(tracker.finish(open[which]));
          ++done[open[which]];
          finished_here.push_back(open[which]);
          open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
        }
        if (!tracker.restoring() && chance(6)) {
          std::vector<OffsetRun> runs = tracker.finished_runs();
          if (runs.size() > 3) {
            runs.resize(3);  // no room for more
            if (runs.back().end < tracker.restored_end()) {
              continue;
            }
          }
          stored = tracker.commit_offset();
          stored_runs = std::move(runs);
          const auto is_covered = [&](std::int64_t offset) {
            return offset < stored ||
                   std::ranges::any_of(
                       stored_runs,
                       [&](const OffsetRun& run) { return run.begin <= offset && offset < run.end; });
          };
          counted = base;
          for (const std::int64_t offset : finished_here) {
            counted[offset] += is_covered(offset) ? 1 : 0;
          }
          for (const std::int64_t offset : log) {
            ASSERT_EQ(counted[offset], is_covered(offset) ? 1 : 0) << offset;
            ASSERT_TRUE(done[offset] > 0 || !is_covered(offset)) << "committed, and never done: " << offset;
          }
        }
      }
    }
    for (const std::int64_t offset : log) {
      EXPECT_GT(done[offset], 0);
    }
  }
}

// Random adds and finishes against the definition.
TEST(AckTracker, AgreesWithTheDefinitionUnderRandomOrders) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::int64_t next = static_cast<std::int64_t>(random() % 1000);
    const std::int64_t start = next;
    AckTracker tracker(64, start);
    std::map<std::int64_t, bool> model;  // offset -> finished, all ever added
    std::map<std::int64_t, UnixNanos> added;
    for (UnixNanos now = 1; now < 400; ++now) {
      if (random() % 2 == 0) {
        next += 1 + static_cast<std::int64_t>(random() % 3);
        if (tracker.add(next, now) == Added::kNew) {
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
      std::int64_t commit = start;
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
