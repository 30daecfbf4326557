// One record on its way through pipelines: what processors read and change before it becomes a document.
//
// Values are views: into the message, the compiled pipelines or the event's arena. Identity (log.record.uid,
// naru.pos, and the original body and time) is taken out before processors see the record, so they cannot
// forge or lose it. The resource and the scope are read-only. Not thread-safe: one per worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/expr/expr.h"
#include "core/otlp/build.h"
#include "core/otlp/otlp.h"
#include "prepper/record/arena.h"
#include "prepper/record/attribute_list.h"
#include "prepper/record/field_table.h"

namespace naru::prepper {

using otlp::append_value;

inline AnyValue text_value(std::string_view text) {
  AnyValue out;
  out.kind = AnyValue::Kind::kString;
  out.bytes = text;
  return out;
}
inline AnyValue int_value(std::int64_t number) {
  AnyValue out;
  out.kind = AnyValue::Kind::kInt;
  out.integer = number;
  return out;
}
inline AnyValue real_value(double number) {
  AnyValue out;
  out.kind = AnyValue::Kind::kDouble;
  out.real = number;
  return out;
}
inline AnyValue bool_value(bool truth) {
  AnyValue out;
  out.kind = AnyValue::Kind::kBool;
  out.boolean = truth;
  return out;
}
// Missing for empty values, arrays, maps and bytes.
expr::Value to_expr(const AnyValue& value);
AnyValue from_expr(const expr::Value& value);

class Event final : public expr::Record {
 public:
  explicit Event(std::size_t bytes_max) : arena_(bytes_max) {}

  // The fields that refs stand for. Must outlive what is asked of the event.
  void use(const FieldTable& fields) { fields_ = &fields; }
  // For all records until the next call. False: malformed.
  bool begin_resource(const otlp::ResourceGroup& group);
  void begin_scope(const otlp::Scope& scope);

  // Takes in a record of the current scope, whose bytes must live as long as the event is used. False: its
  // body or its attributes are malformed.
  bool load(const otlp::LogRecord& record);
  bool load(const otlp::Span& span);
  bool load(const otlp::Metric& metric, const otlp::DataPoint& point);

  expr::Value read(std::uint32_t ref) const override;
  // The value; kEmpty where the record does not have it. Times and ids are text.
  AnyValue get(std::uint32_t ref) const;
  bool has(std::uint32_t ref) const { return get(ref).kind != AnyValue::Kind::kEmpty; }
  // The text, or nullopt when the field is absent or no text.
  std::optional<std::string_view> text(std::uint32_t ref) const;
  // False: the field cannot hold this value (a severity number takes 0 to 24, an id hex, a time RFC 3339 or
  // nanoseconds), nothing was changed. An empty value removes.
  bool set(std::uint32_t ref, const AnyValue& value);
  void remove(std::uint32_t ref);

  otlp::Signal signal() const { return signal_; }
  Arena& arena() const { return arena_; }
  AttributeList& attributes() { return attributes_; }
  const AttributeList& attributes() const { return attributes_; }
  const AttributeList& resource() const { return resource_; }
  const AnyValue& body() const { return body_; }
  // The body as it came, encoded; empty once it was changed.
  std::string_view encoded_body() const { return encoded_body_; }
  // Times, severity and ids as they are now.
  const otlp::LogRecord& log() const { return log_; }
  const otlp::Span& span() const { return span_; }
  const otlp::Metric& metric() const { return metric_; }
  const otlp::DataPoint& point() const { return point_; }
  UnixNanos time() const;
  // What a date without year or zone is read against (contracts.md 2): the observed time, else `received`.
  UnixNanos reference_time(UnixNanos received) const {
    return signal_ == otlp::Signal::kLogs && log_.observed_time != 0 ? log_.observed_time : received;
  }
  void set_time(UnixNanos time);
  void set_severity(std::int32_t number, std::string_view text) {
    log_.severity_number = number;
    log_.severity_text = text;
  }

  // Identity that the attributes carried.
  std::string_view uid() const { return uid_; }  // encoded AnyValue
  std::optional<std::uint64_t> position() const { return position_; }

 private:
  bool load_attributes(const otlp::Attributes& attributes);
  std::string_view time_text(UnixNanos time) const;
  std::string_view hex_text(std::string_view id) const;
  bool set_id(std::string_view& id, std::size_t bytes, const AnyValue& value);

  const FieldTable* fields_ = nullptr;
  mutable Arena arena_;
  otlp::Signal signal_ = otlp::Signal::kLogs;
  AttributeList resource_;
  otlp::Scope scope_;
  AttributeList attributes_;
  AnyValue body_;
  std::string_view encoded_body_;
  otlp::LogRecord log_;
  otlp::Span span_;
  otlp::Metric metric_;
  otlp::DataPoint point_;
  std::string_view uid_;
  std::optional<std::uint64_t> position_;
};

}  // namespace naru::prepper
