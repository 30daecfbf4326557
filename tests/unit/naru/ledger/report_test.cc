#include "naru/ledger/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace naru {
namespace {

using ::testing::HasSubstr;

LedgerCounts counts(std::int64_t accepted, std::int64_t delivered, std::int64_t in_flight = 0) {
  LedgerCounts out;
  out.accepted = accepted;
  out.delivered = delivered;
  out.in_flight = in_flight;
  return out;
}

TEST(LedgerReport, SaysWhichStageIsOffAndWhatToLookAt) {
  const std::vector<LedgerJudge::Row> rows = {{{"collector", "traces"}, counts(5, 7), false},
                                              {{"prepper", "logs"}, counts(5, 4), true},
                                              {{"writer", "logs"}, counts(10, 9), false}};
  EXPECT_EQ(
      explain(rows),
      "stage collector does not balance, 2 records of signal traces came out that never went in: look at "
      "the log of naru-collector and its metrics naru_collector_*; stage writer does not balance, 1 record "
      "of signal logs went in and cannot be found: look at the log of naru-prepper and its metrics "
      "naru_prepper_*");
  EXPECT_EQ(explain(std::span(rows).subspan(1, 1)), "");
}

TEST(LedgerReport, IsShownForPeopleAndForPrograms) {
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
