// Writes a logs export request in one pass, for the agent and the syslog receiver.
//
//   LogsBuilder b; b.begin_resource(attributes); b.begin_scope(source, base); b.add_line(...); ...
//   b.finish();
//
// Not thread-safe. Keeps its buffer's capacity between requests. Lengths of the outer messages are padded
// varints (wire.h), records are in the shortest form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/otlp/otlp.h"

namespace naru::otlp {

// The fields of an encoded AnyValue.
void append_value(std::string& out, const AnyValue& value);
void append_string_attribute(std::string& out, std::uint32_t field, std::string_view key,
                             std::string_view value);
void append_int_attribute(std::string& out, std::uint32_t field, std::string_view key, std::int64_t value);
void append_bool_attribute(std::string& out, std::uint32_t field, std::string_view key, bool value);
void append_bytes_attribute(std::string& out, std::uint32_t field, std::string_view key,
                            std::string_view value);

class LogsBuilder {
 public:
  // Opens a ResourceLogs; `resource` is an encoded Resource message.
  void begin_resource(std::string_view resource);
  // Opens a ScopeLogs whose records have the positions base, base + 1, ...
  void begin_scope(const std::array<unsigned char, 16>& source, std::uint64_t base);
  // A record with a string body. `attributes`: encoded attribute fields (field 6), usually empty.
  void add(UnixNanos time, UnixNanos observed, std::string_view body, std::int32_t severity_number = 0,
           std::string_view severity_text = {}, std::string_view attributes = {});
  // The same with a bytes body, for text that is not UTF-8.
  void add_bytes(UnixNanos time, UnixNanos observed, std::string_view body, std::int32_t severity_number = 0,
                 std::string_view severity_text = {}, std::string_view attributes = {});
  // A record that is encoded already.
  void add_encoded(std::string_view record);
  // Closes what is open. The request is valid until clear().
  std::string_view finish();
  // Closes what is open and gives the buffer away.
  std::string take();
  void clear();
  std::size_t size() const { return out_.size(); }
  std::uint64_t records() const { return records_; }

 private:
  void add_record(std::uint32_t body_field, UnixNanos time, UnixNanos observed, std::string_view body,
                  std::int32_t severity_number, std::string_view severity_text, std::string_view attributes);
  void close_scope();
  void close_resource();
  std::string out_;
  std::size_t resource_mark_ = 0;
  std::size_t scope_mark_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace naru::otlp
