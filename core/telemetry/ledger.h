// The ledger of a stage (contracts.md 5): every record that came in is accounted for.
// accepted + created = delivered + merged + deadlettered + dropped + lost + in flight.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/telemetry/metrics.h"

namespace naru::telemetry {

struct LedgerMetric {
  std::string_view name, help;
};
// In this order: accepted, created, delivered, duplicate, merged, deadlettered, parked, lost, dropped.
// `duplicate` and `parked` are inside delivered.
extern const std::array<LedgerMetric, 9> kLedgerCounters;
extern const LedgerMetric kLedgerInFlight;

// Counters of one (stage, signal, pipeline). Thread-safe.
class StageLedger {
 public:
  // stage: agent, collector, prepper, writer. signal: logs, metrics, traces.
  StageLedger(Registry& registry, const std::string& stage, const std::string& signal,
              const std::string& pipeline);

  Counter accepted, created, delivered, duplicate, merged, deadlettered, parked, lost;
  Gauge in_flight;
  Counter dropped(const std::string& rule) const;  // dropped by a named rule

 private:
  Registry& registry_;
  Labels labels_;
};

}  // namespace naru::telemetry
