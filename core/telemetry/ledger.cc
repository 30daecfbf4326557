#include "core/telemetry/ledger.h"

namespace naru::telemetry {
namespace {

Labels stage_labels(const std::string& stage, const std::string& signal, const std::string& pipeline) {
  return {{"stage", stage}, {"signal", signal}, {"pipeline", pipeline}};
}

}  // namespace

StageLedger::StageLedger(Registry& registry, const std::string& stage, const std::string& signal,
                         const std::string& pipeline)
    : accepted(registry.counter("naru_records_accepted_total", "Records that a stage took in.",
                                stage_labels(stage, signal, pipeline))),
      created(registry.counter("naru_records_created_total",
                               "Records that a stage made itself, such as aggregates.",
                               stage_labels(stage, signal, pipeline))),
      delivered(registry.counter("naru_records_delivered_total",
                                 "Records that the next hop took durably, duplicates included.",
                                 stage_labels(stage, signal, pipeline))),
      duplicate(registry.counter("naru_records_duplicate_total",
                                 "Delivered records that the far end already had.",
                                 stage_labels(stage, signal, pipeline))),
      merged(registry.counter("naru_records_merged_total", "Records that went into another record.",
                              stage_labels(stage, signal, pipeline))),
      deadlettered(registry.counter("naru_records_deadlettered_total",
                                    "Records kept as dead letters with their reason.",
                                    stage_labels(stage, signal, pipeline))),
      parked(registry.counter("naru_records_parked_total",
                              "Records set aside for a destination that cannot take them now.",
                              stage_labels(stage, signal, pipeline))),
      lost(registry.counter("naru_records_lost_total", "Records that are gone; the log says why.",
                            stage_labels(stage, signal, pipeline))),
      in_flight(registry.gauge("naru_records_in_flight",
                               "Records taken in and not finished, counted from where they wait.",
                               stage_labels(stage, signal, pipeline))),
      registry_(registry),
      labels_(stage_labels(stage, signal, pipeline)) {}

Counter StageLedger::dropped(const std::string& rule) const {
  Labels labels = labels_;
  labels.emplace("rule", rule);
  return registry_.counter("naru_records_dropped_total", "Records that a configured rule dropped.", labels);
}

}  // namespace naru::telemetry
