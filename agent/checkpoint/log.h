// The agent's state on disk: an append-only log and the state that it leads to.
//
// Does not decide anything; see state.h for the meaning. Thread-safe: one lock, held over the sync.
// A failed write (disk full, I/O error) leaves the state as it was; the next append first writes a snapshot
// to a new file, so a page that the kernel dropped is never relied on.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/checkpoint/state.h"
#include "core/base/result.h"

namespace naru::agent {

enum class Sync { kNo, kYes };

class CheckpointLog {
 public:
  // Makes the directory if needed, locks it and reads what is there. `damaged_bytes`: cut off at the end,
  // kept beside as agent.state.damaged. kConflict: another agent runs on it; kIo, kNoSpace,
  // kPermissionDenied: not writable; kCorrupt, kUnsupported: not this program's state.
  static Result<std::unique_ptr<CheckpointLog>> open(const std::string& directory);
  ~CheckpointLog();
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

 private:
  explicit CheckpointLog(std::string directory);
  Result<void> rewrite();  // snapshot to a new file, rename

  const std::string directory_;
  mutable std::mutex mutex_;
  State state_;
  int lock_fd_ = -1;
  int fd_ = -1;
  bool broken_ = false;
  std::size_t size_ = 0;
  std::size_t snapshot_size_ = 0;
  std::size_t damaged_bytes_ = 0;
};

}  // namespace naru::agent
