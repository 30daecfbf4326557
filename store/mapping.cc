#include "store/mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/json_text.h"
#include "store/dates.h"
#include "store/token_filter.h"

namespace naru::store {
namespace {

namespace dom = simdjson::dom;

constexpr int kDepthMax = 20;  // OpenSearch's index.mapping.depth.limit

struct TypeName {
  std::string_view name;
  FieldType type;
};
constexpr TypeName kTypes[] = {
    {"object", FieldType::kObject},
    {"nested", FieldType::kNested},
    {"flat_object", FieldType::kFlat},
    {"text", FieldType::kText},
    {"keyword", FieldType::kKeyword},
    {"byte", FieldType::kByte},
    {"short", FieldType::kShort},
    {"integer", FieldType::kInteger},
    {"long", FieldType::kLong},
    {"float", FieldType::kFloat},
    {"double", FieldType::kDouble},
    {"boolean", FieldType::kBoolean},
    {"date", FieldType::kDate},
    {"date_nanos", FieldType::kDateNanos},
    {"match_only_text", FieldType::kText},
};

std::unexpected<ApiError> broken(std::string reason) {
  return refuse(400, "mapper_parsing_exception", std::move(reason));
}

std::optional<bool> as_bool(dom::element value) {
  bool flag = false;
  if (value.get(flag) == simdjson::SUCCESS) {
    return flag;
  }
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS && (text == "true" || text == "false")) {
    return text == "true";
  }
  return std::nullopt;
}

std::optional<Dynamic> as_dynamic(dom::element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS && text == "strict") {
    return Dynamic::kStrict;
  }
  const auto flag = as_bool(value);
  return flag ? std::optional(*flag ? Dynamic::kTrue : Dynamic::kFalse) : std::nullopt;
}

// Parameters that change nothing here, by type; everything else is refused by name.
bool passive(FieldType type, std::string_view key) {
  switch (type) {
    case FieldType::kText: return key == "norms" || key == "index_options";
    case FieldType::kKeyword: return key == "norms" || key == "doc_values" || key == "eager_global_ordinals";
    case FieldType::kObject:
    case FieldType::kNested:
    case FieldType::kFlat: return false;
    default: return key == "doc_values";
  }
}

}  // namespace

std::string_view type_name(FieldType type) {
  return std::ranges::find(kTypes, type, &TypeName::type)->name;
}

Mapping::Mapping() {
  fields_.emplace_back();
  by_path_.emplace("", 0);
}

const Field* Mapping::find(std::string_view path) const {
  const auto found = by_path_.find(std::string(path));
  return found == by_path_.end() ? nullptr : &fields_[found->second];
}

const Field* Mapping::child(const Field& object, std::string_view name, std::size_t& hint) const {
  const std::size_t count = object.children.size();
  if (hint >= count) {
    hint = 0;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = hint + i < count ? hint + i : hint + i - count;
    const Field& field = fields_[object.children[at]];
    if (field.name == name) {
      hint = at + 1 == count ? 0 : at + 1;
      return &field;
    }
  }
  return nullptr;
}

Dynamic Mapping::dynamic_of(const Field& object) const {
  const Field* at = &object;
  while (at->dynamic == Dynamic::kInherit && at != &fields_[0]) {
    at = &fields_[at->parent];
  }
  return at->dynamic == Dynamic::kInherit ? Dynamic::kTrue : at->dynamic;
}

Mapping::Found Mapping::resolve(std::string_view path) const {
  if (const Field* field = find(path)) {
    return {field, {}};
  }
  for (std::size_t dot = path.rfind('.'); dot != std::string_view::npos && dot > 0;
       dot = path.rfind('.', dot - 1)) {
    const Field* field = find(path.substr(0, dot));
    if (field != nullptr && field->type == FieldType::kFlat) {
      return {field, std::string(path.substr(dot + 1))};
    }
  }
  return {};
}

Outcome<std::uint32_t> Mapping::add(std::uint32_t parent, std::string_view name, FieldType type, bool multi,
                                    std::size_t fields_max) {
  if (fields_.size() > fields_max) {
    return illegal(fmt::format("Limit of total fields [{}] has been exceeded", fields_max));
  }
  const auto ordinal = static_cast<std::uint32_t>(fields_.size());
  Field field;
  field.name = name;
  field.path =
      fields_[parent].path.empty() ? std::string(name) : fmt::format("{}.{}", fields_[parent].path, name);
  field.type = type;
  field.parent = parent;
  field.in_nested = fields_[parent].in_nested || fields_[parent].type == FieldType::kNested;
  field.path_hash = value_hash(field.path);
  by_path_.emplace(field.path, ordinal);
  fields_.push_back(std::move(field));
  (multi ? fields_[parent].multi_fields : fields_[parent].children).push_back(ordinal);
  return ordinal;
}

Outcome<void> Mapping::add_dynamic(std::uint32_t parent, std::string_view name, FieldType type,
                                   std::size_t fields_max) {
  NARU_TRY(const std::uint32_t field, add(parent, name, type, false, fields_max));
  if (type == FieldType::kText) {
    NARU_TRY(const std::uint32_t keyword, add(field, "keyword", FieldType::kKeyword, true, fields_max));
    fields_[keyword].ignore_above = 256;
    fields_[keyword].options.emplace_back("ignore_above", "256");
  }
  return {};
}

Outcome<void> Mapping::merge(dom::element mappings, std::size_t fields_max) {
  dom::object object;
  if (mappings.get(object) != simdjson::SUCCESS) {
    return broken("Failed to parse mapping [_doc]: expected an object");
  }
  for (auto [key, value] : object) {
    if (key == "properties") {
      dom::object properties;
      if (value.get(properties) != simdjson::SUCCESS) {
        return broken("Expected map for property [properties]");
      }
      NARU_TRY_VOID(merge_object(0, properties, fields_max, 1));
    } else if (key == "dynamic") {
      const auto dynamic = as_dynamic(value);
      if (!dynamic) {
        return broken(fmt::format("unsupported value for [dynamic]: {}", simdjson::minify(value)));
      }
      fields_[0].dynamic = *dynamic;
    } else if ((key == "date_detection" || key == "numeric_detection") && as_bool(value) == false) {
      std::erase_if(root_options_, [&](const auto& option) { return option.first == key; });
      root_options_.emplace_back(key, "false");
    } else if (key == "_meta") {
      std::erase_if(root_options_, [](const auto& option) { return option.first == "_meta"; });
      root_options_.emplace_back(key, simdjson::minify(value));
    } else {
      return broken(fmt::format("Root mapping definition has unsupported parameters:  [{} : {}]",
                                std::string_view(key), simdjson::minify(value)));
    }
  }
  return {};
}

Outcome<void> Mapping::merge_object(std::uint32_t object, dom::object properties, std::size_t fields_max,
                                    int depth) {
  if (depth > kDepthMax) {
    return illegal(fmt::format("Limit of mapping depth [{}] has been exceeded due to object field [{}]",
                               kDepthMax, fields_[object].path));
  }
  for (auto [key, value] : properties) {
    NARU_TRY_VOID(merge_field(object, key, value, false, fields_max, depth));
  }
  return {};
}

Outcome<void> Mapping::merge_field(std::uint32_t parent, std::string_view name, dom::element value,
                                   bool multi, std::size_t fields_max, int depth) {
  dom::object body;
  if (value.get(body) != simdjson::SUCCESS) {
    return broken(fmt::format("Expected map for property [fields] on field [{}]", name));
  }
  if (name.empty() || name.find('.') != std::string_view::npos) {
    return broken(fmt::format("field name [{}] must not be empty or hold a dot", name));
  }
  FieldType type = FieldType::kObject;
  std::string_view declared;
  if (body["type"].get(declared) == simdjson::SUCCESS) {
    const auto* found = std::ranges::find(kTypes, declared, &TypeName::name);
    if (found == std::end(kTypes)) {
      return broken(fmt::format("No handler for type [{}] declared on field [{}]", declared, name));
    }
    type = found->type;
  } else if (multi) {
    return broken(fmt::format("No type specified for field [{}]", name));
  }
  const std::string path =
      fields_[parent].path.empty() ? std::string(name) : fmt::format("{}.{}", fields_[parent].path, name);
  std::uint32_t ordinal = 0;
  if (const Field* existing = find(path)) {
    if (existing->type != type) {
      return illegal(fmt::format("mapper [{}] cannot be changed from type [{}] to [{}]", path,
                                 type_name(existing->type), type_name(type)));
    }
    ordinal = this->ordinal(*existing);
  } else {
    NARU_TRY(ordinal, add(parent, name, type, multi, fields_max));
  }
  fields_[ordinal].options.clear();
  for (auto [key, option] : body) {
    const auto unsupported = [&, parameter = std::string_view(key), given = option] {
      return broken(
          fmt::format("unknown or unsupported parameter [{}] with value [{}] on mapper [{}] of type [{}]",
                      parameter, simdjson::minify(given), name, type_name(type)));
    };
    bool echo = true;
    const bool object = fields_[ordinal].is_object();
    if (key == "type") {
      echo = false;
      if (std::string_view text; option.get(text) == simdjson::SUCCESS && text == "match_only_text") {
        fields_[ordinal].options.emplace_back("type", "\"match_only_text\"");
      }
    } else if (object && key == "properties") {
      dom::object properties;
      if (option.get(properties) != simdjson::SUCCESS) {
        return unsupported();
      }
      NARU_TRY_VOID(merge_object(ordinal, properties, fields_max, depth + 1));
      echo = false;
    } else if (object && key == "dynamic") {
      const auto dynamic = as_dynamic(option);
      if (!dynamic) {
        return unsupported();
      }
      fields_[ordinal].dynamic = *dynamic;
    } else if (type == FieldType::kObject && key == "enabled" && as_bool(option)) {
      fields_[ordinal].enabled = *as_bool(option);
    } else if (!object && type != FieldType::kFlat && !multi && key == "fields") {
      dom::object multi_fields;
      if (option.get(multi_fields) != simdjson::SUCCESS) {
        return unsupported();
      }
      for (auto [sub, definition] : multi_fields) {
        NARU_TRY_VOID(merge_field(ordinal, sub, definition, true, fields_max, depth + 1));
      }
      echo = false;
    } else if (type == FieldType::kKeyword && key == "ignore_above") {
      std::uint64_t limit = 0;
      if (option.get(limit) != simdjson::SUCCESS || limit > UINT32_MAX) {
        return unsupported();
      }
      fields_[ordinal].ignore_above = static_cast<std::uint32_t>(limit);
    } else if (!object && type != FieldType::kFlat && key == "index" && as_bool(option)) {
      fields_[ordinal].indexed = *as_bool(option);
    } else if (fields_[ordinal].is_date() && key == "format") {
      std::string_view format;
      if (option.get(format) != simdjson::SUCCESS || !date_format(format)) {
        return unsupported();
      }
    } else if (type == FieldType::kText && key == "analyzer") {
      std::string_view analyzer;
      if (option.get(analyzer) != simdjson::SUCCESS || analyzer != "standard") {
        return unsupported();
      }
    } else if (!passive(type, key)) {
      return unsupported();
    }
    if (echo) {
      fields_[ordinal].options.emplace_back(key, simdjson::minify(option));
    }
  }
  return {};
}

void Mapping::append_field(std::string& out, const Field& field) const {
  out += json_string(field.name);
  out += ":{";
  const char* comma = "";
  const bool named =
      std::ranges::any_of(field.options, [](const auto& option) { return option.first == "type"; });
  if (field.type != FieldType::kObject && !named) {
    out += fmt::format("\"type\":\"{}\"", type_name(field.type));
    comma = ",";
  }
  for (const auto& [key, value] : field.options) {
    out += fmt::format("{}\"{}\":{}", comma, key, value);
    comma = ",";
  }
  if (field.is_object() && !field.children.empty()) {
    out += comma;
    append_object(out, field);
  }
  if (!field.multi_fields.empty()) {
    out += fmt::format("{}\"fields\":{{", comma);
    const char* separator = "";
    for (std::uint32_t sub : field.multi_fields) {
      out += separator;
      append_field(out, fields_[sub]);
      separator = ",";
    }
    out += '}';
  }
  out += '}';
}

void Mapping::append_object(std::string& out, const Field& object) const {
  out += "\"properties\":{";
  const char* comma = "";
  for (std::uint32_t ordinal : object.children) {
    out += comma;
    append_field(out, fields_[ordinal]);
    comma = ",";
  }
  out += '}';
}

std::string Mapping::to_json() const {
  std::string out = "{";
  if (fields_[0].dynamic != Dynamic::kInherit) {
    out += fields_[0].dynamic == Dynamic::kStrict ? "\"dynamic\":\"strict\","
           : fields_[0].dynamic == Dynamic::kTrue ? "\"dynamic\":\"true\","
                                                  : "\"dynamic\":\"false\",";
  }
  for (const auto& [key, value] : root_options_) {
    out += fmt::format("\"{}\":{},", key, value);
  }
  if (!fields_[0].children.empty()) {
    append_object(out, fields_[0]);
  } else if (out.back() == ',') {
    out.pop_back();
  }
  out += '}';
  return out;
}

}  // namespace naru::store
