// The key-value engine below the store (RocksDB 7.8), the only place that knows it.
//
// Three key spaces: kCatalog for small values that are read at start; kData for the parts of full-sized
// blocks, whose values above 1 KiB go to blob files that compaction never rewrites (they go when all of them
// is dropped); kPassing for what is soon replaced, small blocks and id runs, which compaction clears away.
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace naru::store {

enum class Space : std::uint8_t { kCatalog, kData, kPassing };

// Changes that become visible and durable together.
class Batch {
 public:
  Batch();
  ~Batch();
  Batch(Batch&&) noexcept;
  void put(Space space, std::string_view key, std::string_view value);
  void remove(Space space, std::string_view key);
  void remove_range(Space space, std::string_view from, std::string_view to);  // `to` excluded

 private:
  friend class Database;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A view of one moment. Must not outlive the database.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
};

struct DatabaseConfig {
  std::string directory;
  std::size_t cache_bytes = 32u << 20;
  std::size_t write_buffer_bytes = 32u << 20;  // of kData; the other spaces have less
};

class Database {
 public:
  // kConflict: another process has the directory. kCorrupt, kIo, kNoSpace, kPermissionDenied name the file.
  static Result<std::unique_ptr<Database>> open(const DatabaseConfig& config);
  ~Database();

  // `sync`: returns after the write-ahead log is on disk; concurrent callers share one fsync. Waits while the
  // disk is full. kNoSpace: it was full and give_up() was called; kIo: the disk failed, and nothing is taken
  // until the directory is opened again. Nothing of the batch is visible then.
  Result<void> write(Batch batch, bool sync);
  Result<std::optional<std::string>> get(Space space, std::string_view key,
                                         const Snapshot* snapshot = nullptr) const;
  // Every pair whose key begins with `prefix`, in order, until `take` answers false.
  Result<void> scan(Space space, std::string_view prefix,
                    const std::function<bool(std::string_view key, std::string_view value)>& take) const;
  std::shared_ptr<const Snapshot> snapshot() const;
  // Frees the space of a removed range. Slow.
  void compact(Space space, std::string_view from, std::string_view to);
  // Writers stand because the disk is full.
  bool waiting_for_room() const;
  // From now on a full disk is an error, also for those who wait. Nothing is taken afterwards.
  void give_up();
  std::uint64_t disk_bytes() const;

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace naru::store
