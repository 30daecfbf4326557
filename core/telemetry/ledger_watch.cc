#include "core/telemetry/ledger_watch.h"

#include "core/base/clock.h"
#include "core/telemetry/exposition.h"

namespace naru::telemetry {

LedgerWatch::LedgerWatch(Registry& registry, LedgerWatchConfig config)
    : registry_(registry), judge_(config.judge), looks_(config.look_every, [this] { look(); }) {}

void LedgerWatch::look() {
  const Result<Exposition> page = parse_exposition(registry_.expose(), kLedgerPrefix);
  if (!page) {
    return;  // more series than anybody can read; there is nothing that this could judge
  }
  LedgerSample sample;
  add_to_ledger(sample, *page);
  judge_.look(sample, monotonic_now());
  for (const LedgerJudge::Row& row : judge_.verdict()) {
    registry_
        .gauge("naru_ledger_difference",
               "Records that a stage does not account for, once that is sure; see naru ledger.",
               {{"stage", row.key.stage}, {"signal", row.key.signal}})
        .set(row.balanced ? 0 : static_cast<double>(row.counts.difference()));
  }
}

}  // namespace naru::telemetry
