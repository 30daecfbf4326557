#include "core/telemetry/log.h"

#include <atomic>
#include <cstdio>

namespace naru::telemetry {
namespace {

std::atomic<LogLevel> minimum_level{LogLevel::kInfo};

constexpr std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "error";
}

void append_escaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
}

}  // namespace

void set_log_level(LogLevel level) {
  minimum_level.store(level, std::memory_order_relaxed);
}

bool log_enabled(LogLevel level) {
  return level >= minimum_level.load(std::memory_order_relaxed);
}

std::string format_log_line(UnixNanos time, LogLevel level, std::string_view component,
                            std::string_view text) {
  constexpr std::size_t kUpToMillis = 23;  // of write_rfc3339's "2026-11-21T01:02:03.123456789Z"
  char stamp[kRfc3339Size];
  write_rfc3339(time, stamp);
  std::string line;
  line.reserve(kUpToMillis + component.size() + text.size() + 12);
  line.append(stamp, kUpToMillis).append("Z ").append(name_of(level)).append(" ");
  append_escaped(line, component);
  line += ": ";
  append_escaped(line, text);
  line += '\n';
  return line;
}

void write_log(LogLevel level, std::string_view component, std::string_view text) {
  const std::string line = format_log_line(wall_now(), level, component, text);
  // One call a line: stderr is unbuffered, so lines of several threads do not mix. A closed stderr is not
  // ours to report anywhere.
  (void)std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace naru::telemetry
