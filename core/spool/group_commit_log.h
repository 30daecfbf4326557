// A segment log that many threads append to: one writer thread gathers what waits, writes it with one call,
// syncs once, and then answers every caller of the group.
//
// Does not retry an entry: a caller that is answered with an error keeps it and sends it again. A full or
// failing disk is an answer, never an exit. After a failed group, appends are refused at once for
// `probe_interval`; then the next group tries the disk again.
//
// Thread-safe. Callbacks and the listener run on the writer thread and must not block.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "core/spool/segment_log.h"

namespace naru::spool {

struct GroupCommitConfig {
  SegmentLogConfig log;
  // Least time from one fsync to the next under load; an entry that finds the log idle is synced at once.
  // So no entry waits longer than this and the fsync before. At most one second.
  std::chrono::microseconds interval{5000};
  std::size_t group_bytes = 4u << 20;         // a group of this size does not wait for the interval
  std::size_t pending_bytes_max = 64u << 20;  // waiting or being written; kOverloaded beyond
  std::chrono::milliseconds probe_interval{250};
};
Result<void> validate(const GroupCommitConfig& config);

// An entry that the log takes over. The payload is `head` and `body`, one behind the other.
struct OwnedEntry {
  std::string head{};
  std::string body{};
  std::uint8_t flags = 0;
};

// The offset of the durable entry, or an error: not known to be durable.
using AppendCallback = std::move_only_function<void(Result<std::uint64_t>)>;

struct GroupStats {
  std::uint64_t groups = 0;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  // of payloads that became durable
  std::uint64_t failed_groups = 0;
  std::uint64_t commit_nanos = 0;  // spent in write and fsync
  std::uint64_t pending_bytes = 0;
};

class GroupCommitLog {
 public:
  // `on_durable` is called after each group and each advance_to(), when readers see more. Errors as
  // SegmentLog::open().
  static Result<std::unique_ptr<GroupCommitLog>> open(FileSystem& files, GroupCommitConfig config,
                                                      std::function<void()> on_durable = {});
  // As close().
  ~GroupCommitLog();

  // Takes the entry and answers through `done`, exactly once. On error `entry` is left as it was and `done`
  // is not called. kTooLarge; kOverloaded: `pending_bytes_max` or the log's `bytes_max`; kNoSpace, kIo: the
  // disk failed less than `probe_interval` ago; kCancelled: closed.
  Result<void> append(OwnedEntry& entry, AppendCallback done);
  // append() and the wait for its answer, for callers that have nothing else to do.
  Result<std::uint64_t> append_wait(OwnedEntry entry);

  // Waits until an entry with this offset is durable. False: `wait` went by.
  bool wait_for(std::uint64_t offset, std::chrono::microseconds wait);

  Result<void> roll();
  Result<void> advance_to(std::uint64_t offset);

  // Writes what waits, answers it, ends the thread. Appends are refused from then on; reading goes on.
  void close();

  // For readers, trim and replace; appending through it breaks the order of this class.
  SegmentLog& log() { return *log_; }
  // Why the last group failed; nullopt while the disk takes what it is given.
  std::optional<Error> failure() const;
  GroupStats stats() const;

 private:
  struct Pending {
    OwnedEntry entry;
    std::uint32_t crc;
    AppendCallback done;
  };

  GroupCommitLog(GroupCommitConfig config, std::function<void()> on_durable);
  void run();
  void commit(std::vector<Pending>& group, std::size_t bytes);
  Result<void> refusal(std::size_t bytes) const;

  const GroupCommitConfig config_;
  const std::function<void()> on_durable_;
  std::unique_ptr<SegmentLog> log_;
  std::mutex writer_mutex_;  // serializes what writes; taken before mutex_

  mutable std::mutex mutex_;
  std::condition_variable work_;     // for the writer thread
  std::condition_variable durable_;  // for wait_for()
  std::vector<Pending> pending_;
  std::size_t pending_bytes_ = 0;  // waiting
  std::size_t writing_bytes_ = 0;
  std::optional<Error> failure_;
  std::uint64_t probe_at_ = 0;  // monotonic nanoseconds
  GroupStats stats_;
  bool closed_ = false;
  std::thread thread_;  // started by the first append

  std::vector<EntryParts> parts_;  // the writer's scratch
};

}  // namespace naru::spool
