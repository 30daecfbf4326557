// A YAML text as a tree that remembers where each part stood. yaml-cpp stays behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"

namespace naru::config {

// Counted from 1.
struct Place {
  int line = 1;
  int column = 1;
};

struct Value {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap, kBroken };
  struct Entry;

  Kind kind = Kind::kNull;  // kBroken: already reported, not to be looked at
  Place place;
  std::string text;  // of a scalar, ${...} replaced
  std::vector<Value> items;
  std::vector<Entry> entries;  // keys are unique

  // The entry's value, or nullptr.
  const Value* find(std::string_view key) const;
};

struct Value::Entry {
  std::string key;
  Place place;  // of the key
  Value value;
};

// The errors of one file, in the order of the text.
class Report {
 public:
  explicit Report(std::string file) : file_(std::move(file)) {}

  // `sentence` says what is wrong with the key at `path` and what to do. At most kErrorsMax are kept.
  void add(Place place, std::string_view path, std::string_view sentence);
  bool empty() const { return errors_.empty(); }
  std::size_t size() const { return errors_.size() + left_out_; }
  // Whether the key at `path`, or a section that it stands in, has an error.
  bool covers(std::string_view path) const;
  // One line "file:line:column: path: sentence" per error. kInvalidArgument.
  Error error() const;

  static constexpr std::size_t kErrorsMax = 200;

 private:
  struct Entry {
    Place place;
    std::string path;
    std::string line;
  };
  std::string file_;
  std::vector<Entry> errors_;
  std::size_t left_out_ = 0;
};

// The value of an environment variable, nullopt when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
Environment process_environment();

// Reads one YAML document of at most kNodesMax nodes, nested at most kDepthMax deep (aliases count at each
// use). In scalar values, not in keys,
// ${NAME} becomes the variable's value and ${NAME:-default} the default when it is unset or empty; $${ is a
// literal ${. This happens after parsing, so no value can change the structure. What is wrong goes to
// `report`.
Value parse_yaml(const std::string& text, const Environment& environment, Report& report);

inline constexpr std::size_t kNodesMax = 100'000;
inline constexpr std::size_t kDepthMax = 64;

// "parent.key", or "key" at the top.
std::string join_path(std::string_view parent, std::string_view key);

}  // namespace naru::config
