// Judges the ledger of this process all the time: naru_ledger_difference{stage, signal} is 0 while a stage
// balances, and the number of records that it does not account for as soon as that is sure
// (ledger_judge.h). On a thread of its own.
#pragma once

#include <chrono>

#include "core/base/periodic.h"
#include "core/telemetry/ledger_judge.h"
#include "core/telemetry/metrics.h"

namespace naru::telemetry {

struct LedgerWatchConfig {
  std::chrono::milliseconds look_every{5'000};
  JudgeConfig judge{.quiet_ns = 15 * kNanosPerSecond, .settle_ns = 60 * kNanosPerSecond};
};

class LedgerWatch {
 public:
  // `registry` must outlive this.
  explicit LedgerWatch(Registry& registry, LedgerWatchConfig config = {});

 private:
  void look();

  Registry& registry_;
  LedgerJudge judge_;
  Periodic looks_;
};

}  // namespace naru::telemetry
