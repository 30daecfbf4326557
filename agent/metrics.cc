#include "agent/metrics.h"

namespace naru::agent {

Metrics::Metrics(telemetry::Registry& r)
    : ledger(r, "agent", "logs", "default"),
      files_known(r.gauge("naru_agent_files_known", "Files that the agent follows")),
      files_open(r.gauge("naru_agent_files_open", "Open descriptors of followed files")),
      lag_bytes(r.gauge("naru_agent_lag_bytes", "Bytes of followed files that were not read yet")),
      in_flight_bytes(r.gauge("naru_agent_in_flight_bytes", "Encoded bytes not acknowledged yet")),
      held_records(r.gauge("naru_agent_held_records",
                           "Records that the collector refused one by one; they are kept and offered again")),
      bytes_read(r.counter("naru_agent_read_bytes_total", "Bytes of files that became records")),
      truncated_lines(r.counter("naru_agent_truncated_lines_total", "Lines cut to tail.line_bytes_max")),
      truncated_bytes(r.counter("naru_agent_truncated_bytes_total", "Bytes left out of lines that were cut")),
      invalid_utf8_lines(r.counter("naru_agent_invalid_utf8_lines_total", "Lines sent as bytes, not text")),
      lost_by_truncation_records(
          r.counter("naru_agent_lost_by_truncation_records_total",
                    "Records that were in flight over a restart and whose bytes were gone then")),
      lost_by_truncation_bytes(r.counter("naru_agent_lost_by_truncation_bytes_total",
                                         "Bytes that were gone before they became records, no copy found")),
      unreadable_files(
          r.counter("naru_agent_unreadable_files_total", "Files that could not be opened or read")),
      files_over_limit(
          r.counter("naru_agent_files_over_limit_total", "New files left out by tail.files_max")),
      generations(r.counter("naru_agent_generations_total", "Sources drawn for files and their rewrites")),
      copies_inherited(
          r.counter("naru_agent_copies_inherited_total", "Copies of rotated files that went on for them")),
      batches(r.counter("naru_agent_batches_total", "Requests made, without repeats")),
      batch_bytes(r.counter("naru_agent_batch_bytes_total", "Encoded bytes of these requests")),
      retries(r.counter("naru_agent_retries_total", "Requests that were sent again")),
      refused(r.counter("naru_agent_refused_total", "Requests refused as they are and halved or held")),
      partial_success_rejected(r.counter("naru_agent_partial_success_rejected_total",
                                         "Records that the collector took out of an accepted request")),
      spool_bytes(r.gauge("naru_agent_spool_bytes", "Disk taken by copies of files that lost their names")),
      spool_copies(r.gauge("naru_agent_spool_copies", "Files whose unsent bytes are copied to the spool")),
      spool_copied_bytes(r.counter("naru_agent_spool_copied_bytes_total", "Bytes copied to the spool")),
      spool_refused(r.counter("naru_agent_spool_refused_total",
                              "Copies that the spool's limit or the disk refused; the files are kept open")),
      spool_damaged_bytes(r.counter("naru_agent_spool_damaged_bytes_total",
                                    "Bytes of the agent's spool that failed their checksums.")),
      missed_generations(r.counter("naru_agent_missed_generations_total",
                                   "Files found that came and were rotated away between two looks")),
      checkpoint_failures(r.counter("naru_agent_checkpoint_failures_total", "Failed writes of the state")),
      inotify_overflows(r.counter("naru_agent_inotify_overflows_total", "Overflows answered by a full scan")),
      journal_entries(r.counter("naru_agent_journal_entries_total", "Journal entries that became records")) {}

}  // namespace naru::agent
