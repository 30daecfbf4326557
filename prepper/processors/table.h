// Tables that records are enriched from: CSV or JSON files, read again when they change.
//
// A Table is immutable. A TableStore owns the current version of each file; a file that became unreadable or wrong
// keeps its last good version, and problems() says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "prepper/record/event.h"

namespace naru::prepper {

class Table {
 public:
  // CSV: the first row names the columns, "quoted, ""cells""" as in RFC 4180. JSON: an array of objects, or an
  // object of objects by key. `key`: the column that rows are found by (JSON by key: may be empty). The first of
  // two rows with one key counts. kInvalidArgument: names the line or the row.
  static Result<std::shared_ptr<const Table>> parse(const std::string& name, std::string text, const std::string& key);

  // The row of `key`, or nullptr.
  const std::vector<AnyValue>* find(std::string_view key) const {
    const auto row = rows_.find(key);
    return row == rows_.end() ? nullptr : &row->second;
  }
  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return rows_.size(); }

  static constexpr std::size_t kBytesMax = 256u << 20;

 private:
  Result<void> parse_csv(const std::string& key);
  Result<void> parse_json(const std::string& key);
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  std::string text_;
  std::deque<std::string> texts_;  // unescaped cells
  std::vector<std::string> columns_;
  std::unordered_map<std::string_view, std::vector<AnyValue>> rows_;
};

// One file, and the version of it that counts. Thread-safe.
class TableSlot {
 public:
  TableSlot(std::string path, std::string key) : path_(std::move(path)), key_(std::move(key)) {}
  std::shared_ptr<const Table> current() const {
    const std::lock_guard lock(mutex_);
    return table_;
  }
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  const std::string& path() const { return path_; }

 private:
  friend class TableStore;
  Result<void> load();

  const std::string path_, key_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_;
  std::atomic<std::uint64_t> version_{0};
  std::string stamp_;    // of the file as it was last read
  std::string problem_;  // of the last try
};

class TableStore {
 public:
  // The file's slot, loaded at the first call. The error names the file.
  Result<std::shared_ptr<TableSlot>> open(const std::string& path, const std::string& key);
  // Reads files again that changed. On one thread at a time. Returns how many files have a problem.
  std::size_t refresh();
  // "file: what is wrong", for each file that cannot be read as it is now.
  std::vector<std::string> problems() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<TableSlot>> slots_;
};

}  // namespace naru::prepper
