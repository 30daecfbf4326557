#include "core/telemetry/ledger_watch.h"

#include <gtest/gtest.h>

#include "core/telemetry/ledger.h"

namespace naru::telemetry {
namespace {

TEST(LedgerWatch, TellsWhatAStageDoesNotAccountForAndThatItDoesAgain) {
  Registry registry;
  const StageLedger ledger(registry, "writer", "logs", "main");
  ledger.accepted.add(10);
  ledger.delivered.add(7);
  const LedgerWatch watch(registry,
                          {.look_every = std::chrono::milliseconds{5},
                           .judge = {.quiet_ns = 50 * kNanosPerMilli, .settle_ns = kNanosPerSecond}});
  const auto shows = [&](const std::string& value) {
    const std::string line = "naru_ledger_difference{signal=\"logs\",stage=\"writer\"} " + value + "\n";
    for (int i = 0; i < 5'000 && registry.expose().find(line) == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    return registry.expose().find(line) != std::string::npos;
  };
  EXPECT_TRUE(shows("3"));
  ledger.in_flight.set(3);
  EXPECT_TRUE(shows("0"));
}

}  // namespace
}  // namespace naru::telemetry
