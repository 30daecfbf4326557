// Syslog severities (0 emergency .. 7 debug; RFC 5424, also the journal's PRIORITY) as OTLP has them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace naru::otlp {

// The OTLP severity number (OpenTelemetry logs data model, appendix B). Over 7 counts as debug.
constexpr std::int32_t severity_of_syslog(unsigned syslog_severity) {
  constexpr std::array<std::int32_t, 8> kNumbers = {21, 19, 18, 17, 13, 10, 9, 5};
  return kNumbers[std::min(syslog_severity, 7U)];
}

// EMERG, ALERT, CRIT, ERR, WARNING, NOTICE, INFO, DEBUG.
constexpr std::string_view name_of_syslog_severity(unsigned syslog_severity) {
  constexpr std::array<std::string_view, 8> kNames = {"EMERG",   "ALERT",  "CRIT", "ERR",
                                                      "WARNING", "NOTICE", "INFO", "DEBUG"};
  return kNames[std::min(syslog_severity, 7U)];
}

}  // namespace naru::otlp
