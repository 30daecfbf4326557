// The files below RocksDB, which wait while the disk is full.
//
// RocksDB takes a write that fails for lack of space as the end of its writing until the process starts again
// (its change of the write-ahead log is a fatal error). Here such a write waits instead until there is room,
// so a full disk is backpressure: writers stand, readers go on. Other errors go through at once: after a
// failed fsync nobody knows what is on the disk, and the database stays read-only until the next start.
// Thread-safe. One per database; must outlive it.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <string>

namespace naru::store {

class PatientFiles : public rocksdb::FileSystemWrapper {
 public:
  explicit PatientFiles(std::shared_ptr<rocksdb::FileSystem> below);

  // Writers wait for room now.
  bool waiting() const { return waiters_.load(std::memory_order_relaxed) > 0; }
  // From now on a full disk is an error, also for those who wait: before the database is closed.
  void give_up() { impatient_.store(true, std::memory_order_relaxed); }

  const char* Name() const override { return "PatientFiles"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override;

 private:
  friend class PatientFile;
  // Calls `attempt`, which answers an errno or 0, until it answers something else than "no space".
  template <class Attempt>
  int patiently(const std::string& path, Attempt attempt);

  std::atomic<int> waiters_{0};
  std::atomic<bool> impatient_{false};
};

}  // namespace naru::store
