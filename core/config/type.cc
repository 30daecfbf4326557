#include "core/config/type.h"

#include <fmt/format.h>

#include "core/base/json_text.h"
#include "core/config/schema.h"

namespace naru::config {
namespace {

constexpr std::size_t kRepeatedTextMax = 80;  // characters of a wrong value that an error repeats

std::string kind_words(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kList: return "a list";
    case Value::Kind::kMap: return "a section";
    case Value::Kind::kScalar: return "a single value";
    case Value::Kind::kNull:
    case Value::Kind::kBroken: break;
  }
  return "nothing";
}

void append_bounds(std::string& out, std::string_view low, std::string_view high, const Limits& limits) {
  if (limits.min) {
    out += fmt::format(",\"{}\":{}", low, *limits.min);
  }
  if (limits.max) {
    out += fmt::format(",\"{}\":{}", high, *limits.max);
  }
}

// ${...} anywhere in a text.
constexpr std::string_view kPlaceholderSchema = R"({"type":"string","pattern":"\\$\\{"})";

}  // namespace

std::string Type::show_magnitude(double magnitude) const {
  return fmt::format("{}", magnitude);
}

bool ScalarType::load(const Value& value, const std::string& path, void* out, Report& report) const {
  switch (value.kind) {
    case Value::Kind::kBroken: return false;
    case Value::Kind::kNull:
      report.add(value.place, path, fmt::format("has no value; write {}, or remove the key", name()));
      return false;
    case Value::Kind::kList:
    case Value::Kind::kMap:
      report.add(value.place, path, fmt::format("is {}; write {}", kind_words(value.kind), name()));
      return false;
    case Value::Kind::kScalar: break;
  }
  const Result<void> parsed = parse(value.text, out);
  if (!parsed) {
    const std::string shown = !repeatable() ? "the value"
                              : value.text.size() > kRepeatedTextMax
                                  ? fmt::format("\"{}...\"", value.text.substr(0, kRepeatedTextMax))
                                  : fmt::format("\"{}\"", value.text);
    report.add(value.place, path, fmt::format("{} {}", shown, parsed.error().message()));
    return false;
  }
  return true;
}

std::string BoolType::show(const void* value) const {
  return *static_cast<const bool*>(value) ? "true" : "false";
}

void BoolType::append_json_schema(std::string& out, const Limits&, const void*) const {
  out += fmt::format(R"("anyOf":[{{"type":"boolean"}},{}])", kPlaceholderSchema);
}

Result<void> BoolType::parse(const std::string& text, void* out) const {
  if (text != "true" && text != "false") {
    return fail(ErrorCode::kInvalidArgument, "is neither true nor false; write one of them");
  }
  *static_cast<bool*>(out) = text == "true";
  return {};
}

std::string StringType::show(const void* value) const {
  const auto& text = *static_cast<const std::string*>(value);
  return text.empty() ? std::string() : json_string(text);
}

void StringType::append_json_schema(std::string& out, const Limits& limits, const void*) const {
  out += R"("type":"string")";
  append_bounds(out, "minLength", "maxLength", limits);
}

std::optional<double> StringType::magnitude(const void* value) const {
  return static_cast<double>(static_cast<const std::string*>(value)->size());
}

std::string StringType::show_magnitude(double magnitude) const {
  return fmt::format("{} character{}", magnitude, magnitude == 1 ? "" : "s");
}

Result<void> StringType::parse(const std::string& text, void* out) const {
  *static_cast<std::string*>(out) = text;
  return {};
}

void append_number_schema(std::string& out, std::string_view json_type, const Limits& limits) {
  out += fmt::format(R"("anyOf":[{{"type":"{}")", json_type);
  append_bounds(out, "minimum", "maximum", limits);
  out += fmt::format("}},{}]", kPlaceholderSchema);
}

void append_text_schema(std::string& out, std::string_view example) {
  out += fmt::format(R"("type":["string","integer"],"examples":["{}"])", example);
}

std::string list_words(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    text += '"' + words[i] + '"';
  }
  return text;
}

void append_choice_schema(std::string& out, const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) {
    all += all.empty() ? "" : ",";
    append_json_string(all, word);
  }
  out += fmt::format(R"("anyOf":[{{"enum":[{}]}},{}])", all, kPlaceholderSchema);
}

bool expect_list(const Value& value, const std::string& path, Report& report) {
  switch (value.kind) {
    case Value::Kind::kList:
    case Value::Kind::kNull: return true;
    case Value::Kind::kBroken: return false;
    case Value::Kind::kScalar:
    case Value::Kind::kMap: break;
  }
  report.add(value.place, path,
             fmt::format("is {}; write a list, one \"- item\" a line or [a, b]", kind_words(value.kind)));
  return false;
}

bool expect_map(const Value& value, const std::string& path, Report& report) {
  switch (value.kind) {
    case Value::Kind::kMap:
    case Value::Kind::kNull: return true;
    case Value::Kind::kBroken: return false;
    case Value::Kind::kScalar:
    case Value::Kind::kList: break;
  }
  report.add(value.place, path,
             fmt::format("is {}; write a section of \"key: value\" lines", kind_words(value.kind)));
  return false;
}

void append_list_schema(std::string& out, const Type& item, const Limits& limits) {
  out += R"("type":"array","items":{)";
  item.append_json_schema(out, {}, nullptr);
  out += '}';
  append_bounds(out, "minItems", "maxItems", limits);
}

void append_map_schema(std::string& out, const Type& item) {
  out += R"("type":"object","additionalProperties":{)";
  item.append_json_schema(out, {}, nullptr);
  out += '}';
}

std::string show_items(double count) {
  return fmt::format("{} item{}", count, count == 1 ? "" : "s");
}

}  // namespace naru::config
