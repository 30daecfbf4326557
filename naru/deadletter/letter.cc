#include "naru/deadletter/letter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <deque>
#include <iterator>
#include <limits>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/json_text.h"
#include "prepper/contract/value_writer.h"
#include "prepper/process/json_out.h"

namespace naru::deadletter {
namespace {

using expr::Field;
using expr::Type;
using prepper::JsonOut;

// The one record of a letter's value.
struct Contained {
  otlp::Signal signal = otlp::Signal::kLogs;
  otlp::Attributes resource;
  otlp::Attributes attributes;
  std::string_view name;  // span, metric
  otlp::LogRecord log;    // of logs
};

std::optional<Contained> record_of(const Letter& letter) {
  const std::optional<otlp::Signal> signal = decodable(letter);
  otlp::ResourceGroup group;
  otlp::ScopeGroup scope;
  otlp::Messages groups(letter.value, 1);
  if (!signal || !groups.next() || !otlp::parse(groups.bytes(), group)) {
    return std::nullopt;
  }
  otlp::Messages scopes = otlp::scope_groups(group);
  if (!scopes.next() || !otlp::parse(scopes.bytes(), scope)) {
    return std::nullopt;
  }
  otlp::Messages records = otlp::records(scope);
  if (!records.next()) {
    return std::nullopt;
  }
  Contained out;
  out.signal = *signal;
  out.resource = group.attributes();
  otlp::Span span;
  otlp::Metric metric;
  switch (*signal) {
    case otlp::Signal::kLogs:
      if (!otlp::parse(records.bytes(), out.log)) {
        return std::nullopt;
      }
      out.attributes = out.log.attributes();
      break;
    case otlp::Signal::kTraces:
      if (!otlp::parse(records.bytes(), span)) {
        return std::nullopt;
      }
      out.name = span.name;
      out.attributes = span.attributes();
      break;
    case otlp::Signal::kMetrics: {
      otlp::DataPoint point;
      if (!otlp::parse(records.bytes(), metric)) {
        return std::nullopt;
      }
      out.name = metric.name;
      otlp::Messages points = metric.points();
      if (points.next() && otlp::parse(metric.kind, points.bytes(), point)) {
        out.attributes = point.attributes();
      }
      break;
    }
  }
  return out;
}

// No limits: nothing is indexed.
prepper::ValueWriter unlimited() {
  constexpr std::size_t kNone = std::numeric_limits<std::uint32_t>::max();
  return prepper::ValueWriter({.term_bytes_max = kNone,
                               .path_bytes_max = kNone,
                               .name_bytes_max = kNone,
                               .leaves_max = std::numeric_limits<std::uint32_t>::max(),
                               .depth_max = 64});
}

std::string record_json(const Letter& letter, Contents contents) {
  if (contents == Contents::kRedacted) {
    return fmt::format(R"({{"redacted":true,"bytes":{},"xxh3":"{}"}})", letter.value.size(),
                       to_hex(as_bytes(xxh3_128(letter.value))));
  }
  const std::optional<Contained> record = record_of(letter);
  if (!record) {
    return "null";
  }
  JsonOut out;
  prepper::ValueWriter values = unlimited();
  out.raw('{');
  if (record->signal == otlp::Signal::kLogs) {
    out.raw("\"time\":");
    out.time(record->log.time != 0 ? record->log.time : record->log.observed_time);
    out.raw(",\"severity_number\":");
    out.integer(record->log.severity_number);
    out.raw(",\"severity_text\":");
    out.string(record->log.severity_text);
    out.raw(",\"body\":");
    const std::size_t before = out.size();
    bool valid = true;
    if (!values.write_json(out, record->log.body, valid)) {
      out.rewind(before);
      out.raw("null");
    }
  } else {
    out.raw("\"name\":");
    out.string(record->name);
  }
  const auto bag = [&](std::string_view name, const otlp::Attributes& attributes) {
    out.raw(name);
    const std::size_t before = out.size();
    if (!values.write_bag(out, attributes, 0).ok) {
      out.rewind(before);
      out.raw("null");
    }
  };
  bag(",\"attributes\":", record->attributes);
  bag(",\"resource\":", record->resource);
  out.raw('}');
  return out.take();
}

std::string reason_of(const Letter& letter, Contents contents) {
  return contents == Contents::kRaw ? letter.head.reason : redact_quotes(letter.head.reason);
}

std::string time_or_empty(UnixNanos time) {
  return time == 0 ? "" : format_rfc3339(time);
}

// Flat members of a JSON object.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) {}
  void text(std::string_view name, std::string_view value) {
    begin(name);
    append_json_string(out_, value);
  }
  void number(std::string_view name, std::int64_t value) {
    begin(name);
    out_ += std::to_string(value);
  }
  void json(std::string_view name, std::string_view value) {
    begin(name);
    out_ += value;
  }

 private:
  void begin(std::string_view name) {
    fmt::format_to(std::back_inserter(out_), "{}\"{}\":", first_ ? "" : ",", name);
    first_ = false;
  }
  std::string& out_;
  bool first_ = true;
};

expr::Value value_of(const std::optional<otlp::AnyValue>& any) {
  if (!any) {
    return {};
  }
  switch (any->kind) {
    case otlp::AnyValue::Kind::kString: return expr::Value(any->bytes);
    case otlp::AnyValue::Kind::kBool: return expr::Value(any->boolean);
    case otlp::AnyValue::Kind::kInt: return expr::Value(any->integer);
    case otlp::AnyValue::Kind::kDouble: return expr::Value(any->real);
    default: return {};
  }
}

struct TextField {
  std::string_view name;
  std::string (*read)(const Letter&);
};
struct NumberField {
  std::string_view name;
  std::int64_t (*read)(const Letter&);
};
constexpr std::array<TextField, 11> kTextFields = {{
    {"dl.id", [](const Letter& l) { return l.id; }},
    {"dl.kind", [](const Letter& l) { return l.head.kind; }},
    {"dl.type", [](const Letter& l) { return l.head.type; }},
    {"dl.reason", [](const Letter& l) { return l.head.reason; }},
    {"dl.index", [](const Letter& l) { return l.head.index; }},
    {"dl.source", [](const Letter& l) { return l.head.source; }},
    {"dl.config_hash", [](const Letter& l) { return l.head.config_hash; }},
    {"dl.first_failed_at", [](const Letter& l) { return time_or_empty(l.head.first_failed_at); }},
    {"dl.failed_at", [](const Letter& l) { return time_or_empty(l.head.failed_at); }},
    {"dl.pipeline", [](const Letter& l) { return l.head.pipeline; }},
    {"dl.topic", [](const Letter& l) { return l.position.topic; }},
}};
constexpr std::array<NumberField, 4> kNumberFields = {{
    {"dl.status", [](const Letter& l) { return std::int64_t{l.head.status}; }},
    {"dl.attempts", [](const Letter& l) { return std::int64_t{l.head.attempts}; }},
    {"dl.partition", [](const Letter& l) { return std::int64_t{l.position.partition}; }},
    {"dl.offset", [](const Letter& l) { return l.position.offset; }},
}};

}  // namespace

Letter make_letter(bus::RecordPosition position, UnixMillis timestamp_ms, std::string_view id,
                   std::string_view value, std::span<const bus::Header> headers) {
  Letter out;
  out.position = std::move(position);
  out.timestamp_ms = timestamp_ms;
  out.id = id;
  out.value = value;
  bus::ReadDeadLetterHead read = bus::read_dead_letter_headers(headers);
  out.head = std::move(read.head);
  out.problem = std::move(read.problem);
  const auto origin = std::ranges::find(headers, bus::kOriginHeader, &bus::Header::key);
  if (origin != headers.end()) {
    out.origin = bus::parse_origin(origin->value);
  }
  return out;
}

std::string position_text(const bus::RecordPosition& position) {
  return fmt::format("{}/{}/{}", position.topic, position.partition, position.offset);
}

std::optional<otlp::Signal> decodable(const Letter& letter) {
  for (const otlp::Signal signal : otlp::kSignals) {
    if (letter.head.kind == otlp::to_string(signal)) {
      const auto records = otlp::count_records(signal, letter.value);
      return records && *records > 0 ? std::optional(signal) : std::nullopt;
    }
  }
  return std::nullopt;
}

std::string redact_quotes(std::string_view reason) {
  std::string out;
  while (!reason.empty()) {
    const std::size_t open = reason.find_first_of("'\"");
    out += reason.substr(0, open);
    if (open == std::string_view::npos) {
      break;
    }
    const char quote = reason[open];
    // An apostrophe inside a word opens nothing: field's.
    const bool in_word =
        open > 0 && quote == '\'' && std::isalnum(static_cast<unsigned char>(reason[open - 1]));
    if (in_word) {
      out += quote;
      reason.remove_prefix(open + 1);
      continue;
    }
    // The value may hold quotes itself: up to the last one.
    const std::size_t close = reason.rfind(quote);
    out += fmt::format("{}...{}", quote, quote);
    reason.remove_prefix((close > open ? close : reason.size() - 1) + 1);
  }
  return out;
}

std::string to_json(const Letter& letter, Contents contents) {
  std::string out = "{";
  Members members(out);
  members.text("position", position_text(letter.position));
  members.text("id", letter.id);
  members.text("kind", letter.head.kind);
  members.text("type", letter.head.type);
  members.text("reason", reason_of(letter, contents));
  members.number("status", letter.head.status);
  members.text("index", letter.head.index);
  members.number("attempts", letter.head.attempts);
  members.text("source", letter.head.source);
  members.text("origin", letter.origin ? bus::format_origin(*letter.origin) : "");
  members.text("config_hash", letter.head.config_hash);
  members.text("first_failed_at", time_or_empty(letter.head.first_failed_at));
  members.text("failed_at", time_or_empty(letter.head.failed_at));
  members.text("pipeline", letter.head.pipeline);
  if (!letter.problem.empty()) {
    members.text("problem", letter.problem);
  }
  members.json("record", record_json(letter, contents));
  if (contents == Contents::kRaw) {
    members.text("value", to_base64(letter.value));
  }
  out += '}';
  return out;
}

std::string text_head() {
  return fmt::format("{:<28} {:<24} {:<8} {:<28} {:>6} {}\n", "POSITION", "FAILED AT", "KIND", "TYPE",
                     "STATUS", "INDEX: REASON");
}

std::string to_text(const Letter& letter, Contents contents) {
  const std::string failed_at = time_or_empty(letter.head.failed_at);
  return fmt::format("{:<28} {:<24} {:<8} {:<28} {:>6} {}: {}{}\n", position_text(letter.position),
                     failed_at.substr(0, 19) + (failed_at.empty() ? "-" : "Z"), letter.head.kind,
                     letter.head.type, letter.head.status, letter.head.index, reason_of(letter, contents),
                     letter.problem.empty() ? "" : fmt::format(" [malformed: {}]", letter.problem));
}

std::string to_dlq_object(const Letter& letter, Contents contents) {
  // "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"; the first 23 characters of RFC 3339 with nine digits.
  const auto millis = [](UnixNanos time) { return format_rfc3339(time).substr(0, 23) + "Z"; };
  std::string failed = "{";
  Members data(failed);
  data.text("index", letter.head.index);
  data.text("indexId", letter.id);
  data.number("status", letter.head.status);
  data.text("message", reason_of(letter, contents));
  data.json("document", record_json(letter, contents));
  failed += '}';
  std::string source = "{";
  Members from(source);
  if (const auto at = bus::parse_record_position(letter.head.source)) {
    from.text("topic", at->topic);
    from.number("partition", at->partition);
    from.number("offset", at->offset);
  }
  from.number("recordIndex", letter.origin ? letter.origin->index : 0);
  source += '}';
  std::string out = "{";
  Members members(out);
  members.text("pluginId", "opensearch");
  members.text("pluginName", "opensearch");
  members.text("pipelineName", letter.head.pipeline);
  members.text("timestamp", millis(letter.head.failed_at));
  members.json("failedData", failed);
  members.text("errorType", letter.head.type);
  members.json("source", source);
  members.number("attempts", letter.head.attempts);
  members.text("firstFailedAt", millis(letter.head.first_failed_at));
  out += '}';
  return out;
}

namespace {

std::optional<Type> field_type(const Field& field) {
  if (field.key) {
    return field.name == "record.attributes" || field.name == "record.resource" ? std::optional(Type::kAny)
                                                                                : std::nullopt;
  }
  const auto named = [&](const auto& one) { return one.name == field.name; };
  if (std::ranges::any_of(kTextFields, named) || field.name == "record.name" ||
      field.name == "record.severity_text") {
    return Type::kText;
  }
  if (std::ranges::any_of(kNumberFields, named) || field.name == "record.severity_number") {
    return Type::kNumber;
  }
  return field.name == "record.body" ? std::optional(Type::kAny) : std::nullopt;
}

// A letter as a condition asks for it. Keeps the texts that it makes.
class LetterFields : public expr::Record {
 public:
  LetterFields(const Letter& letter, std::span<const Field> fields)
      : letter_(letter), fields_(fields), record_(record_of(letter)) {}

  expr::Value read(std::uint32_t ref) const override {
    const Field& field = fields_[ref];
    const auto named = [&](const auto& one) { return one.name == field.name; };
    if (const auto* text = std::ranges::find_if(kTextFields, named); text != kTextFields.end()) {
      return expr::Value(std::string_view(texts_.emplace_back(text->read(letter_))));
    }
    if (const auto* number = std::ranges::find_if(kNumberFields, named); number != kNumberFields.end()) {
      return expr::Value(number->read(letter_));
    }
    return record_ ? read_record(field) : expr::Value();
  }

 private:
  expr::Value read_record(const Field& field) const {
    if (field.key) {
      return value_of(
          (field.name == "record.resource" ? record_->resource : record_->attributes).find(*field.key));
    }
    if (record_->signal != otlp::Signal::kLogs) {
      return field.name == "record.name" ? expr::Value(record_->name) : expr::Value();
    }
    if (field.name == "record.severity_text") {
      return expr::Value(record_->log.severity_text);
    }
    if (field.name == "record.severity_number") {
      return expr::Value(std::int64_t{record_->log.severity_number});
    }
    otlp::AnyValue body;
    return field.name == "record.body" && otlp::parse(record_->log.body, body) ? value_of(body)
                                                                               : expr::Value();
  }

  const Letter& letter_;
  const std::span<const Field> fields_;
  const std::optional<Contained> record_;
  mutable std::deque<std::string> texts_;
};

}  // namespace

Result<LetterFilter> LetterFilter::compile(std::string_view text) {
  std::vector<Field> fields;
  const auto vocabulary = [&](const Field& field) -> std::optional<expr::KnownField> {
    const std::optional<Type> type = field_type(field);
    if (!type) {
      return std::nullopt;
    }
    fields.push_back(field);
    return expr::KnownField{*type, static_cast<std::uint32_t>(fields.size() - 1)};
  };
  NARU_TRY(expr::Expression condition, expr::Expression::compile_condition(text, vocabulary));
  return LetterFilter(std::move(condition), std::move(fields));
}

bool LetterFilter::matches(const Letter& letter) const {
  return condition_.matches(LetterFields(letter, fields_));
}

}  // namespace naru::deadletter
