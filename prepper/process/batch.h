// A bulk request on its way: its text, and for each document where it came from.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bus/bus.h"
#include "core/otlp/identity.h"
#include "core/otlp/otlp.h"
#include "prepper/consume/partition_ledger.h"
#include "prepper/process/index_name.h"
#include "prepper/process/json_out.h"

namespace naru::prepper {

struct SourceMessage;

// Told when every output of a message is durable. Called on any thread; must not block.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;
  virtual void completed(const std::shared_ptr<SourceMessage>& message) = 0;
};

// A consumed bus record and the outputs that it still waits for. Shared by everything made from it.
struct SourceMessage {
  SourceMessage(
      bus::InRecord in, otlp::Signal kind, std::uint64_t assignment, CompletionSink* finished,
      std::shared_ptr<PartitionLedger> partition = std::make_shared<PartitionLedger>(LedgerCounts{}))
      : record(std::move(in)),
        signal(kind),
        generation(assignment),
        sink(finished),
        ledger(std::move(partition)) {}

  const bus::InRecord record;
  const otlp::Signal signal;
  const std::uint64_t generation;  // of the partition's assignment
  CompletionSink* const sink;
  const std::shared_ptr<PartitionLedger> ledger;
  std::shared_ptr<const std::string> cluster_id;  // that it comes from; may be null: the only one
  LedgerTally tally;                              // complete when the message is finished
  std::uint64_t records = 0;                      // set by the encoder before it lets go of its hold
  std::uint64_t documents = 0;                    // set likewise: documents made of these
  std::uint64_t letters = 0;                      // set likewise: dead letters made of these at once
  std::uint64_t created = 0;              // set likewise: documents and letters beyond one for each record
  std::uint64_t dropped = 0;              // set likewise: records that pipelines want no document of
  std::uint64_t merged = 0;               // set likewise: records that went into data points
  std::uint64_t charged_bytes = 0;        // set likewise: what the byte budget holds for it
  std::atomic<std::uint32_t> pending{1};  // outputs, and the encoder's hold

  void hold(std::uint32_t outputs) { pending.fetch_add(outputs, std::memory_order_relaxed); }
  // Before the outputs that it tells of are finished. Per run of records, not per record.
  void count(Stage stage, Fate fate, std::uint32_t n) {
    tally.add(stage, fate, n);
    ledger->add(stage, fate, n);
  }
};
inline void finish(const std::shared_ptr<SourceMessage>& message, std::uint32_t outputs) {
  if (message->pending.fetch_sub(outputs, std::memory_order_acq_rel) == outputs) {
    message->sink->completed(message);
  }
}

// One document of a batch: an action line and a document line.
struct DocumentEntry {
  std::uint32_t begin;    // first byte of the action line
  std::uint32_t source;   // into BulkBatch::sources
  std::uint32_t ordinal;  // index of the record in its message
  std::uint32_t target;   // into BulkBatch::targets
};

struct BulkBatch {
  std::string body;
  std::vector<DocumentEntry> entries;
  std::vector<std::shared_ptr<SourceMessage>> sources;
  std::vector<std::shared_ptr<const IndexTarget>> targets;
  std::uint32_t attempts = 0;
  UnixNanos first_failed_at = 0;

  bool empty() const { return entries.empty(); }
  std::size_t end_of(std::size_t entry) const {
    return entry + 1 < entries.size() ? entries[entry + 1].begin : body.size();
  }
  std::string_view text(std::size_t entry) const {
    return std::string_view(body).substr(entries[entry].begin, end_of(entry) - entries[entry].begin);
  }
  const IndexTarget& target(std::size_t entry) const { return *targets[entries[entry].target]; }
  std::string_view id(std::size_t entry) const {
    return std::string_view(body).substr(entries[entry].begin + target(entry).action_prefix.size(),
                                         kId22Size);
  }
  // The document with its line feed.
  std::string_view document(std::size_t entry) const {
    return text(entry).substr(target(entry).action_prefix.size() + kId22Size + kActionSuffix.size());
  }
  // Its @timestamp, which is its first member.
  UnixNanos time(std::size_t entry) const;
};

// A batch of its own with copies of the chosen documents (ascending positions).
BulkBatch extract(const BulkBatch& batch, std::span<const std::uint32_t> positions);
// The same documents with the same ids for other indices, one for each.
BulkBatch retarget(const BulkBatch& batch, std::span<const std::shared_ptr<const IndexTarget>> targets);

}  // namespace naru::prepper
