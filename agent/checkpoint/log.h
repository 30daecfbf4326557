// The agent's state on disk: an append-only log and the state that it leads to.
//
// Does not decide anything; see state.h for the meaning. Thread-safe: one lock, held over the sync.
// A failed write (disk full, I/O error) leaves the state as it was; the next append first writes a snapshot
// to a new file, so a page that the kernel dropped is never relied on. What such a write left behind may be
// read after a crash: batches that never left are then in flight and leave once.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/checkpoint/state.h"
#include "core/base/result.h"
#include "core/spool/file_system.h"

namespace naru::agent {

enum class Sync { kNo, kYes };

class CheckpointLog {
 public:
  // Makes the directory if needed, locks it and reads what is there. `damaged_bytes`: cut off at the end,
  // kept beside as agent.state.damaged. A disk that is full or fails is no error: appends fail until it takes
  // something. kConflict: another agent runs on it; kPermissionDenied: not writable; kIo: what is there
  // cannot be read; kCorrupt, kUnsupported: not this program's state. `files` must outlive it.
  static Result<std::unique_ptr<CheckpointLog>> open(spool::FileSystem& files, const std::string& directory);
  CheckpointLog(const CheckpointLog&) = delete;
  CheckpointLog& operator=(const CheckpointLog&) = delete;

  // Applies and writes the payloads as one append. On an error none of them counts.
  Result<void> append(const std::vector<std::string>& payloads, Sync sync);
  // Runs `look` on the state under the lock.
  void read(const std::function<void(const State&)>& look) const;
  // Numbers that no earlier batch or source of this directory had.
  BatchNumber draw_batch();
  SourceKey draw_key();

  std::size_t damaged_bytes() const { return damaged_bytes_; }
  // The last write failed: nothing new is noted until one succeeds. Does not wait for the lock.
  bool failing() const { return failing_.load(std::memory_order_relaxed); }

 private:
  CheckpointLog(spool::FileSystem& files, std::string directory);
  Result<void> rewrite();  // snapshot to a new file, rename
  Result<void> write(std::string_view bytes, Sync sync);

  spool::FileSystem& files_;
  const std::string directory_;
  mutable std::mutex mutex_;
  State state_;
  std::unique_ptr<spool::DirectoryLock> lock_;
  std::unique_ptr<spool::File> file_;
  bool broken_ = true;  // the next append begins with a snapshot
  std::atomic<bool> failing_{false};
  std::size_t size_ = 0;
  std::size_t snapshot_size_ = 0;
  std::size_t damaged_bytes_ = 0;
  std::string damage_;  // not kept beside yet
};

}  // namespace naru::agent
