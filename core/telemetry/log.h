// The program's own log: one line per event on stderr, `2026-11-21T01:02:03.123Z warn agent: text`.
//
// Not for records that are carried. Thread-safe. Secrets never go in: callers redact. Control characters are
// written escaped (a line break as \n), so that no foreign text can forge a line.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/base/clock.h"

namespace naru::telemetry {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// Lines below `level` are not written. kInfo until set.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);
void write_log(LogLevel level, std::string_view component, std::string_view text);
// The line that write_log() writes at `time`, with its line feed.
std::string format_log_line(UnixNanos time, LogLevel level, std::string_view component,
                            std::string_view text);

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
