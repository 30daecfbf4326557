// What of one assigned partition is finished, and what a commit of it says: offset, runs, ledger
// (docs/formats/commit-metadata.md). Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/flow/ack_tracker.h"
#include "core/flow/commit_metadata.h"
#include "prepper/consume/partition_ledger.h"

namespace naru::prepper {

class PartitionProgress {
 public:
  // What an earlier owner tells through its commit.
  struct Restored {
    std::vector<flow::OffsetRun> runs;
    LedgerCounts counts;
  };
  // nullopt: the metadata is to be ignored. `high`: the end of the log.
  static std::optional<Restored> read(std::string_view metadata, const flow::CommitPlace& committed,
                                      std::int64_t high);

  PartitionProgress(std::size_t messages_max, std::int64_t start, Restored restored);

  // A message was read; kNew: it is to be worked on.
  flow::AckTracker::Added add(std::int64_t offset, UnixNanos now, UnixMillis timestamp_ms);
  // It is finished, with these counts. A repeated result changes nothing.
  void finish(std::int64_t offset, const LedgerCounts& counts);
  // The log has dropped `records` below `next`: they count as taken in and lost. They travel with the next
  // commit of something finished, which stands behind them.
  void pass_gap(std::uint64_t records, std::int64_t next);

  struct Commit {
    std::int64_t offset = 0;
    std::string metadata;
  };
  // What is to be stored now; nullopt: nothing, or not yet.
  std::optional<Commit> commit(std::string_view cluster_id, std::string_view topic_id) const;
  // What commit() said last is stored.
  void stored() { uncommitted_ = false; }

  const flow::AckTracker& tracker() const { return tracker_; }

 private:
  flow::AckTracker tracker_;
  LedgerCounts finished_;                       // of all that is finished, since the group began
  std::map<std::int64_t, LedgerCounts> apart_;  // thereof messages above tracker_.commit_offset()
  bool uncommitted_ = false;                    // more is finished than is stored
};

}  // namespace naru::prepper
