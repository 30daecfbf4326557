#include "prepper/consume/partition_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace naru::prepper {
namespace {

using testing::HasSubstr;
using testing::Not;

LedgerCounts counts(std::initializer_list<std::tuple<Stage, Fate, std::uint64_t>> list) {
  LedgerCounts out;
  for (const auto& [stage, fate, n] : list) {
    out.slots[ledger_slot(stage, fate)] = n;
  }
  return out;
}

TEST(LedgerCounts, AreTheTextOfTheFormat) {
  const LedgerCounts some = counts({{Stage::kPrepper, Fate::kAccepted, 12},
                                    {Stage::kPrepper, Fate::kDelivered, 11},
                                    {Stage::kPrepper, Fate::kDeadlettered, 1},
                                    {Stage::kWriter, Fate::kAccepted, 11},
                                    {Stage::kWriter, Fate::kCreated, 1},
                                    {Stage::kWriter, Fate::kDelivered, 9},
                                    {Stage::kWriter, Fate::kDuplicate, 2},
                                    {Stage::kWriter, Fate::kMerged, 1},
                                    {Stage::kWriter, Fate::kParked, 3},
                                    {Stage::kWriter, Fate::kLost, 1}});
  EXPECT_EQ(some.text(), "a12d11x1;a11c1d9u2m1p3l1");
  EXPECT_EQ(LedgerCounts::parse(some.text()), some);
  EXPECT_EQ(LedgerCounts{}.text(), ";");
  EXPECT_EQ(LedgerCounts::parse(";"), LedgerCounts{});
}

TEST(LedgerCounts, FitInTheirPartOfTheMetadata) {
  LedgerCounts most;
  most.slots.fill(std::numeric_limits<std::uint64_t>::max());
  EXPECT_LE(most.text().size(), 512u);
  EXPECT_EQ(LedgerCounts::parse(most.text()), most);
}

TEST(LedgerCounts, RefuseEverythingElse) {
  for (const char* text : {"", "a1", "a1;a1;", "a;", "z1;", "a1a2;", "a-1;", "a1.5;", "1;",
                           "a99999999999999999999;", "a1; d1", "a1,;"}) {
    EXPECT_FALSE(LedgerCounts::parse(text)) << text;
  }
}

TEST(LedgerSeries, BeginsAtItsBaseAndGoesWithItsPartition) {
  telemetry::Registry registry;
  const auto ledger = std::make_shared<PartitionLedger>(counts({{Stage::kPrepper, Fate::kAccepted, 40}}));
  std::optional<LedgerSeries> series(std::in_place, registry, ledger, "logs", "main", "otlp_logs", 3);
  const std::string labels =
      "{partition=\"3\",pipeline=\"main\",signal=\"logs\",stage=\"prepper\",topic=\"otlp_logs\"}";
  EXPECT_THAT(registry.expose(), HasSubstr("naru_records_accepted_total" + labels + " 40\n"));
  ledger->add(Stage::kPrepper, Fate::kAccepted, 2);
  ledger->add_in_flight(Stage::kPrepper, 2);
  ledger->add_in_flight(Stage::kWriter, 1);
  ledger->set_queued(5);
  const std::string text = registry.expose();
  EXPECT_THAT(text, HasSubstr("naru_records_accepted_total" + labels + " 42\n"));
  EXPECT_THAT(text, HasSubstr("naru_records_in_flight" + labels + " 2\n"));
  EXPECT_THAT(text, HasSubstr("stage=\"writer\",topic=\"otlp_logs\"} 6\n"));
  series.reset();
  EXPECT_THAT(registry.expose(), Not(HasSubstr("topic=\"otlp_logs\"")));
}

}  // namespace
}  // namespace naru::prepper
