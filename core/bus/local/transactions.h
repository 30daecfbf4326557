// Commits of several records and positions together (docs/formats/local-bus.md): a redo log.
//
// The whole commit is one entry of the log `transactions`: with its fsync it is decided. Then its records and
// positions are written to where they belong. After a crash in between, opening the bus finishes that.
//
// Readers may see some of a commit's records a moment before the others.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/spool/group_commit_log.h"

namespace naru::bus::local {

class Core;
class LocalConsumer;

// Thread-safe: one commit at a time.
class Transactions {
 public:
  // Finishes what a crash left. The topics of `core` are open.
  static Result<std::unique_ptr<Transactions>> open(Core& core, spool::FileSystem& files,
                                                    const std::string& directory);

  // Later commits of lower generations of this id answer kConflict.
  std::uint64_t begin_generation(const std::string& id);
  Result<void> commit(const std::string& id, std::uint64_t generation, const std::vector<OutRecord>& records,
                      LocalConsumer* consumer, std::span<const Commit> positions);

  Result<void> shorten();
  void close() { log_->close(); }

 private:
  struct Destination;
  struct Intent;

  explicit Transactions(Core& core) : core_(core) {}
  Result<void> recover();
  Result<Intent> prepare(const std::vector<OutRecord>& records) const;
  Result<void> apply(const Intent& intent);
  Result<void> finish_applied(std::uint64_t offset);
  static std::string encode(const Intent& intent);
  static Result<Intent> decode(std::string_view payload);
  Result<bool> holds(const Destination& destination) const;

  Core& core_;
  std::unique_ptr<spool::GroupCommitLog> log_;
  std::mutex mutex_;
  std::map<std::string, std::uint64_t> generations_;
};

Result<std::unique_ptr<TransactionalProducer>> make_transactional_producer(std::shared_ptr<Core> core,
                                                                           const std::string& id);

}  // namespace naru::bus::local
