// The program's own log: one line per event on stderr, `2026-11-21T01:02:03.123Z warn agent: text`.
//
// Not for records that are carried. Thread-safe. Secrets never go in: callers redact.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace naru::telemetry {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);
void write_log(LogLevel level, std::string_view component, std::string_view text);

template <class... Args>
void log(LogLevel level, std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) {
    write_log(level, component, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void log_info(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kInfo, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warn(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kWarn, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kError, component, format, std::forward<Args>(args)...);
}

}  // namespace naru::telemetry
