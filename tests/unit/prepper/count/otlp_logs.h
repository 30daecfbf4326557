// OTLP logs requests for tests.
#pragma once

#include <array>
#include <cstring>
#include <string>

#include "core/otlp/build.h"

namespace naru::prepper {

struct TestLog {
  UnixNanos time = 0;
  std::string body = "connection refused";
  std::int32_t severity = 17;
  std::string service = "api";
  int copies = 1;
  unsigned char source = 0;  // 0: one that no other request has
  std::uint64_t base = 0;
};

inline std::string logs_request(const TestLog& log) {
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", log.service);
  std::string attributes;
  otlp::append_int_attribute(attributes, otlp::kLogAttributes, "http.status_code", 503);
  otlp::LogsBuilder builder;
  builder.begin_resource(resource);
  std::array<unsigned char, 16> source{};
  source[0] = log.source;
  if (log.source == 0) {
    static std::uint32_t next = 0;
    ++next;
    std::memcpy(&source[1], &next, sizeof next);
  }
  builder.begin_scope(source, log.base);
  for (int i = 0; i < log.copies; ++i) {
    builder.add(log.time, log.time, log.body, log.severity, "", attributes);
  }
  return builder.take();
}

}  // namespace naru::prepper
