// Files that records are enriched from, read again when they change.
//
// A loaded file is immutable. The store owns the current version of each; a file that became unreadable or
// wrong keeps its last good version, and problems() says so. A worker sees the same version while it works on
// one message.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace naru::prepper {

// What a file became: a Table, a GeoDatabase.
class EnrichmentFile {
 public:
  virtual ~EnrichmentFile() = default;
};
using LoadEnrichment = std::function<Result<std::shared_ptr<const EnrichmentFile>>()>;

// One file, and the version of it that counts. Thread-safe.
class EnrichmentSlot {
 public:
  EnrichmentSlot(std::string path, LoadEnrichment load) : path_(std::move(path)), load_(std::move(load)) {}
  std::shared_ptr<const EnrichmentFile> current() const {
    const std::lock_guard lock(mutex_);
    return file_;
  }
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  const std::string& path() const { return path_; }

 private:
  friend class EnrichmentStore;
  // Loads the file when it is another than before.
  Result<void> refresh();

  const std::string path_;
  const LoadEnrichment load_;
  mutable std::mutex mutex_;
  std::shared_ptr<const EnrichmentFile> file_;
  std::atomic<std::uint64_t> version_{0};
  std::string stamp_;    // of the file as it was last read
  std::string problem_;  // of the last try
};

class EnrichmentStore {
 public:
  // The slot of `path` read as `how` says ("csv by name"), loaded at the first call. The error names the
  // file.
  Result<std::shared_ptr<EnrichmentSlot>> open(const std::string& path, const std::string& how,
                                               LoadEnrichment load);
  // Reads files again that changed. On one thread at a time. Returns how many files have a problem.
  std::size_t refresh();
  // "file: what is wrong", for each file that cannot be read as it is now.
  std::vector<std::string> problems() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<EnrichmentSlot>> slots_;
};

// The versions that one worker uses: they stay the same, and alive, while a message is worked on.
class EnrichmentView {
 public:
  template <class File>
  const File& of(const std::shared_ptr<EnrichmentSlot>& slot) {
    for (const Entry& entry : entries_) {
      if (entry.slot == slot) {
        return static_cast<const File&>(*entry.file);
      }
    }
    const std::uint64_t version = slot->version();
    entries_.push_back({slot, slot->current(), version});
    return static_cast<const File&>(*entries_.back().file);
  }
  // Between messages.
  void refresh() {
    for (Entry& entry : entries_) {
      if (const std::uint64_t version = entry.slot->version(); version != entry.version) {
        entry = {entry.slot, entry.slot->current(), version};
      }
    }
  }
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    std::shared_ptr<EnrichmentSlot> slot;
    std::shared_ptr<const EnrichmentFile> file;
    std::uint64_t version;
  };
  std::vector<Entry> entries_;
};

}  // namespace naru::prepper
