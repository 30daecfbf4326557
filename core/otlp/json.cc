#include "core/otlp/json.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <system_error>

#include "core/base/bytes.h"
#include "core/base/json_text.h"
#include "core/otlp/wire.h"

namespace naru::otlp {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::size_t kDepthMax = 100;  // of messages; protobuf's own default
constexpr std::size_t kStatusTextMax = 1024;

enum class Type : std::uint8_t {
  kString,
  kBase64,
  kHex,
  kBool,
  kEnum,
  kInt64,   // varint
  kUint32,  // varint
  kUint64,  // varint
  kSint32,  // zigzag
  kFixed32,
  kFixed64,
  kSfixed64,
  kDouble,
  kMessage,
};

// How a field is written: with its zero value too (members of a oneof, optional fields), many times, packed.
enum class Form : std::uint8_t { kImplicit, kExplicit, kRepeated, kPacked };

struct Message;
struct Field {
  std::string_view name;
  std::uint32_t number;
  Type type;
  Form form = Form::kImplicit;
  const Message& (*message)() = nullptr;
};
struct Message {
  std::span<const Field> fields;
};

// The messages of opentelemetry-proto 1.x by their JSON names. Functions, because AnyValue contains itself.
#define NARU_MESSAGE(name, ...)                   \
  const Message& name() {                         \
    static const Field kFields[] = {__VA_ARGS__}; \
    static const Message kMessage{kFields};       \
    return kMessage;                              \
  }
const Message& any_value();

NARU_MESSAGE(key_value, {"key", 1, Type::kString}, {"value", 2, Type::kMessage, Form::kExplicit, any_value})
NARU_MESSAGE(array_value, {"values", 1, Type::kMessage, Form::kRepeated, any_value})
NARU_MESSAGE(key_value_list, {"values", 1, Type::kMessage, Form::kRepeated, key_value})
NARU_MESSAGE(any_value, {"stringValue", 1, Type::kString, Form::kExplicit},
             {"boolValue", 2, Type::kBool, Form::kExplicit}, {"intValue", 3, Type::kInt64, Form::kExplicit},
             {"doubleValue", 4, Type::kDouble, Form::kExplicit},
             {"arrayValue", 5, Type::kMessage, Form::kExplicit, array_value},
             {"kvlistValue", 6, Type::kMessage, Form::kExplicit, key_value_list},
             {"bytesValue", 7, Type::kBase64, Form::kExplicit})
NARU_MESSAGE(resource, {"attributes", 1, Type::kMessage, Form::kRepeated, key_value},
             {"droppedAttributesCount", 2, Type::kUint32})
NARU_MESSAGE(scope, {"name", 1, Type::kString}, {"version", 2, Type::kString},
             {"attributes", 3, Type::kMessage, Form::kRepeated, key_value},
             {"droppedAttributesCount", 4, Type::kUint32})

NARU_MESSAGE(log_record, {"timeUnixNano", 1, Type::kFixed64}, {"severityNumber", 2, Type::kEnum},
             {"severityText", 3, Type::kString}, {"body", 5, Type::kMessage, Form::kExplicit, any_value},
             {"attributes", 6, Type::kMessage, Form::kRepeated, key_value},
             {"droppedAttributesCount", 7, Type::kUint32}, {"flags", 8, Type::kFixed32},
             {"traceId", 9, Type::kHex}, {"spanId", 10, Type::kHex},
             {"observedTimeUnixNano", 11, Type::kFixed64}, {"eventName", 12, Type::kString})
NARU_MESSAGE(scope_logs, {"scope", 1, Type::kMessage, Form::kExplicit, scope},
             {"logRecords", 2, Type::kMessage, Form::kRepeated, log_record}, {"schemaUrl", 3, Type::kString})
NARU_MESSAGE(resource_logs, {"resource", 1, Type::kMessage, Form::kExplicit, resource},
             {"scopeLogs", 2, Type::kMessage, Form::kRepeated, scope_logs}, {"schemaUrl", 3, Type::kString})
NARU_MESSAGE(logs_request, {"resourceLogs", 1, Type::kMessage, Form::kRepeated, resource_logs})

NARU_MESSAGE(span_event, {"timeUnixNano", 1, Type::kFixed64}, {"name", 2, Type::kString},
             {"attributes", 3, Type::kMessage, Form::kRepeated, key_value},
             {"droppedAttributesCount", 4, Type::kUint32})
NARU_MESSAGE(span_link, {"traceId", 1, Type::kHex}, {"spanId", 2, Type::kHex},
             {"traceState", 3, Type::kString}, {"attributes", 4, Type::kMessage, Form::kRepeated, key_value},
             {"droppedAttributesCount", 5, Type::kUint32}, {"flags", 6, Type::kFixed32})
NARU_MESSAGE(span_status, {"message", 2, Type::kString}, {"code", 3, Type::kEnum})
NARU_MESSAGE(span, {"traceId", 1, Type::kHex}, {"spanId", 2, Type::kHex}, {"traceState", 3, Type::kString},
             {"parentSpanId", 4, Type::kHex}, {"name", 5, Type::kString}, {"kind", 6, Type::kEnum},
             {"startTimeUnixNano", 7, Type::kFixed64}, {"endTimeUnixNano", 8, Type::kFixed64},
             {"attributes", 9, Type::kMessage, Form::kRepeated, key_value},
             {"droppedAttributesCount", 10, Type::kUint32},
             {"events", 11, Type::kMessage, Form::kRepeated, span_event},
             {"droppedEventsCount", 12, Type::kUint32},
             {"links", 13, Type::kMessage, Form::kRepeated, span_link},
             {"droppedLinksCount", 14, Type::kUint32},
             {"status", 15, Type::kMessage, Form::kExplicit, span_status}, {"flags", 16, Type::kFixed32})
NARU_MESSAGE(scope_spans, {"scope", 1, Type::kMessage, Form::kExplicit, scope},
             {"spans", 2, Type::kMessage, Form::kRepeated, span}, {"schemaUrl", 3, Type::kString})
NARU_MESSAGE(resource_spans, {"resource", 1, Type::kMessage, Form::kExplicit, resource},
             {"scopeSpans", 2, Type::kMessage, Form::kRepeated, scope_spans}, {"schemaUrl", 3, Type::kString})
NARU_MESSAGE(traces_request, {"resourceSpans", 1, Type::kMessage, Form::kRepeated, resource_spans})

NARU_MESSAGE(exemplar, {"timeUnixNano", 2, Type::kFixed64}, {"asDouble", 3, Type::kDouble, Form::kExplicit},
             {"spanId", 4, Type::kHex}, {"traceId", 5, Type::kHex},
             {"asInt", 6, Type::kSfixed64, Form::kExplicit},
             {"filteredAttributes", 7, Type::kMessage, Form::kRepeated, key_value})
NARU_MESSAGE(number_point, {"startTimeUnixNano", 2, Type::kFixed64}, {"timeUnixNano", 3, Type::kFixed64},
             {"asDouble", 4, Type::kDouble, Form::kExplicit},
             {"exemplars", 5, Type::kMessage, Form::kRepeated, exemplar},
             {"asInt", 6, Type::kSfixed64, Form::kExplicit},
             {"attributes", 7, Type::kMessage, Form::kRepeated, key_value}, {"flags", 8, Type::kUint32})
NARU_MESSAGE(histogram_point, {"startTimeUnixNano", 2, Type::kFixed64}, {"timeUnixNano", 3, Type::kFixed64},
             {"count", 4, Type::kFixed64}, {"sum", 5, Type::kDouble, Form::kExplicit},
             {"bucketCounts", 6, Type::kFixed64, Form::kPacked},
             {"explicitBounds", 7, Type::kDouble, Form::kPacked},
             {"exemplars", 8, Type::kMessage, Form::kRepeated, exemplar},
             {"attributes", 9, Type::kMessage, Form::kRepeated, key_value}, {"flags", 10, Type::kUint32},
             {"min", 11, Type::kDouble, Form::kExplicit}, {"max", 12, Type::kDouble, Form::kExplicit})
NARU_MESSAGE(buckets, {"offset", 1, Type::kSint32}, {"bucketCounts", 2, Type::kUint64, Form::kPacked})
NARU_MESSAGE(exponential_point, {"attributes", 1, Type::kMessage, Form::kRepeated, key_value},
             {"startTimeUnixNano", 2, Type::kFixed64}, {"timeUnixNano", 3, Type::kFixed64},
             {"count", 4, Type::kFixed64}, {"sum", 5, Type::kDouble, Form::kExplicit},
             {"scale", 6, Type::kSint32}, {"zeroCount", 7, Type::kFixed64},
             {"positive", 8, Type::kMessage, Form::kExplicit, buckets},
             {"negative", 9, Type::kMessage, Form::kExplicit, buckets}, {"flags", 10, Type::kUint32},
             {"exemplars", 11, Type::kMessage, Form::kRepeated, exemplar},
             {"min", 12, Type::kDouble, Form::kExplicit}, {"max", 13, Type::kDouble, Form::kExplicit},
             {"zeroThreshold", 14, Type::kDouble})
NARU_MESSAGE(quantile_value, {"quantile", 1, Type::kDouble}, {"value", 2, Type::kDouble})
NARU_MESSAGE(summary_point, {"startTimeUnixNano", 2, Type::kFixed64}, {"timeUnixNano", 3, Type::kFixed64},
             {"count", 4, Type::kFixed64}, {"sum", 5, Type::kDouble},
             {"quantileValues", 6, Type::kMessage, Form::kRepeated, quantile_value},
             {"attributes", 7, Type::kMessage, Form::kRepeated, key_value}, {"flags", 8, Type::kUint32})
NARU_MESSAGE(gauge, {"dataPoints", 1, Type::kMessage, Form::kRepeated, number_point})
NARU_MESSAGE(sum, {"dataPoints", 1, Type::kMessage, Form::kRepeated, number_point},
             {"aggregationTemporality", 2, Type::kEnum}, {"isMonotonic", 3, Type::kBool})
NARU_MESSAGE(histogram, {"dataPoints", 1, Type::kMessage, Form::kRepeated, histogram_point},
             {"aggregationTemporality", 2, Type::kEnum})
NARU_MESSAGE(exponential_histogram, {"dataPoints", 1, Type::kMessage, Form::kRepeated, exponential_point},
             {"aggregationTemporality", 2, Type::kEnum})
NARU_MESSAGE(summary, {"dataPoints", 1, Type::kMessage, Form::kRepeated, summary_point})
NARU_MESSAGE(metric, {"name", 1, Type::kString}, {"description", 2, Type::kString},
             {"unit", 3, Type::kString}, {"gauge", 5, Type::kMessage, Form::kExplicit, gauge},
             {"sum", 7, Type::kMessage, Form::kExplicit, sum},
             {"histogram", 9, Type::kMessage, Form::kExplicit, histogram},
             {"exponentialHistogram", 10, Type::kMessage, Form::kExplicit, exponential_histogram},
             {"summary", 11, Type::kMessage, Form::kExplicit, summary},
             {"metadata", 12, Type::kMessage, Form::kRepeated, key_value})
NARU_MESSAGE(scope_metrics, {"scope", 1, Type::kMessage, Form::kExplicit, scope},
             {"metrics", 2, Type::kMessage, Form::kRepeated, metric}, {"schemaUrl", 3, Type::kString})
NARU_MESSAGE(resource_metrics, {"resource", 1, Type::kMessage, Form::kExplicit, resource},
             {"scopeMetrics", 2, Type::kMessage, Form::kRepeated, scope_metrics},
             {"schemaUrl", 3, Type::kString})
NARU_MESSAGE(metrics_request, {"resourceMetrics", 1, Type::kMessage, Form::kRepeated, resource_metrics})
#undef NARU_MESSAGE

const Message& request_of(Signal signal) {
  switch (signal) {
    case Signal::kMetrics: return metrics_request();
    case Signal::kTraces: return traces_request();
    case Signal::kLogs: break;
  }
  return logs_request();
}

template <class T>
std::optional<T> from_text(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

// A number, or its decimal text. Numbers like 1e3 count when they are whole.
template <class T>
std::optional<T> integer_of(element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    return from_text<T>(text);
  }
  std::int64_t whole = 0;
  if (value.get(whole) == simdjson::SUCCESS) {
    return std::in_range<T>(whole) ? std::optional(static_cast<T>(whole)) : std::nullopt;
  }
  std::uint64_t large = 0;
  if (value.get(large) == simdjson::SUCCESS) {
    return std::in_range<T>(large) ? std::optional(static_cast<T>(large)) : std::nullopt;
  }
  double real = 0;
  constexpr double kExactMax = 9007199254740992.0;  // 2^53
  if (value.get(real) == simdjson::SUCCESS && std::trunc(real) == real && std::fabs(real) <= kExactMax) {
    const auto exact = static_cast<std::int64_t>(real);
    return std::in_range<T>(exact) ? std::optional(static_cast<T>(exact)) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<double> real_of(element value) {
  double real = 0;
  if (value.get(real) == simdjson::SUCCESS) {
    return real;
  }
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  if (text == "NaN") {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (text == "Infinity" || text == "-Infinity") {
    return text.front() == '-' ? -std::numeric_limits<double>::infinity()
                               : std::numeric_limits<double>::infinity();
  }
  return from_text<double>(text);
}

class Writer {
 public:
  // False: see error().
  bool write(const Message& message, object json, std::size_t depth) {
    if (depth > kDepthMax) {
      return refuse("values are nested deeper than 100 levels");
    }
    for (const auto [name, value] : json) {
      const auto field = std::ranges::find(message.fields, name, &Field::name);
      if (field == message.fields.end() || value.is_null()) {
        continue;
      }
      if (!write_field(*field, value, depth)) {
        return inside(name);
      }
    }
    return true;
  }

  Error error() const {
    std::string text = path_.empty() ? "the request" : path_;
    return Error(ErrorCode::kInvalidArgument, text + ": " + reason_);
  }
  std::string take() { return std::move(out_); }
  bool refuse(std::string_view reason) {
    reason_ = reason;
    return false;
  }

 private:
  // The path grows from its end while the calls return.
  bool inside(std::string_view name) {
    const bool dot = !path_.empty() && path_.front() != '[';
    path_.insert(0, dot ? std::string(name) + "." : std::string(name));
    return false;
  }
  bool inside(std::size_t index) {
    const bool dot = !path_.empty() && path_.front() != '[';
    path_.insert(0, "[" + std::to_string(index) + (dot ? "]." : "]"));
    return false;
  }

  bool write_field(const Field& field, element value, std::size_t depth) {
    if (field.form != Form::kRepeated && field.form != Form::kPacked) {
      return write_one(field, value, depth);
    }
    simdjson::dom::array items;
    if (value.get(items) != simdjson::SUCCESS) {
      return refuse("this must be an array");
    }
    std::size_t mark = 0;
    if (field.form == Form::kPacked) {
      if (items.size() == 0) {
        return true;
      }
      mark = begin_message_field(out_, field.number);
    }
    std::size_t index = 0;
    for (const element item : items) {
      const bool ok =
          field.form == Form::kPacked ? write_scalar(field, item, false) : write_one(field, item, depth);
      if (!ok) {
        return inside(index);
      }
      ++index;
    }
    if (field.form == Form::kPacked) {
      end_message_field(out_, mark);
    }
    return true;
  }

  bool write_one(const Field& field, element value, std::size_t depth) {
    if (field.type != Type::kMessage) {
      return write_scalar(field, value, true);
    }
    object json;
    if (value.get(json) != simdjson::SUCCESS) {
      return refuse("this must be an object");
    }
    const std::size_t mark = begin_message_field(out_, field.number);
    if (!write(field.message(), json, depth + 1)) {
      return false;
    }
    end_message_field(out_, mark);
    return true;
  }

  void tag(const Field& field, WireType type, bool tagged) {
    if (tagged) {
      append_tag(out_, field.number, type);
    }
  }
  // Implicit fields leave their zero out, as every protobuf writer does.
  static bool left_out(const Field& field, bool zero) { return zero && field.form == Form::kImplicit; }

  bool write_varint(const Field& field, std::optional<std::uint64_t> value, std::string_view reason,
                    bool tagged) {
    if (!value) {
      return refuse(reason);
    }
    if (!left_out(field, *value == 0)) {
      tag(field, WireType::kVarint, tagged);
      append_varint(out_, *value);
    }
    return true;
  }

  template <class T>
  bool write_fixed(const Field& field, std::optional<T> value, std::string_view reason, bool tagged) {
    if (!value) {
      return refuse(reason);
    }
    if (!left_out(field, *value == 0)) {
      tag(field, sizeof(T) == 8 ? WireType::kFixed64 : WireType::kFixed32, tagged);
      append_le(out_, *value);
    }
    return true;
  }

  bool write_bytes(const Field& field, std::optional<std::string_view> value, std::string_view reason) {
    if (!value) {
      return refuse(reason);
    }
    if (!left_out(field, value->empty())) {
      append_bytes_field(out_, field.number, *value);
    }
    return true;
  }

  template <class T, class Wide>
  static std::optional<Wide> widen(std::optional<T> value) {
    return value ? std::optional(static_cast<Wide>(*value)) : std::nullopt;
  }

  bool write_scalar(const Field& field, element value, bool tagged) {
    switch (field.type) {
      case Type::kString: {
        std::string_view text;
        const bool ok = value.get(text) == simdjson::SUCCESS;
        return write_bytes(field, ok ? std::optional(text) : std::nullopt, "this must be a string");
      }
      case Type::kBase64:
      case Type::kHex: {
        std::string_view text;
        std::optional<std::string> bytes;
        if (value.get(text) == simdjson::SUCCESS) {
          bytes = field.type == Type::kHex ? from_hex(text) : from_base64(text);
        }
        return write_bytes(
            field, bytes ? std::optional<std::string_view>(*bytes) : std::nullopt,
            field.type == Type::kHex ? "this must be a hexadecimal string" : "this must be base64 text");
      }
      case Type::kBool: {
        bool flag = false;
        const bool ok = value.get(flag) == simdjson::SUCCESS;
        return write_varint(field, ok ? std::optional<std::uint64_t>(flag) : std::nullopt,
                            "this must be true or false", tagged);
      }
      case Type::kEnum:
        if (value.is_string()) {
          return refuse("enumerations are sent as integers");
        }
        return write_varint(field, widen<std::int32_t, std::uint64_t>(integer_of<std::int32_t>(value)),
                            "this must be an integer", tagged);
      case Type::kInt64:
        return write_varint(field, widen<std::int64_t, std::uint64_t>(integer_of<std::int64_t>(value)),
                            "this must be a 64-bit integer", tagged);
      case Type::kUint32:
        return write_varint(field, widen<std::uint32_t, std::uint64_t>(integer_of<std::uint32_t>(value)),
                            "this must be an integer of 0 to 4294967295", tagged);
      case Type::kUint64:
        return write_varint(field, integer_of<std::uint64_t>(value),
                            "this must be an unsigned 64-bit integer", tagged);
      case Type::kSint32: {
        const auto number = integer_of<std::int32_t>(value);
        const auto zigzag = [](std::int32_t n) {
          return static_cast<std::uint64_t>((static_cast<std::uint32_t>(n) << 1) ^
                                            static_cast<std::uint32_t>(n >> 31));
        };
        return write_varint(field, number ? std::optional(zigzag(*number)) : std::nullopt,
                            "this must be an integer", tagged);
      }
      case Type::kFixed32:
        return write_fixed(field, integer_of<std::uint32_t>(value),
                           "this must be an integer of 0 to 4294967295", tagged);
      case Type::kFixed64:
        return write_fixed(field, integer_of<std::uint64_t>(value), "this must be an unsigned 64-bit integer",
                           tagged);
      case Type::kSfixed64:
        return write_fixed(field, widen<std::int64_t, std::uint64_t>(integer_of<std::int64_t>(value)),
                           "this must be a 64-bit integer", tagged);
      case Type::kDouble: {
        const auto real = real_of(value);
        return write_fixed(field, real ? std::optional(std::bit_cast<std::uint64_t>(*real)) : std::nullopt,
                           "this must be a number", tagged);
      }
      case Type::kMessage: break;
    }
    return refuse("this must be an object");
  }

  std::string out_;
  std::string path_;
  std::string reason_;
};

std::string_view cut(std::string_view text) {
  return text.substr(0, kStatusTextMax);
}

}  // namespace

Result<std::string> request_from_json(Signal signal, std::string_view json) {
  simdjson::dom::parser parser;
  element root;
  if (const auto error = parser.parse(json.data(), json.size()).get(root); error != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument,
                std::string("the request is no valid JSON: ") + simdjson::error_message(error));
  }
  Writer writer;
  object request;
  if (root.get(request) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument, "the request must be a JSON object");
  }
  if (!writer.write(request_of(signal), request, 1)) {
    return fail(writer.error());
  }
  return writer.take();
}

std::string status_message(std::int32_t code, std::string_view message) {
  std::string out;
  append_varint_field(out, 1, static_cast<std::uint64_t>(code));
  append_bytes_field(out, 2, cut(message));
  return out;
}

std::string status_json(std::int32_t code, std::string_view message) {
  return "{\"code\":" + std::to_string(code) + ",\"message\":" + json_string(cut(message)) + "}";
}

}  // namespace naru::otlp
