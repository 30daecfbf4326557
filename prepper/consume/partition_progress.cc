#include "prepper/consume/partition_progress.h"

#include <utility>

namespace naru::prepper {

std::optional<PartitionProgress::Restored> PartitionProgress::read(std::string_view metadata,
                                                                   const flow::CommitPlace& committed,
                                                                   std::int64_t high) {
  std::optional<flow::CommitMetadata> parsed = flow::parse_commit_metadata(metadata, committed);
  if (!parsed.has_value()) {
    return std::nullopt;
  }
  const std::optional<LedgerCounts> counts = LedgerCounts::parse(parsed->counts);
  // Runs behind the end tell of a log that is not this one.
  if (!counts.has_value() || (!parsed->runs.empty() && parsed->runs.back().end > high)) {
    return std::nullopt;
  }
  return Restored{std::move(parsed->runs), *counts};
}

PartitionProgress::PartitionProgress(std::size_t messages_max, std::int64_t start, Restored restored)
    : tracker_(messages_max, start, std::move(restored.runs)), finished_(restored.counts) {}

flow::AckTracker::Added PartitionProgress::add(std::int64_t offset, UnixNanos now, UnixMillis timestamp_ms) {
  const flow::AckTracker::Added added = tracker_.add(offset, now, timestamp_ms);
  uncommitted_ = uncommitted_ || added == flow::AckTracker::Added::kFinished;
  return added;
}

void PartitionProgress::finish(std::int64_t offset, const LedgerCounts& counts) {
  if (!tracker_.finish(offset)) {
    return;
  }
  finished_ += counts;
  uncommitted_ = true;
  const std::int64_t commit = tracker_.commit_offset();
  if (offset >= commit) {
    apart_.emplace(offset, counts);
  }
  apart_.erase(apart_.begin(), apart_.lower_bound(commit));
}

void PartitionProgress::pass_gap(std::uint64_t records, std::int64_t next) {
  tracker_.pass_gap(next);
  finished_.slots[ledger_slot(Stage::kPrepper, Fate::kAccepted)] += records;
  finished_.slots[ledger_slot(Stage::kPrepper, Fate::kLost)] += records;
}

std::optional<PartitionProgress::Commit> PartitionProgress::commit(std::string_view cluster_id,
                                                                   std::string_view topic_id) const {
  // While restoring, what is stored says more than we know: the runs that are not read again yet.
  if (!uncommitted_ || tracker_.restoring()) {
    return std::nullopt;
  }
  const flow::CommitPlace place{cluster_id, topic_id, tracker_.commit_offset()};
  flow::CommitMetadata metadata;
  metadata.runs = tracker_.finished_runs();
  const std::size_t runs = metadata.runs.size();
  flow::fit_runs(place, metadata.runs);
  LedgerCounts counts = finished_;
  if (metadata.runs.size() < runs) {
    // What the metadata cannot name is consumed, and counted, again.
    const std::int64_t named = metadata.runs.empty() ? place.offset : metadata.runs.back().end;
    if (named < tracker_.restored_end()) {
      return std::nullopt;  // the stored commit names them; it stands until they fit again
    }
    for (auto at = apart_.lower_bound(named); at != apart_.end(); ++at) {
      counts -= at->second;
    }
  }
  metadata.counts = counts.text();
  return Commit{place.offset, flow::encode_commit_metadata(place, metadata)};
}

}  // namespace naru::prepper
