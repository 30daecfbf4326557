// What the agent counts (naru_agent_* and its line of the ledger). Handles only; see telemetry/metrics.h.
#pragma once

#include "core/telemetry/ledger.h"
#include "core/telemetry/metrics.h"

namespace naru::agent {

struct Metrics {
  explicit Metrics(telemetry::Registry& registry);

  telemetry::StageLedger ledger;
  telemetry::Gauge files_known, files_open, lag_bytes, in_flight_bytes, held_records;
  telemetry::Counter bytes_read, truncated_lines, truncated_bytes, invalid_utf8_lines;
  telemetry::Counter lost_by_truncation_records, lost_by_truncation_bytes;
  telemetry::Counter unreadable_files, files_over_limit, generations, copies_inherited;
  telemetry::Counter batches, batch_bytes, retries, refused, partial_success_rejected;
  telemetry::Gauge spool_bytes, spool_copies;
  telemetry::Counter spool_copied_bytes, spool_refused, spool_damaged_bytes, missed_generations;
  telemetry::Counter checkpoint_failures, inotify_overflows, journal_entries;
};

}  // namespace naru::agent
