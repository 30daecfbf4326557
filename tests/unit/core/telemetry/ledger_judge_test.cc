#include "core/telemetry/ledger_judge.h"

#include <gtest/gtest.h>

#include "core/telemetry/ledger.h"

namespace naru::telemetry {
namespace {

constexpr std::uint64_t kStep = 250 * kNanosPerMilli;

LedgerCounts counts(std::int64_t accepted, std::int64_t delivered, std::int64_t in_flight = 0) {
  LedgerCounts out;
  out.accepted = accepted;
  out.delivered = delivered;
  out.in_flight = in_flight;
  return out;
}
LedgerSample writer(const LedgerCounts& of_writer) {
  return {{{"writer", "logs"}, of_writer}};
}

// Looks until decided, as the verb does; `at` gives the sample of the n-th look.
template <class At>
std::pair<std::vector<LedgerJudge::Row>, int> judge(At&& at) {
  LedgerJudge out({});
  int looks = 0;
  for (std::uint64_t now = kNanosPerSecond; looks < 1'000; now += kStep) {
    out.look(at(looks), now);
    ++looks;
    if (out.decided()) {
      break;
    }
  }
  return {out.verdict(), looks};
}

TEST(Ledger, SumsPipelinesRulesAndPages) {
  Registry agent, prepper;
  const StageLedger in(agent, "agent", "logs", "default");
  in.accepted.add(10);
  in.delivered.add(6);
  in.dropped("a").add(1);
  in.dropped("b").add(2);
  in.in_flight.set(1);
  const StageLedger one(prepper, "writer", "logs", "one"), two(prepper, "writer", "logs", "two");
  one.accepted.add(3);
  two.accepted.add(4);
  one.created.add(5);
  one.duplicate.add(2);
  two.delivered.add(7);
  one.merged.add(1);
  one.deadlettered.add(1);
  two.parked.add(9);
  two.lost.add(3);
  LedgerSample ledger;
  for (const Registry* registry : {&prepper, &agent}) {
    add_to_ledger(ledger, *parse_exposition(registry->expose()));
  }
  ASSERT_EQ(ledger.size(), 2u);
  EXPECT_EQ(ledger.begin()->first, (LedgerKey{"agent", "logs"}));
  EXPECT_EQ(ledger.begin()->second.dropped, 3);
  EXPECT_EQ(ledger.begin()->second.difference(), 0);
  const LedgerCounts writer_counts = ledger.at({"writer", "logs"});
  EXPECT_EQ(writer_counts.accepted, 7);
  EXPECT_EQ(writer_counts.parked, 9);
  EXPECT_EQ(writer_counts.difference(), 7 + 5 - 7 - 1 - 1 - 3);
}

TEST(Ledger, IgnoresOtherMetricsAndImpossibleValues) {
  LedgerSample ledger;
  add_to_ledger(ledger, *parse_exposition("naru_records_accepted_total{stage=\"agent\"} 1\n"
                                          "naru_records_new_total{stage=\"agent\",signal=\"logs\"} 1\n"
                                          "naru_records_lost_total{stage=\"agent\",signal=\"logs\"} NaN\n"
                                          "naru_records_lost_total{stage=\"agent\",signal=\"logs\"} 1e30\n"
                                          "other{stage=\"agent\",signal=\"logs\"} 1\n"));
  EXPECT_TRUE(ledger.empty());
}

TEST(Judge, AQuietBalancedStageNeedsTwoLooks) {
  const auto [rows, looks] = judge([](int) { return writer(counts(10, 8, 2)); });
  EXPECT_EQ(looks, 2);
  EXPECT_TRUE(rows[0].balanced);
}

TEST(Judge, AQuietDifferenceIsRealAfterTwoSeconds) {
  const auto [rows, looks] = judge([](int) { return writer(counts(10, 9)); });
  EXPECT_EQ(looks, 9);
  EXPECT_FALSE(rows[0].balanced);
}

TEST(Judge, ADifferenceThatPassesIsNone) {
  const auto [rows, looks] = judge([](int look) { return writer(counts(10, look < 6 ? 9 : 10)); });
  EXPECT_EQ(looks, 8);
  EXPECT_TRUE(rows[0].balanced);
}

TEST(Judge, AWorkingStageMayDifferNowAndThen) {
  const auto [rows, looks] =
      judge([](int look) { return writer(counts(100 * look, 100 * look - (look % 3 == 0 ? 0 : 40))); });
  EXPECT_TRUE(rows[0].balanced);
  EXPECT_LE(looks, 61);
}

TEST(Judge, AWorkingStageMayDifferInBothDirections) {
  const auto [rows, looks] =
      judge([](int look) { return writer(counts(100 * look, 100 * look + (look % 2 == 0 ? 7 : -7))); });
  EXPECT_TRUE(rows[0].balanced);
  EXPECT_EQ(looks, 61);
}

TEST(Judge, AWorkingStageThatAlwaysMissesRecordsIsUnbalanced) {
  const auto [rows, looks] = judge([](int look) { return writer(counts(100 * look + 1, 100 * look)); });
  EXPECT_EQ(looks, 21);
  EXPECT_FALSE(rows[0].balanced);
}

}  // namespace
}  // namespace naru::telemetry
