#include "core/otlp/build.h"

namespace naru::otlp {
namespace {

constexpr std::size_t kClosed = 0;  // a mark is never 0: a tag comes before it

// Field numbers of opentelemetry/proto/{collector/logs,logs,common}/v1.
constexpr std::uint32_t kRequestResourceLogs = 1;
constexpr std::uint32_t kResourceLogsResource = 1;
constexpr std::uint32_t kResourceLogsScopeLogs = 2;
constexpr std::uint32_t kScopeLogsScope = 1;
constexpr std::uint32_t kScopeLogsRecord = 2;
constexpr std::uint32_t kAnyString = 1, kAnyBool = 2, kAnyInt = 3, kAnyDouble = 4, kAnyArray = 5, kAnyMap = 6,
                        kAnyBytes = 7;

std::size_t bytes_field_size(std::size_t size) {
  return 1 + varint_size(size) + size;
}

// `value_size` bytes of encoded AnyValue follow.
void begin_attribute(std::string& out, std::uint32_t field, std::string_view key, std::size_t value_size) {
  append_tag(out, field, WireType::kBytes);
  append_varint(out, bytes_field_size(key.size()) + bytes_field_size(value_size));
  append_bytes_field(out, 1, key);
  append_tag(out, 2, WireType::kBytes);
  append_varint(out, value_size);
}

}  // namespace

void append_value(std::string& out, const AnyValue& value) {
  switch (value.kind) {
    case AnyValue::Kind::kEmpty: return;
    case AnyValue::Kind::kString: append_bytes_field(out, kAnyString, value.bytes); return;
    case AnyValue::Kind::kBool: append_varint_field(out, kAnyBool, value.boolean ? 1 : 0); return;
    case AnyValue::Kind::kInt:
      append_varint_field(out, kAnyInt, static_cast<std::uint64_t>(value.integer));
      return;
    case AnyValue::Kind::kDouble:
      append_fixed64_field(out, kAnyDouble, std::bit_cast<std::uint64_t>(value.real));
      return;
    case AnyValue::Kind::kArray: append_bytes_field(out, kAnyArray, value.bytes); return;
    case AnyValue::Kind::kMap: append_bytes_field(out, kAnyMap, value.bytes); return;
    case AnyValue::Kind::kBytes: append_bytes_field(out, kAnyBytes, value.bytes); return;
  }
}

void append_string_attribute(std::string& out, std::uint32_t field, std::string_view key,
                             std::string_view value) {
  begin_attribute(out, field, key, bytes_field_size(value.size()));
  append_bytes_field(out, kAnyString, value);
}

void append_bytes_attribute(std::string& out, std::uint32_t field, std::string_view key,
                            std::string_view value) {
  begin_attribute(out, field, key, bytes_field_size(value.size()));
  append_bytes_field(out, kAnyBytes, value);
}

void append_int_attribute(std::string& out, std::uint32_t field, std::string_view key, std::int64_t value) {
  begin_attribute(out, field, key, 1 + varint_size(static_cast<std::uint64_t>(value)));
  append_varint_field(out, kAnyInt, static_cast<std::uint64_t>(value));
}

void append_bool_attribute(std::string& out, std::uint32_t field, std::string_view key, bool value) {
  begin_attribute(out, field, key, 2);
  append_varint_field(out, kAnyBool, value ? 1 : 0);
}

void LogsBuilder::begin_resource(std::string_view resource) {
  close_resource();
  resource_mark_ = begin_message_field(out_, kRequestResourceLogs);
  append_bytes_field(out_, kResourceLogsResource, resource);
}

void LogsBuilder::begin_scope(const std::array<unsigned char, 16>& source, std::uint64_t base) {
  close_scope();
  scope_mark_ = begin_message_field(out_, kResourceLogsScopeLogs);
  const std::size_t scope = begin_message_field(out_, kScopeLogsScope);
  append_bytes_attribute(out_, kScopeAttributes, kSourceKey,
                         {reinterpret_cast<const char*>(source.data()), source.size()});
  append_int_attribute(out_, kScopeAttributes, kBaseKey, static_cast<std::int64_t>(base));
  end_message_field(out_, scope);
}

void LogsBuilder::add(UnixNanos time, UnixNanos observed, std::string_view body, std::int32_t severity_number,
                      std::string_view severity_text, std::string_view attributes) {
  add_record(kAnyString, time, observed, body, severity_number, severity_text, attributes);
}

void LogsBuilder::add_bytes(UnixNanos time, UnixNanos observed, std::string_view body,
                            std::int32_t severity_number, std::string_view severity_text,
                            std::string_view attributes) {
  add_record(kAnyBytes, time, observed, body, severity_number, severity_text, attributes);
}

void LogsBuilder::add_encoded(std::string_view record) {
  append_bytes_field(out_, kScopeLogsRecord, record);
  ++records_;
}

void LogsBuilder::add_record(std::uint32_t body_field, UnixNanos time, UnixNanos observed,
                             std::string_view body, std::int32_t severity_number,
                             std::string_view severity_text, std::string_view attributes) {
  const std::size_t value_size = bytes_field_size(body.size());
  std::size_t size = 9 + bytes_field_size(value_size) + attributes.size();
  if (time != 0) {
    size += 9;
  }
  if (severity_number != 0) {
    size += 1 + varint_size(static_cast<std::uint64_t>(severity_number));
  }
  if (!severity_text.empty()) {
    size += bytes_field_size(severity_text.size());
  }
  append_tag(out_, kScopeLogsRecord, WireType::kBytes);
  append_varint(out_, size);
  if (time != 0) {
    append_fixed64_field(out_, 1, time);
  }
  if (severity_number != 0) {
    append_varint_field(out_, 2, static_cast<std::uint64_t>(severity_number));
  }
  if (!severity_text.empty()) {
    append_bytes_field(out_, 3, severity_text);
  }
  append_tag(out_, 5, WireType::kBytes);
  append_varint(out_, value_size);
  append_bytes_field(out_, body_field, body);
  out_.append(attributes);
  append_fixed64_field(out_, 11, observed);
  ++records_;
}

void LogsBuilder::close_scope() {
  if (scope_mark_ != kClosed) {
    end_message_field(out_, scope_mark_);
    scope_mark_ = kClosed;
  }
}

void LogsBuilder::close_resource() {
  close_scope();
  if (resource_mark_ != kClosed) {
    end_message_field(out_, resource_mark_);
    resource_mark_ = kClosed;
  }
}

std::string_view LogsBuilder::finish() {
  close_resource();
  return out_;
}

std::string LogsBuilder::take() {
  close_resource();
  std::string out = std::move(out_);
  clear();
  return out;
}

void LogsBuilder::clear() {
  out_.clear();
  resource_mark_ = scope_mark_ = kClosed;
  records_ = 0;
}

}  // namespace naru::otlp
