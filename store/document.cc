#include "store/document.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cmath>

#include "store/dates.h"

namespace naru::store {
namespace {

namespace ondemand = simdjson::ondemand;
using Type = ondemand::json_type;

constexpr int kDepthMax = 200;
constexpr std::size_t kPreviewMax = 100;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() &&
         (text.back() == ' ' || text.back() == '\n' || text.back() == '\r' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

// Length in UTF-16 units, as Java counts.
std::size_t utf16_length(std::string_view text) {
  std::size_t units = 0;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    units += (byte & 0xC0) != 0x80;
    units += byte >= 0xF0;
  }
  return units;
}

struct Bounds {
  std::int64_t low, high;
};
Bounds bounds_of(FieldType type) {
  switch (type) {
    case FieldType::kByte: return {INT8_MIN, INT8_MAX};
    case FieldType::kShort: return {INT16_MIN, INT16_MAX};
    case FieldType::kInteger: return {INT32_MIN, INT32_MAX};
    default: return {INT64_MIN, INT64_MAX};
  }
}

}  // namespace

class DocumentReader::Walk {
 public:
  Outcome<void> read(const Mapping& mapping, std::string_view json, std::string_view id, DocumentSink& sink,
                     NewField& learned);

 private:
  Outcome<void> read_object(ondemand::object object, const Field& field, int depth);
  Outcome<void> read_value(ondemand::value value, const Field& field, int depth);
  Outcome<void> read_scalar(ondemand::value value, const Field& field);
  Outcome<void> read_member(ondemand::value value, std::string_view key, const Field& object,
                            std::size_t& hint, int depth);
  Outcome<void> read_flat(ondemand::value value, const Field& field, int depth);
  Outcome<void> emit(const Field& field, std::string_view text, Type type);
  Outcome<void> broken_json(simdjson::error_code code) const;
  Outcome<void> refuse_value(const Field& field, std::string_view preview, std::string cause_type,
                             std::string cause) const;

  ondemand::parser parser_;
  const Mapping* mapping_ = nullptr;
  DocumentSink* sink_ = nullptr;
  NewField* learned_ = nullptr;
  std::string_view id_;
  std::string leaf_;
};

Outcome<void> DocumentReader::Walk::broken_json(simdjson::error_code code) const {
  ApiError error{400,
                 "mapper_parsing_exception",
                 "failed to parse",
                 "json_parse_exception",
                 simdjson::error_message(code),
                 {}};
  return std::unexpected(std::move(error));
}

Outcome<void> DocumentReader::Walk::refuse_value(const Field& field, std::string_view preview,
                                                 std::string cause_type, std::string cause) const {
  ApiError error{
      400,
      "mapper_parsing_exception",
      fmt::format("failed to parse field [{}] of type [{}] in document with id '{}'. Preview of field's "
                  "value: '{}'",
                  field.path, type_name(field.type), id_, preview.substr(0, kPreviewMax)),
      std::move(cause_type),
      std::move(cause),
      {}};
  return std::unexpected(std::move(error));
}

Outcome<void> DocumentReader::Walk::read(const Mapping& mapping, std::string_view json, std::string_view id,
                                         DocumentSink& sink, NewField& learned) {
  mapping_ = &mapping;
  sink_ = &sink;
  learned_ = &learned;
  id_ = id;
  learned.name.clear();
  ondemand::document document;
  if (auto code = parser_.iterate(json, json.size() + simdjson::SIMDJSON_PADDING).get(document)) {
    return broken_json(code);
  }
  ondemand::object object;
  if (auto code = document.get_object().get(object)) {
    return broken_json(code);
  }
  NARU_TRY_VOID(read_object(object, mapping.root(), 1));
  if (learned.name.empty() && document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return broken_json(simdjson::TRAILING_CONTENT);
  }
  return {};
}

Outcome<void> DocumentReader::Walk::read_object(ondemand::object object, const Field& field, int depth) {
  if (depth > kDepthMax) {
    return broken_json(simdjson::DEPTH_ERROR);
  }
  std::size_t hint = 0;
  for (auto member : object) {
    std::string_view key;
    if (auto code = member.unescaped_key().get(key)) {
      return broken_json(code);
    }
    ondemand::value value;
    if (auto code = member.value().get(value)) {
      return broken_json(code);
    }
    NARU_TRY_VOID(read_member(value, key, field, hint, depth));
    if (!learned_->name.empty()) {
      return {};
    }
  }
  return {};
}

Outcome<void> DocumentReader::Walk::read_member(ondemand::value value, std::string_view key,
                                                const Field& object, std::size_t& hint, int depth) {
  if (const Field* child = mapping_->child(object, key, hint)) {
    return read_value(value, *child, depth);
  }
  // "a.b": the member b of the object a.
  const Field* at = &object;
  std::string_view name = key;
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    std::size_t start = 0;
    const Field* next = mapping_->child(*at, name.substr(0, dot), start);
    if (next == nullptr || (!next->is_object() && next->type != FieldType::kFlat)) {
      break;
    }
    name.remove_prefix(dot + 1);
    at = next;
    if (next->type == FieldType::kFlat || !next->enabled) {
      break;
    }
    if (const Field* child = mapping_->child(*at, name, start)) {
      return read_value(value, *child, depth);
    }
  }
  if (at->type == FieldType::kFlat) {
    leaf_.assign(name);
    return read_flat(value, *at, depth);
  }
  Type type;
  if (auto code = value.type().get(type)) {
    return broken_json(code);
  }
  switch (at->enabled ? mapping_->dynamic_of(*at) : Dynamic::kFalse) {
    case Dynamic::kStrict:
      return refuse(
          400, "strict_dynamic_mapping_exception",
          fmt::format("mapping set to strict, dynamic introduction of [{}] within [{}] is not allowed", name,
                      at->path.empty() ? "_doc" : std::string_view(at->path)));
    case Dynamic::kFalse: return {};  // the iteration skips it
    default: break;
  }
  if (name.empty()) {
    return refuse(400, "mapper_parsing_exception", "field name cannot be an empty string");
  }
  const std::size_t dot = name.find('.');
  learned_->parent = mapping_->ordinal(*at);
  learned_->name = name.substr(0, dot);
  if (dot != std::string_view::npos) {
    learned_->type = FieldType::kObject;
    return {};
  }
  if (type == Type::array) {  // the first element decides
    ondemand::array array;
    if (auto code = value.get_array().get(array)) {
      return broken_json(code);
    }
    type = Type::null;
    for (auto element : array) {
      ondemand::value first;
      if (auto code = element.get(first)) {
        return broken_json(code);
      }
      value = first;
      if (auto code = first.type().get(type)) {
        return broken_json(code);
      }
      break;
    }
  }
  switch (type) {
    case Type::object: learned_->type = FieldType::kObject; break;
    case Type::boolean: learned_->type = FieldType::kBoolean; break;
    case Type::number: {
      const std::string_view token = value.raw_json_token();
      learned_->type =
          token.find_first_of(".eE") == std::string_view::npos ? FieldType::kLong : FieldType::kFloat;
      break;
    }
    case Type::string: {
      std::string_view text;
      if (auto code = value.get_string().get(text)) {
        return broken_json(code);
      }
      learned_->type = mapping_->date_detection() && text.size() >= 10 && text[4] == '-' && parse_date(text)
                           ? FieldType::kDate
                           : FieldType::kText;
      break;
    }
    default:  // null or an empty array says nothing about the type
      learned_->name.clear();
  }
  return {};
}

Outcome<void> DocumentReader::Walk::read_value(ondemand::value value, const Field& field, int depth) {
  if (depth > kDepthMax) {
    return broken_json(simdjson::DEPTH_ERROR);
  }
  Type type;
  if (auto code = value.type().get(type)) {
    return broken_json(code);
  }
  if (type == Type::null) {
    if (!value.is_null()) {
      return broken_json(simdjson::N_ATOM_ERROR);
    }
    return {};
  }
  if (!field.enabled) {
    return {};
  }
  if (field.type == FieldType::kFlat) {
    if (type != Type::object) {
      return refuse_value(field, trimmed(value.raw_json_token()), "illegal_argument_exception",
                          fmt::format("[{}] unexpected token, expected an object", field.path));
    }
    leaf_.clear();
    return read_flat(value, field, depth);
  }
  if (type == Type::array) {
    ondemand::array array;
    if (auto code = value.get_array().get(array)) {
      return broken_json(code);
    }
    for (auto element : array) {
      ondemand::value item;
      if (auto code = element.get(item)) {
        return broken_json(code);
      }
      NARU_TRY_VOID(read_value(item, field, depth + 1));
      if (!learned_->name.empty()) {
        return {};
      }
    }
    return {};
  }
  if (field.is_object()) {
    if (type != Type::object) {
      return refuse(
          400, "mapper_parsing_exception",
          fmt::format(
              "object mapping for [{}] tried to parse field [{}] as object, but found a concrete value",
              field.path, field.name));
    }
    ondemand::object object;
    if (auto code = value.get_object().get(object)) {
      return broken_json(code);
    }
    return read_object(object, field, depth + 1);
  }
  return read_scalar(value, field);
}

Outcome<void> DocumentReader::Walk::read_scalar(ondemand::value value, const Field& field) {
  const Type type = value.type();
  std::string_view text;
  if (type == Type::string) {
    if (auto code = value.get_string().get(text)) {
      return broken_json(code);
    }
  } else {
    text = trimmed(value.raw_json_token());
    if (type == Type::object) {
      return refuse_value(field, "{...}", "illegal_state_exception", "Can't get text on a START_OBJECT");
    }
    if (type == Type::number) {
      ondemand::number number;
      if (auto code = value.get_number().get(number); code == simdjson::NUMBER_ERROR) {
        double real = 0;  // longer than 64 bits, or no number at all
        if (const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), real);
            error == std::errc::invalid_argument || end != text.data() + text.size()) {
          return broken_json(code);
        }
      } else if (code != simdjson::SUCCESS) {
        return broken_json(code);
      }
    } else {
      bool flag = false;
      if (auto code = value.get_bool().get(flag)) {
        return broken_json(code);
      }
    }
  }
  NARU_TRY_VOID(emit(field, text, type));
  for (std::uint32_t sub : field.multi_fields) {
    NARU_TRY_VOID(emit(mapping_->field(sub), text, type));
  }
  return {};
}

Outcome<void> DocumentReader::Walk::emit(const Field& field, std::string_view text, Type type) {
  const bool used = field.indexed && !field.in_nested;
  switch (field.type) {
    case FieldType::kText:
      if (used) {
        sink_->text(field, text);
      }
      return {};
    case FieldType::kKeyword:
      if (field.ignore_above < text.size() && utf16_length(text) > field.ignore_above) {
        return {};
      }
      if (text.size() > kTermBytesMax) {
        return illegal(
            fmt::format("Document contains at least one immense term in field=\"{}\" (whose UTF8 encoding is "
                        "longer than the max length {}), all of which were skipped.",
                        field.path, kTermBytesMax));
      }
      if (used) {
        sink_->keyword(field, text);
      }
      return {};
    case FieldType::kBoolean:
      if (text == "true" || text == "false" || (text.empty() && type == Type::string)) {
        if (used) {
          sink_->integral(field, text == "true");
        }
        return {};
      }
      return refuse_value(
          field, text, "illegal_argument_exception",
          fmt::format("Failed to parse value [{}] as only [true] or [false] are allowed.", text));
    case FieldType::kDate:
    case FieldType::kDateNanos: {
      const auto span = type == Type::boolean ? std::nullopt : parse_date(text);
      if (!span) {
        return refuse_value(field, text, "illegal_argument_exception",
                            fmt::format("failed to parse date field [{}] with format "
                                        "[strict_date_optional_time||epoch_millis], or it is "
                                        "outside the range of 1970 to 2262",
                                        text));
      }
      if (used) {
        sink_->integral(field,
                        field.type == FieldType::kDate ? span->first - span->first % kMilli : span->first);
      }
      return {};
    }
    default: break;
  }
  // Numbers: strings are coerced, fractions of whole types cut, as the server does.
  if (type == Type::boolean || text.empty()) {
    return refuse_value(field, text, "number_format_exception",
                        fmt::format("For input string: \"{}\"", text));
  }
  const char* end_of_text = text.data() + text.size();
  if (field.is_real()) {
    double real = 0;
    const auto [end, error] = std::from_chars(text.data(), end_of_text, real);
    if (error != std::errc() || end != end_of_text || !std::isfinite(real) ||
        (field.type == FieldType::kFloat && !std::isfinite(static_cast<float>(real)))) {
      return refuse_value(
          field, text, "illegal_argument_exception",
          fmt::format("[{}] supports only finite values, but got [{}]", type_name(field.type), text));
    }
    if (used) {
      sink_->real(field,
                  field.type == FieldType::kFloat ? static_cast<double>(static_cast<float>(real)) : real);
    }
    return {};
  }
  std::int64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), end_of_text, whole);
  const Bounds bounds = bounds_of(field.type);
  if (error != std::errc() || end != end_of_text) {
    double real = 0;
    const auto [real_end, real_error] = std::from_chars(text.data(), end_of_text, real);
    if (real_error == std::errc::invalid_argument || real_end != end_of_text || std::isnan(real)) {
      return refuse_value(field, text, "number_format_exception",
                          fmt::format("For input string: \"{}\"", text));
    }
    if (real_error != std::errc() || !(real >= -9223372036854775808.0 && real < 9223372036854775808.0)) {
      return refuse_value(field, text, "illegal_argument_exception",
                          fmt::format("Value [{}] is out of range for a {}", text, type_name(field.type)));
    }
    whole = static_cast<std::int64_t>(real);
  }
  if (whole < bounds.low || whole > bounds.high) {
    return refuse_value(field, text, "illegal_argument_exception",
                        fmt::format("Value [{}] is out of range for a {}", text, type_name(field.type)));
  }
  if (used) {
    sink_->integral(field, whole);
  }
  return {};
}

Outcome<void> DocumentReader::Walk::read_flat(ondemand::value value, const Field& field, int depth) {
  if (depth > kDepthMax) {
    return broken_json(simdjson::DEPTH_ERROR);
  }
  Type type;
  if (auto code = value.type().get(type)) {
    return broken_json(code);
  }
  switch (type) {
    case Type::object: {
      ondemand::object object;
      if (auto code = value.get_object().get(object)) {
        return broken_json(code);
      }
      const std::size_t size = leaf_.size();
      const bool top = size == 0;
      for (auto member : object) {
        std::string_view key;
        if (auto code = member.unescaped_key().get(key)) {
          return broken_json(code);
        }
        if (!top) {
          leaf_ += '.';
        }
        leaf_ += key;
        ondemand::value child;
        if (auto code = member.value().get(child)) {
          return broken_json(code);
        }
        NARU_TRY_VOID(read_flat(child, field, depth + 1));
        leaf_.resize(size);
      }
      return {};
    }
    case Type::array: {
      ondemand::array array;
      if (auto code = value.get_array().get(array)) {
        return broken_json(code);
      }
      for (auto element : array) {
        ondemand::value item;
        if (auto code = element.get(item)) {
          return broken_json(code);
        }
        NARU_TRY_VOID(read_flat(item, field, depth + 1));
      }
      return {};
    }
    case Type::null:
      if (!value.is_null()) {
        return broken_json(simdjson::N_ATOM_ERROR);
      }
      return {};
    case Type::string: {
      std::string_view text;
      if (auto code = value.get_string().get(text)) {
        return broken_json(code);
      }
      if (text.size() + leaf_.size() + field.path.size() + 2 > kTermBytesMax) {
        return illegal(fmt::format(
            "Document contains at least one immense term in field=\"{}._valueAndPath\" (whose UTF8 "
            "encoding is longer than the max length {}), all of which were skipped.",
            field.path, kTermBytesMax));
      }
      if (field.indexed && !field.in_nested) {
        sink_->flat(field, leaf_, text);
      }
      return {};
    }
    default: {
      const std::string_view text = trimmed(value.raw_json_token());
      if (type == Type::boolean) {
        bool flag = false;
        if (auto code = value.get_bool().get(flag)) {
          return broken_json(code);
        }
      } else {
        ondemand::number number;
        if (auto code = value.get_number().get(number);
            code != simdjson::SUCCESS && code != simdjson::NUMBER_ERROR) {
          return broken_json(code);
        }
      }
      if (field.indexed && !field.in_nested) {
        sink_->flat(field, leaf_, text);
      }
      return {};
    }
  }
}

DocumentReader::DocumentReader() : walk_(std::make_unique<Walk>()) {}
DocumentReader::~DocumentReader() = default;

Outcome<void> DocumentReader::read(const Mapping& mapping, std::string_view json, std::string_view id,
                                   DocumentSink& sink, NewField& learned) {
  return walk_->read(mapping, json, id, sink, learned);
}

}  // namespace naru::store
