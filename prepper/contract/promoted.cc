#include "prepper/contract/promoted.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/config/config.h"

namespace naru::prepper {
namespace {

constexpr std::array<std::pair<std::string_view, FieldType>, 6> kTypes = {{
    {"keyword", FieldType::kKeyword},
    {"long", FieldType::kLong},
    {"double", FieldType::kDouble},
    {"boolean", FieldType::kBoolean},
    {"ip", FieldType::kIp},
    {"date_nanos", FieldType::kDate},
}};

bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

struct Registry {
  std::vector<Promoted> promoted;
};

void describe(config::Schema<Registry>& schema) {
  schema.field("promoted", &Registry::promoted, "Attributes that get a field of their own.")
      .required()
      .max(kPromotedMax);
}

}  // namespace

std::optional<FieldType> field_type(std::string_view opensearch_type) {
  for (const auto& [name, type] : kTypes) {
    if (name == opensearch_type) {
      return type;
    }
  }
  return std::nullopt;
}

std::string_view to_string(FieldType type) {
  for (const auto& [name, known] : kTypes) {
    if (known == type) {
      return name;
    }
  }
  return {};
}

void describe(config::Schema<Promoted>& schema) {
  config::Choices<FieldType> types;
  for (const auto& [name, type] : kTypes) {
    types.emplace_back(name, type);
  }
  schema.field("from", &Promoted::from, "Attribute of the record, else of its resource.").required().min(1);
  schema.field("field", &Promoted::field, "Top-level field; without it `from` with underscores for dots.");
  schema.choice("type", &Promoted::type, "Type of the field in the index templates.", std::move(types))
      .required();
}

Result<std::vector<Promoted>> parse_promoted(std::string_view yaml) {
  NARU_TRY(Registry registry, config::load_text<Registry>(std::string(yaml), "promoted fields"));
  std::vector<Promoted>& entries = registry.promoted;
  for (auto entry = entries.begin(); entry != entries.end(); ++entry) {
    if (entry->field.empty()) {
      entry->field = entry->from;
      std::ranges::replace(entry->field, '.', '_');
    }
    if (!is_field_name(entry->field)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("promoted fields: field '{}' may hold letters, digits and _ only", entry->field));
    }
    if (std::find_if(entries.begin(), entry,
                     [&](const Promoted& other) { return other.field == entry->field; }) != entry) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("promoted fields: '{}' is the field of two entries", entry->field));
    }
  }
  return std::move(entries);
}

}  // namespace naru::prepper
