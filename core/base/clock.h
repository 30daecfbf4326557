// Points in time, and the one place that reads the clock.
//
// Wire and disk times are unsigned nanoseconds since 1970-01-01 UTC (OTLP's fixed64). Pure code takes a
// time as a parameter; only shells call the functions that read a clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace naru {

using UnixNanos = std::uint64_t;  // nanoseconds since the epoch, UTC
using UnixMillis = std::int64_t;  // milliseconds since the epoch, UTC (Kafka's timestamp)

inline constexpr UnixNanos kNanosPerMilli = 1'000'000;
inline constexpr UnixNanos kNanosPerSecond = 1'000'000'000;
inline constexpr UnixNanos kNanosPerHour = 3600 * kNanosPerSecond;
inline constexpr UnixNanos kNanosPerDay = 24 * kNanosPerHour;

template <class Rep, class Unit>
constexpr std::uint64_t to_nanos(std::chrono::duration<Rep, Unit> duration) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(duration).count());
}

// The wall clock. Steps with the system clock.
UnixNanos wall_now();
// A clock that never steps; for durations and deadlines only.
std::uint64_t monotonic_now();

// A UTC calendar date and time of day, proleptic Gregorian.
struct CivilTime {
  int year;
  unsigned month;  // 1..12
  unsigned day;    // 1..31
  unsigned hour, minute, second;
  std::uint32_t nanosecond;
};
CivilTime to_civil(UnixNanos time);
// Days from 1970-01-01 to a date. Its month must be 1..12.
std::int64_t days_from_civil(int year, unsigned month, unsigned day);
unsigned days_in_month(int year, unsigned month);

// Writes "2026-11-21T01:02:03.123456789Z" (30 bytes) to `out`; returns the byte behind the last.
// Times beyond year 9999 do not occur: 64-bit nanoseconds end in 2554.
inline constexpr std::size_t kRfc3339Size = 30;
char* write_rfc3339(UnixNanos time, char* out);
std::string format_rfc3339(UnixNanos time);

// Reads RFC 3339 with any fraction length (digits past nanoseconds are cut) and any offset.
// kInvalidArgument: another form, or a time outside 1970..2554.
Result<UnixNanos> parse_rfc3339(std::string_view text);

}  // namespace naru
