#include "core/telemetry/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::telemetry {
namespace {

using testing::HasSubstr;

TEST(StageLedger, ExportsTheNamesAndLabelsOfTheContract) {
  Registry registry;
  const StageLedger ledger(registry, "collector", "logs", "main");
  ledger.accepted.add(10);
  ledger.delivered.add(7);
  ledger.dropped("health-checks").add(2);
  ledger.in_flight.set(1);
  const std::string text = registry.expose();
  const std::string labels = "{pipeline=\"main\",signal=\"logs\",stage=\"collector\"}";
  EXPECT_THAT(text, HasSubstr("naru_records_accepted_total" + labels + " 10\n"));
  EXPECT_THAT(text, HasSubstr("naru_records_delivered_total" + labels + " 7\n"));
  EXPECT_THAT(text, HasSubstr("naru_records_in_flight" + labels + " 1\n"));
  EXPECT_THAT(text, HasSubstr("naru_records_dropped_total{pipeline=\"main\",rule=\"health-checks\","
                              "signal=\"logs\",stage=\"collector\"} 2\n"));
  for (const char* name : {"created", "duplicate", "merged", "deadlettered", "parked", "lost"}) {
    EXPECT_THAT(text, HasSubstr("naru_records_" + std::string(name) + "_total" + labels + " 0\n"));
  }
}

}  // namespace
}  // namespace naru::telemetry
