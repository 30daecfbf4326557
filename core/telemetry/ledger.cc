#include "core/telemetry/ledger.h"

namespace naru::telemetry {
namespace {

Labels stage_labels(const std::string& stage, const std::string& signal, const std::string& pipeline) {
  return {{"stage", stage}, {"signal", signal}, {"pipeline", pipeline}};
}

Counter counter_of(Registry& registry, std::size_t metric, const Labels& labels) {
  const auto& [name, help] = kLedgerCounters[metric];
  return registry.counter(std::string(name), std::string(help), labels);
}

}  // namespace

const std::array<LedgerMetric, 9> kLedgerCounters{{
    {"naru_records_accepted_total", "Records that a stage took in."},
    {"naru_records_created_total", "Records that a stage made itself, such as aggregates."},
    {"naru_records_delivered_total", "Records that the next hop took durably, duplicates included."},
    {"naru_records_duplicate_total", "Delivered records that the far end already had."},
    {"naru_records_merged_total", "Records that went into another record."},
    {"naru_records_deadlettered_total", "Records kept as dead letters with their reason."},
    {"naru_records_parked_total",
     "Delivered records that were set aside for a destination that cannot take them now."},
    {"naru_records_lost_total", "Records that are gone; the log says why."},
    {"naru_records_dropped_total", "Records that a configured rule dropped."},
}};
const LedgerMetric kLedgerInFlight{"naru_records_in_flight",
                                   "Records taken in and not finished, counted from where they wait."};

StageLedger::StageLedger(Registry& registry, const std::string& stage, const std::string& signal,
                         const std::string& pipeline)
    : accepted(counter_of(registry, 0, stage_labels(stage, signal, pipeline))),
      created(counter_of(registry, 1, stage_labels(stage, signal, pipeline))),
      delivered(counter_of(registry, 2, stage_labels(stage, signal, pipeline))),
      duplicate(counter_of(registry, 3, stage_labels(stage, signal, pipeline))),
      merged(counter_of(registry, 4, stage_labels(stage, signal, pipeline))),
      deadlettered(counter_of(registry, 5, stage_labels(stage, signal, pipeline))),
      parked(counter_of(registry, 6, stage_labels(stage, signal, pipeline))),
      lost(counter_of(registry, 7, stage_labels(stage, signal, pipeline))),
      in_flight(registry.gauge(std::string(kLedgerInFlight.name), std::string(kLedgerInFlight.help),
                               stage_labels(stage, signal, pipeline))),
      registry_(registry),
      labels_(stage_labels(stage, signal, pipeline)) {}

Counter StageLedger::dropped(const std::string& rule) const {
  Labels labels = labels_;
  labels.emplace("rule", rule);
  return counter_of(registry_, 8, labels);
}

}  // namespace naru::telemetry
