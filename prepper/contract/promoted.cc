#include "prepper/contract/promoted.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <utility>

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

Result<Promoted> parse_entry(const YAML::Node& entry, std::size_t index) {
  const auto bad = [&](std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("promoted fields, line {}, entry {}: {}",
                                                         entry.Mark().line + 1, index + 1, what));
  };
  if (!entry.IsMap()) {
    return bad("write {from: attribute.name, type: keyword}");
  }
  Promoted out;
  std::string type;
  for (const auto& pair : entry) {
    const auto key = pair.first.as<std::string>();
    if (!pair.second.IsScalar()) {
      return bad(fmt::format("'{}' must be a text", key));
    }
    if (key == "from") {
      out.from = pair.second.as<std::string>();
    } else if (key == "field") {
      out.field = pair.second.as<std::string>();
    } else if (key == "type") {
      type = pair.second.as<std::string>();
    } else {
      return bad(fmt::format("unknown key '{}'; there are from, field and type", key));
    }
  }
  if (out.from.empty()) {
    return bad("'from' is missing: the name of the attribute");
  }
  if (out.field.empty()) {
    out.field = out.from;
    std::ranges::replace(out.field, '.', '_');
  }
  if (!is_field_name(out.field)) {
    return bad(fmt::format("field '{}' may hold letters, digits and _ only", out.field));
  }
  const std::optional<FieldType> known = field_type(type);
  if (!known.has_value()) {
    return bad(fmt::format("type '{}' is none of keyword, long, double, boolean, ip, date_nanos", type));
  }
  out.type = *known;
  return out;
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

Result<std::vector<Promoted>> parse_promoted(std::string_view yaml) {
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    const YAML::Node list = root.IsMap() ? root["promoted"] : YAML::Node();
    if (!list.IsDefined() || !list.IsSequence()) {
      return fail(ErrorCode::kInvalidArgument, "promoted fields: the file must hold a list named 'promoted'");
    }
    if (list.size() > kPromotedMax) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("promoted fields: {} entries, at most {} are possible", list.size(), kPromotedMax));
    }
    std::vector<Promoted> out;
    for (std::size_t i = 0; i < list.size(); ++i) {
      NARU_TRY(Promoted entry, parse_entry(list[i], i));
      if (std::ranges::find(out, entry.field, &Promoted::field) != out.end()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("promoted fields: '{}' is the field of two entries", entry.field));
      }
      out.push_back(std::move(entry));
    }
    return out;
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("promoted fields: {}", error.what()));
  }
}

}  // namespace naru::prepper
