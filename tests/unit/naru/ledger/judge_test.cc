#include "naru/ledger/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/telemetry/ledger.h"

namespace naru {
namespace {

using ::testing::HasSubstr;

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
  telemetry::Registry agent, prepper;
  const telemetry::StageLedger in(agent, "agent", "logs", "default");
  in.accepted.add(10);
  in.delivered.add(6);
  in.dropped("a").add(1);
  in.dropped("b").add(2);
  in.in_flight.set(1);
  const telemetry::StageLedger one(prepper, "writer", "logs", "one"), two(prepper, "writer", "logs", "two");
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
  for (const telemetry::Registry* registry : {&prepper, &agent}) {
    add_to_ledger(ledger, *telemetry::parse_exposition(registry->expose()));
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
  add_to_ledger(ledger,
                *telemetry::parse_exposition("naru_records_accepted_total{stage=\"agent\"} 1\n"
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
  EXPECT_EQ(explain(rows), "");
}

TEST(Judge, AQuietDifferenceIsRealAfterTwoSeconds) {
  const auto [rows, looks] = judge([](int) { return writer(counts(10, 9)); });
  EXPECT_EQ(looks, 9);
  EXPECT_FALSE(rows[0].balanced);
  EXPECT_EQ(explain(rows),
            "stage writer does not balance, 1 record of signal logs went in and cannot be found: look at the "
            "log of "
            "naru-prepper and its metrics naru_prepper_*");
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

TEST(Judge, NamesOnlyTheStageThatIsOff) {
  const auto [rows, looks] = judge([](int) {
    return LedgerSample{{{"writer", "logs"}, counts(5, 5)},
                        {{"prepper", "logs"}, counts(5, 5)},
                        {{"collector", "traces"}, counts(5, 7)},
                        {{"agent", "logs"}, counts(3, 3)}};
  });
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].key.stage, "agent");
  EXPECT_EQ(rows[3].key.stage, "writer");
  const std::string sentence = explain(rows);
  EXPECT_THAT(sentence,
              HasSubstr("stage collector does not balance, 2 records of signal traces came out that never"));
  for (const char* other : {"stage agent", "stage prepper", "stage writer"}) {
    EXPECT_EQ(sentence.find(other), std::string::npos);
  }
}

TEST(Ledger, IsShownForPeopleAndForPrograms) {
  LedgerCounts row = counts(1'234'567, 1'234'000, 500);
  row.duplicate = 12;
  const std::vector<LedgerJudge::Row> rows = {{{"writer", "logs"}, row, false}};
  const std::string table = ledger_table(rows);
  EXPECT_THAT(table, HasSubstr("1,234,000 (12)"));
  EXPECT_EQ(std::ranges::count(table, '\n'), 2);
  EXPECT_EQ(
      ledger_json(rows),
      "{\"stage\":\"writer\",\"signal\":\"logs\",\"accepted\":1234567,\"created\":0,\"delivered\":1234000,"
      "\"duplicate\":12,\"merged\":0,\"deadlettered\":0,\"parked\":0,\"dropped\":0,\"lost\":0,"
      "\"in_flight\":500,\"difference\":67,\"balanced\":false}\n");
}

}  // namespace
}  // namespace naru
