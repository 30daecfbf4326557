// Tables that records are enriched from: CSV or JSON. Immutable.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "prepper/processors/enrichment.h"
#include "prepper/record/event.h"

namespace naru::prepper {

class Table : public EnrichmentFile {
 public:
  // CSV: the first row names the columns, "quoted, ""cells""" as in RFC 4180. JSON: an array of objects, or
  // an object of objects by key. `key`: the column that rows are found by (JSON by key: may be empty). The
  // first of two rows with one key counts. kInvalidArgument: names the line or the row.
  static Result<std::shared_ptr<const Table>> parse(const std::string& name, std::string text,
                                                    const std::string& key);

  // A file of at most kBytesMax. kIo, kTooLarge besides.
  static Result<std::shared_ptr<const EnrichmentFile>> load(const std::string& path, const std::string& key);

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

}  // namespace naru::prepper
