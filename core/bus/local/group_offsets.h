// What the groups have committed, durable in a segment log of its own (docs/formats/local-bus.md).
//
// Thread-safe. A commit returns when it is synced; commits that arrive meanwhile share the next sync.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/spool/group_commit_log.h"

namespace naru::bus::local {

class GroupOffsets {
 public:
  struct Stored {
    std::int64_t offset = 0;
    std::string metadata;
  };

  static Result<std::unique_ptr<GroupOffsets>> open(spool::FileSystem& files, const std::string& directory,
                                                    std::chrono::microseconds fsync_interval);

  // kNoSpace, kIo: some of them may have been stored.
  Result<void> commit(const std::string& group, std::span<const Commit> commits);
  std::optional<Stored> find(const std::string& group, const TopicPartition& partition) const;
  // Groups that committed anywhere in `topic`, each with its offset in `partition`, 0 if it has none there.
  std::map<std::string, std::int64_t> positions(const TopicPartition& partition) const;
  // The highest offset that any group committed; 0: none.
  std::int64_t highest(const TopicPartition& partition) const;

  // Writes the live commits anew when most of the log is stale.
  Result<void> shorten();
  std::uint64_t damaged_entries() const { return damaged_; }
  void close() { log_->close(); }

 private:
  using Key = std::pair<std::string, TopicPartition>;  // group first

  GroupOffsets() = default;
  Result<void> load();
  Result<void> append_all(const std::vector<std::string>& entries);

  std::unique_ptr<spool::GroupCommitLog> log_;
  std::uint64_t damaged_ = 0;
  // Shared by commits, exclusive while shortening: a copy of an old commit must not land behind a new one.
  std::shared_mutex order_;
  mutable std::mutex mutex_;  // guards stored_
  std::map<Key, Stored> stored_;
};

}  // namespace naru::bus::local
