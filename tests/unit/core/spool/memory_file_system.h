// A file system in memory that fails on command and loses what was not synced, for crash tests.
//
// It models what a disk may do, not what ext4 does: a power cut keeps, drops or tears unsynced bytes per
// sector, and drops unsynced directory entries; after a failed sync the bytes stay readable but are never
// written. Thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/spool/file_system.h"

namespace naru::spool {

class MemoryFileSystem final : public FileSystem {
 public:
  static constexpr std::size_t kSector = 64;  // small, so that small tests tear

  MemoryFileSystem();
  ~MemoryFileSystem() override;

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> create_directories(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;
  Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& path) override;

  // Calls that change or sync something are numbered from 1.
  std::uint64_t calls() const;
  // That call, and no other, fails with `code`; a failing write writes half of its bytes.
  void fail_call(std::uint64_t number, ErrorCode code);
  // From that call on everything fails, until power_cut().
  void die_at(std::uint64_t number);
  // Files together may hold so many bytes; writes beyond write what fits and fail with kNoSpace.
  void set_space(std::uint64_t bytes);
  void fail_syncs(bool fail);
  void fail_truncates(bool fail);

  // Forgets what was not synced: all of it, or (with a seed) a random choice of sectors and of directory
  // entries. Open files and locks of before are dead.
  void power_cut(std::optional<std::uint64_t> seed = std::nullopt);

  // Direct access to what is on the disk, as seen by a reader.
  std::string contents(const std::string& path) const;
  void overwrite(const std::string& path, const std::string& contents);
  std::vector<std::string> paths() const;

 private:
  struct Inode;
  class MemoryFile;
  class MemoryLock;
  using Entries = std::map<std::string, std::shared_ptr<Inode>>;

  std::optional<Error> next_call();
  std::uint64_t used() const;

  mutable std::mutex mutex_;
  Entries now_;      // what processes see
  Entries durable_;  // what a power cut leaves
  std::set<std::string> directories_;
  std::set<std::string> locked_;
  std::uint64_t life_ = 0;  // power cuts so far; files of another life are dead
  std::uint64_t calls_ = 0;
  std::map<std::uint64_t, ErrorCode> failing_calls_;
  std::uint64_t die_at_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t space_ = std::numeric_limits<std::uint64_t>::max();
  bool fail_syncs_ = false;
  bool fail_truncates_ = false;
};

}  // namespace naru::spool
