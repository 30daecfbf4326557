#include "prepper/consume/partition_progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace naru::prepper {
namespace {

using Added = flow::AckTracker::Added;

LedgerCounts one() {
  LedgerCounts out;
  out.slots[ledger_slot(Stage::kPrepper, Fate::kAccepted)] = 1;
  return out;
}

TEST(PartitionProgress, StoresNothingBeforeSomethingIsFinished) {
  PartitionProgress progress(10, 5, {});
  EXPECT_FALSE(progress.commit("c", "t"));
  ASSERT_EQ(progress.add(5, 1, 1), Added::kNew);
  EXPECT_FALSE(progress.commit("c", "t"));
  progress.finish(5, one());
  EXPECT_EQ(progress.commit("c", "t")->metadata, "v1|c|t|6||a1;");
  progress.stored();
  EXPECT_FALSE(progress.commit("c", "t"));
  progress.finish(5, one());
  EXPECT_FALSE(progress.commit("c", "t")) << "a repeated result";
}

TEST(PartitionProgress, CommitsBehindAGapSoThatItCountsOnce) {
  PartitionProgress progress(10, 5, {});
  progress.pass_gap(15, 20);
  EXPECT_FALSE(progress.commit("c", "t"));
  ASSERT_EQ(progress.add(20, 1, 1), Added::kNew);
  ASSERT_EQ(progress.add(21, 1, 1), Added::kNew);
  progress.finish(21, one());
  EXPECT_EQ(progress.commit("c", "t")->metadata, "v1|c|t|20|1|a16l15;");
}

// A partition with one owner after another: each ends at any time, its last commits stored, refused, or
// stored without an answer; and with so little room in the metadata that runs are left out. What the stored
// commit covers was done, and its ledger counts exactly that, each record once.
TEST(PartitionProgress, KeepsALedgerThatIsTrueWhenOwnersChangeAtAnyTime) {
  const std::string cluster(3'500, 'c');  // leaves about 60 bytes
  std::size_t left_out = 0, skipped = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto chance = [&](std::uint64_t one_in) { return random() % one_in == 0; };
    std::vector<std::int64_t> log;
    for (std::int64_t offset = 0; log.size() < 400; offset += 1 + (chance(5) ? 3 : 0)) {
      log.push_back(offset);
    }
    const std::int64_t high = log.back() + 1;
    std::map<std::int64_t, int> done;
    std::int64_t offset = 0;
    std::string metadata;
    for (int owner = 0; offset < high; ++owner) {
      ASSERT_LT(owner, 2'000);
      PartitionProgress::Restored restored;
      if (!metadata.empty()) {
        auto told = PartitionProgress::read(metadata, {cluster, "t", offset}, high);
        ASSERT_TRUE(told.has_value());
        const auto is_covered = [&](std::int64_t at) {
          return at < offset ||
                 std::ranges::any_of(
                     told->runs, [&](const flow::OffsetRun& run) { return run.begin <= at && at < run.end; });
        };
        ASSERT_TRUE(
            std::ranges::all_of(log, [&](std::int64_t at) { return done[at] > 0 || !is_covered(at); }));
        ASSERT_EQ(told->counts.of(Stage::kPrepper, Fate::kAccepted),
                  static_cast<std::uint64_t>(std::ranges::count_if(log, is_covered)));
        restored = std::move(*told);
      }
      PartitionProgress progress(120, offset, std::move(restored));
      auto next = std::ranges::lower_bound(log, offset);
      std::vector<std::int64_t> open;
      while (!chance(300) && (next != log.end() || !open.empty())) {
        if (next != log.end() && !progress.tracker().full() && !chance(3)) {
          const Added added = progress.add(*next, 1, 1);
          ASSERT_NE(added, Added::kRefused);
          added == Added::kNew ? open.push_back(*next) : static_cast<void>(++skipped);
          ++next;
        }
        if (!open.empty() && chance(2)) {
          const std::size_t which = chance(20) ? 0 : random() % open.size();
          progress.finish(open[which], one());
          ++done[open[which]];
          open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
        }
        if (!chance(5)) {
          continue;
        }
        if (auto commit = progress.commit(cluster, "t"); commit.has_value() && !chance(4)) {  // else refused
          ASSERT_LE(commit->metadata.size(), flow::kCommitMetadataMax);
          offset = commit->offset;
          metadata = std::move(commit->metadata);
          const auto runs = PartitionProgress::read(metadata, {cluster, "t", offset}, high)->runs.size();
          left_out += runs < progress.tracker().finished_runs().size() ? 1 : 0;
          if (!chance(4)) {  // else its answer was lost
            progress.stored();
          }
        }
      }
      if (next == log.end() && open.empty()) {
        if (auto commit = progress.commit(cluster, "t")) {
          offset = commit->offset;
          metadata = std::move(commit->metadata);
        }
      }
    }
  }
  EXPECT_GT(left_out, 100u);
  EXPECT_GT(skipped, 100u);
}

}  // namespace
}  // namespace naru::prepper
