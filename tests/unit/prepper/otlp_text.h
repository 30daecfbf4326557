// Small OTLP messages, field by field.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/otlp/wire.h"

namespace naru::prepper {

inline std::string bytes_field(std::uint32_t number, std::string_view bytes) {
  std::string out;
  otlp::append_bytes_field(out, number, bytes);
  return out;
}
inline std::string varint_field(std::uint32_t number, std::uint64_t value) {
  std::string out;
  otlp::append_varint_field(out, number, value);
  return out;
}
inline std::string fixed64_field(std::uint32_t number, std::uint64_t value) {
  std::string out;
  otlp::append_fixed64_field(out, number, value);
  return out;
}
inline std::string fixed32_field(std::uint32_t number, std::uint32_t value) {
  std::string out;
  otlp::append_fixed32_field(out, number, value);
  return out;
}
inline std::string double_field(std::uint32_t number, double value) {
  return fixed64_field(number, std::bit_cast<std::uint64_t>(value));
}
inline std::string join(std::initializer_list<std::string> parts) {
  std::string out;
  for (const std::string& part : parts) {
    out += part;
  }
  return out;
}

// AnyValue
inline std::string text(std::string_view value) {
  return bytes_field(1, value);
}
inline std::string boolean(bool value) {
  return varint_field(2, value ? 1 : 0);
}
inline std::string integer(std::int64_t value) {
  return varint_field(3, static_cast<std::uint64_t>(value));
}
inline std::string real(double value) {
  return double_field(4, value);
}
inline std::string list(std::initializer_list<std::string> values) {
  std::string out;
  for (const std::string& value : values) {
    out += bytes_field(1, value);
  }
  return bytes_field(5, out);
}
inline std::string binary(std::string_view value) {
  return bytes_field(7, value);
}
// An attribute as field `number` of its message.
inline std::string attribute(std::uint32_t number, std::string_view key, std::string_view value) {
  return bytes_field(number, bytes_field(1, key) + bytes_field(2, value));
}
inline std::string map(std::initializer_list<std::pair<std::string, std::string>> entries) {
  std::string out;
  for (const auto& [key, value] : entries) {
    out += attribute(1, key, value);
  }
  return bytes_field(6, out);
}

// request > resource group > scope group > records
inline std::string request(std::string_view resource, std::string_view scope,
                           std::initializer_list<std::string> records) {
  std::string scope_group = scope.empty() ? std::string() : bytes_field(1, scope);
  for (const std::string& record : records) {
    scope_group += bytes_field(2, record);
  }
  return bytes_field(
      1, (resource.empty() ? std::string() : bytes_field(1, resource)) + bytes_field(2, scope_group));
}

// A scope as agents and collectors stamp it.
inline std::string stamped_scope(std::int64_t base) {
  return attribute(3, "naru.source", binary("0123456789abcdef")) + attribute(3, "naru.base", integer(base));
}

inline constexpr std::uint64_t kTestTime = 1'795'222'923'123'456'789;  // 2026-11-21T01:02:03.123456789Z

inline std::string log_record(std::string_view body_value, std::string_view more = {},
                              std::uint64_t time = kTestTime, std::uint64_t observed = kTestTime) {
  return (time != 0 ? fixed64_field(1, time) : std::string()) + bytes_field(5, body_value) +
         (observed != 0 ? fixed64_field(11, observed) : std::string()) + std::string(more);
}

}  // namespace naru::prepper
