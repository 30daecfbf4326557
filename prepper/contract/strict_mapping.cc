#include "prepper/contract/strict_mapping.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>

#include "core/base/address.h"
#include "core/base/clock.h"
#include "prepper/contract/mapping_json.h"

namespace naru::prepper {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

// What a value of a leaf's type may not be; empty: it may.
std::string leaf_refusal(const std::string& type, const element& value) {
  const element_type kind = value.type();
  const bool number =
      kind == element_type::INT64 || kind == element_type::UINT64 || kind == element_type::DOUBLE;
  if (kind == element_type::NULL_VALUE) {
    return {};
  }
  if (kind == element_type::OBJECT) {
    return fmt::format("an object where the mapping has {}", type);
  }
  if (type == "long" || type == "integer" || type == "short" || type == "byte") {
    return kind == element_type::INT64 ? "" : "no whole number that fits";
  }
  if (type == "double" || type == "float" || type == "half_float" || type == "unsigned_long") {
    return number ? "" : "no number";
  }
  if (type == "boolean") {
    return kind == element_type::BOOL ? "" : "no boolean";
  }
  if (type == "date_nanos" || type == "date") {
    std::string_view text;
    const Result<UnixNanos> time = value.get(text) == simdjson::SUCCESS
                                       ? parse_rfc3339(text)
                                       : Result<UnixNanos>(fail(ErrorCode::kInvalidArgument, "no text"));
    return time && *time <= static_cast<UnixNanos>(INT64_MAX) ? "" : "no date in RFC 3339 from 1970 to 2262";
  }
  if (type == "ip") {
    std::string_view text;
    return value.get(text) == simdjson::SUCCESS && is_ip(text) ? "" : "no address";
  }
  return {};  // keyword, text and what takes any scalar
}

// Lucene's limit of a term, for flat_object (values under any path).
void check_terms(const element& value, const std::string& bag, const std::string& path,
                 std::vector<std::string>& out) {
  constexpr std::size_t kTermBytesMax = 32'766;
  object members;
  array items;
  std::string_view text;
  if (value.get(members) == simdjson::SUCCESS) {
    for (const auto& [name, member] : members) {
      check_terms(member, bag, path + "." + std::string(name), out);
    }
  } else if (value.get(items) == simdjson::SUCCESS) {
    for (const element& item : items) {
      check_terms(item, bag, path, out);
    }
  } else if (value.get(text) == simdjson::SUCCESS &&
             bag.size() + 1 + path.size() + 1 + text.size() > kTermBytesMax) {
    out.push_back(fmt::format("{}: a term over 32,766 bytes", path.substr(0, 100)));
  }
}

}  // namespace

template <class Object>
void StrictMapping::read(const Object& properties, const std::string& path) {
  for (const auto& [name, definition] : properties) {
    const std::string full = path.empty() ? std::string(name) : path + "." + std::string(name);
    Field field;
    std::string_view type;
    object inside;
    bool flag = false;
    const bool has_inside = definition["properties"].get(inside) == simdjson::SUCCESS;
    field.type = definition["type"].get(type) == simdjson::SUCCESS ? std::string(type) : "object";
    field.fielddata = definition["fielddata"].get(flag) == simdjson::SUCCESS && flag;
    field.disabled = definition["enabled"].get(flag) == simdjson::SUCCESS && !flag;
    fields_.emplace(full, field);
    if (has_inside) {
      read(inside, full);
    }
  }
}

Result<StrictMapping> StrictMapping::parse(std::string_view text) {
  simdjson::dom::parser parser;
  element root;
  object mapping, properties;
  if (parser.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS ||
      find_mapping(root).get(mapping) != simdjson::SUCCESS ||
      mapping["properties"].get(properties) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("no index mapping with properties in '{}'", text.substr(0, 120)));
  }
  StrictMapping out;
  std::string_view dynamic;
  bool dynamic_flag = false;
  if (mapping["dynamic"].get(dynamic) == simdjson::SUCCESS) {
    out.dynamic_ = dynamic;
  } else if (mapping["dynamic"].get(dynamic_flag) == simdjson::SUCCESS) {
    out.dynamic_ = dynamic_flag ? "true" : "false";
  }
  out.read(properties, "");
  return out;
}

template <class Element>
void StrictMapping::check(const Element& value, const std::string& path,
                          std::vector<std::string>& out) const {
  const auto known = fields_.find(path);
  if (known == fields_.end()) {
    out.push_back(fmt::format("{}: the mapping does not know it (strict_dynamic_mapping_exception)", path));
    return;
  }
  const Field& field = known->second;
  array items;
  if (field.disabled) {
    return;
  }
  if (field.type == "flat_object") {
    object bag;
    if (value.get(bag) != simdjson::SUCCESS) {
      out.push_back(path + ": no object where the mapping has flat_object");
      return;
    }
    check_terms(value, path, path, out);
    return;
  }
  if (value.get(items) == simdjson::SUCCESS) {
    for (const element& item : items) {
      check(item, path, out);
    }
    return;
  }
  object members;
  if (field.type == "object" || field.type == "nested") {
    if (value.get(members) != simdjson::SUCCESS) {
      out.push_back(fmt::format("{}: a scalar where the mapping has {}", path, field.type));
      return;
    }
    for (const auto& [name, member] : members) {
      check(element(member), path + "." + std::string(name), out);
    }
    return;
  }
  if (const std::string refusal = leaf_refusal(field.type, value); !refusal.empty()) {
    out.push_back(fmt::format("{}: {}", path, refusal));
  }
}

std::vector<std::string> StrictMapping::refusals(std::string_view document) const {
  simdjson::dom::parser parser;
  object members;
  if (parser.parse(document.data(), document.size()).get_object().get(members) != simdjson::SUCCESS) {
    return {"the document is no JSON object"};
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : members) {
    check(element(value), std::string(name), out);
  }
  return out;
}

std::vector<std::string> StrictMapping::forbidden() const {
  std::vector<std::string> out;
  for (const auto& [path, field] : fields_) {
    if (field.fielddata) {
      out.push_back(
          fmt::format("{}: fielddata: true loads every term of the field into the heap at its first use and "
                      "can end a node; sort and aggregate on a keyword field instead",
                      path));
    }
  }
  if (dynamic_ != "strict") {
    out.push_back(
        fmt::format("dynamic is '{}': only `strict` keeps the cluster state from growing with the data",
                    dynamic_.empty() ? "true" : dynamic_));
  }
  return out;
}

std::vector<std::string> StrictMapping::differences(const StrictMapping& there) const {
  std::vector<std::string> out;
  for (const auto& [path, field] : fields_) {
    const auto other = there.fields_.find(path);
    if (other == there.fields_.end()) {
      out.push_back(fmt::format("{}: {} here, missing there", path, field.type));
    } else if (other->second.type != field.type) {
      out.push_back(fmt::format("{}: {} here, {} there", path, field.type, other->second.type));
    }
  }
  for (const auto& [path, field] : there.fields_) {
    if (!fields_.contains(path)) {
      out.push_back(fmt::format("{}: missing here, {} there", path, field.type));
    }
  }
  return out;
}

}  // namespace naru::prepper
