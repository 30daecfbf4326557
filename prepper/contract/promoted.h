// The registry of promoted fields (config/mappings/promoted.yaml): attributes that get a typed field of their
// own, because only such fields can be sorted and aggregated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace naru::prepper {

// The types that a promoted field can have.
enum class FieldType : std::uint8_t { kKeyword, kLong, kDouble, kBoolean, kIp, kDate };
std::optional<FieldType> field_type(std::string_view opensearch_type);
std::string_view to_string(FieldType type);

struct Promoted {
  std::string from;   // attribute of the record, else of its resource
  std::string field;  // top-level field of the document
  FieldType type = FieldType::kKeyword;
};

inline constexpr std::size_t kPromotedMax = 64;

// Reads `promoted: [{from, field, type}, ...]`. kInvalidArgument: names the entry and what is wrong with it.
Result<std::vector<Promoted>> parse_promoted(std::string_view yaml);

}  // namespace naru::prepper
