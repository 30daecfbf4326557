#include "naru/rules/stored.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "core/base/json_text.h"
#include "core/otlp/json.h"

namespace naru {
namespace {

namespace dom = simdjson::dom;

std::string value_json(const dom::element& value) {
  switch (value.type()) {
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
      return fmt::format(R"({{"intValue":"{}"}})", std::string(simdjson::minify(value)));
    case dom::element_type::DOUBLE:
      return fmt::format(R"({{"doubleValue":{}}})", std::string(simdjson::minify(value)));
    case dom::element_type::BOOL:
      return fmt::format(R"({{"boolValue":{}}})", std::string(simdjson::minify(value)));
    case dom::element_type::STRING:
      return fmt::format(R"({{"stringValue":{}}})", std::string(simdjson::minify(value)));
    default: {
      std::string out = R"({"stringValue":)";
      append_json_string(out, std::string(simdjson::minify(value)));
      return out + "}";
    }
  }
}

std::string attributes_json(const dom::object& object) {
  std::string out = "[";
  for (const auto [key, value] : object) {
    out += out.size() > 1 ? ",{\"key\":" : "{\"key\":";
    append_json_string(out, key);
    out += ",\"value\":" + value_json(value) + "}";
  }
  return out + "]";
}

std::string attributes_at(const dom::element& root, std::string_view pointer) {
  dom::object object;
  return root.at_pointer(pointer).get(object) == simdjson::SUCCESS ? attributes_json(object) : "[]";
}

UnixNanos time_at(const dom::element& root, std::string_view pointer) {
  std::string_view text;
  return root.at_pointer(pointer).get(text) == simdjson::SUCCESS ? parse_rfc3339(text).value_or(0) : 0;
}

std::int64_t int_at(const dom::element& root, std::string_view pointer) {
  std::int64_t number = 0;
  return root.at_pointer(pointer).get(number) == simdjson::SUCCESS ? number : 0;
}

std::string text_at(const dom::element& root, std::string_view pointer) {
  std::string_view text;
  std::string out;
  append_json_string(out,
                     root.at_pointer(pointer).get(text) == simdjson::SUCCESS ? text : std::string_view());
  return out;
}

std::int32_t kind_number(std::string_view kind) {
  for (std::int32_t number = 1; number <= 5; ++number) {
    if (otlp::span_kind(number) == kind) {
      return number;
    }
  }
  return 0;
}

}  // namespace

Result<StoredRecord> record_of(otlp::Signal signal, std::string_view source) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(source.data(), source.size()).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return fail(ErrorCode::kInvalidArgument, "the document is no JSON object");
  }
  StoredRecord out;
  out.at = time_at(root, "/@timestamp");
  if (out.at == 0) {
    return fail(ErrorCode::kInvalidArgument, "the document has no @timestamp");
  }
  const std::string resource = attributes_at(root, "/resource/attributes");
  const std::string attributes = attributes_at(root, "/attributes");
  std::string json;
  if (signal == otlp::Signal::kLogs) {
    json = fmt::format(
        R"({{"resourceLogs":[{{"resource":{{"attributes":{}}},"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{}",)"
        R"("severityNumber":{},"severityText":{},"body":{{"stringValue":{}}},"attributes":{}}}]}}]}}]}})",
        resource, out.at, int_at(root, "/severity/number"), text_at(root, "/severity/text"),
        text_at(root, "/body"), attributes);
  } else if (signal == otlp::Signal::kTraces) {
    std::string_view kind;
    if (root.at_pointer("/kind").get(kind) != simdjson::SUCCESS) {
      kind = {};
    }
    const UnixNanos start = time_at(root, "/startTime");
    const UnixNanos end = start + static_cast<UnixNanos>(int_at(root, "/durationInNanos"));
    out.at = std::max(out.at, end);
    json = fmt::format(
        R"({{"resourceSpans":[{{"resource":{{"attributes":{}}},"scopeSpans":[{{"spans":[{{"name":{},"kind":{},)"
        R"("startTimeUnixNano":"{}","endTimeUnixNano":"{}","status":{{"code":{}}},"attributes":{}}}]}}]}}]}})",
        resource, text_at(root, "/name"), kind_number(kind), start, end, int_at(root, "/status/code"),
        attributes);
  } else {
    return fail(ErrorCode::kUnsupported, "metrics cannot be looked back at");
  }
  NARU_TRY(out.request, otlp::request_from_json(signal, json));
  return out;
}

}  // namespace naru
