// The mapping of an index: which fields exist, of which type, and what happens to unknown ones.
//
// A value: an index holds one as shared_ptr<const Mapping> and replaces it to extend it. Not covered:
// analyzers other than standard, null_value, copy_to, dynamic templates; each is refused by name.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/outcome.h"

namespace naru::store {

enum class FieldType : std::uint8_t {
  kObject,
  kNested,  // its documents are checked and kept, not searched
  kFlat,    // flat_object
  kText,    // also match_only_text
  kKeyword,
  kByte,
  kShort,
  kInteger,
  kLong,
  kFloat,
  kDouble,
  kBoolean,
  kDate,
  kDateNanos,
};
enum class Dynamic : std::uint8_t { kInherit, kTrue, kFalse, kStrict };

struct Field {
  std::string name;  // last part of the path
  std::string path;  // "resource.attributes"; empty at the root
  FieldType type = FieldType::kObject;
  Dynamic dynamic = Dynamic::kInherit;
  bool enabled = true;  // object only: false keeps it in _source unread
  bool indexed = true;
  bool in_nested = false;  // below a nested object
  std::uint32_t parent = 0;
  std::uint32_t ignore_above = UINT32_MAX;  // keyword: longer strings (UTF-16 units) are not indexed
  std::uint64_t path_hash = 0;
  std::vector<std::uint32_t> children;                       // properties
  std::vector<std::uint32_t> multi_fields;                   // "fields": other readings of the same value
  std::vector<std::pair<std::string, std::string>> options;  // as given, for GET _mapping

  bool is_date() const { return type == FieldType::kDate || type == FieldType::kDateNanos; }
  bool is_real() const { return type == FieldType::kFloat || type == FieldType::kDouble; }
  bool is_integral() const {  // held as a 64-bit integer: whole numbers, booleans, dates in nanoseconds
    return (type >= FieldType::kByte && type <= FieldType::kLong) || type == FieldType::kBoolean || is_date();
  }
  bool is_object() const { return type == FieldType::kObject || type == FieldType::kNested; }
  bool has_column() const { return type >= FieldType::kKeyword; }
};

std::string_view type_name(FieldType type);

class Mapping {
 public:
  Mapping();  // one root object, dynamic

  // Adds what `mappings` ({"properties":...}) describes. mapper_parsing_exception for what is not understood,
  // illegal_argument_exception for a field that exists with another type. After an error the value is
  // unusable.
  Outcome<void> merge(simdjson::dom::element mappings, std::size_t fields_max);
  // The type that a first value of an unknown field gets under dynamic: true.
  Outcome<void> add_dynamic(std::uint32_t parent, std::string_view name, FieldType type,
                            std::size_t fields_max);

  const Field& root() const { return fields_[0]; }
  const Field& field(std::uint32_t ordinal) const { return fields_[ordinal]; }
  std::uint32_t ordinal(const Field& field) const {
    return static_cast<std::uint32_t>(&field - fields_.data());
  }
  std::size_t size() const { return fields_.size(); }
  const Field* find(std::string_view path) const;
  // The child of `object` named `name`, looking at position `hint` first; `hint` moves behind it.
  const Field* child(const Field& object, std::string_view name, std::size_t& hint) const;
  Dynamic dynamic_of(const Field& object) const;
  bool date_detection() const { return date_detection_; }  // of strings in unknown fields

  // A field for a query, or a leaf below a flat_object (then `leaf` is the path behind the field).
  struct Found {
    const Field* field = nullptr;
    std::string leaf;
  };
  Found resolve(std::string_view path) const;

  std::string to_json() const;  // {"dynamic":"strict","properties":{...}}

 private:
  Outcome<void> merge_object(std::uint32_t object, simdjson::dom::object properties, std::size_t fields_max,
                             int depth);
  Outcome<void> merge_field(std::uint32_t parent, std::string_view name, simdjson::dom::element value,
                            bool multi, std::size_t fields_max, int depth);
  Outcome<std::uint32_t> add(std::uint32_t parent, std::string_view name, FieldType type, bool multi,
                             std::size_t fields_max);
  void append_object(std::string& out, const Field& object) const;
  void append_field(std::string& out, const Field& field) const;

  std::vector<Field> fields_;
  std::unordered_map<std::string, std::uint32_t> by_path_;
  std::vector<std::pair<std::string, std::string>> root_options_;
  bool date_detection_ = true;
};

}  // namespace naru::store
