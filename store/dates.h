// Dates as OpenSearch reads and writes them: strict_date_optional_time, epoch_millis and date math. Pure.
//
// Times are signed nanoseconds since the epoch, UTC. Only 1970..2262 can be held (the range of date_nanos).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/outcome.h"

namespace naru::store {

using Nanos = std::int64_t;
inline constexpr Nanos kMilli = 1'000'000;

// A span of time that a text names: "2026-11-21" is a whole day. `last` is its last nanosecond.
struct DateSpan {
  Nanos first;
  Nanos last;
};

// Year, year-month, date, or date and time with hours, minutes, seconds and up to nine digits of fraction, Z
// or an offset; else digits (an optional sign) as milliseconds. nullopt: neither, or outside 1970..2262. The
// span of a number of milliseconds is that millisecond.
std::optional<DateSpan> parse_date(std::string_view text);

enum class DateFormat { kDefault, kEpochMillis, kEpochSecond, kOptionalTime };
// The formats of a query or a mapping: the names above joined by "||". nullopt: a name that is not known.
std::optional<DateFormat> date_format(std::string_view name);

// A bound of a range: a date by `format`, or date math (`now-15m/m`, `2026-11-21||+1d`). `now` is the time of
// the request.
Outcome<DateSpan> parse_date_bound(std::string_view text, DateFormat format, Nanos now);

// "15s", "1m", "2h", "1d", "500ms" as nanoseconds. nullopt: another form, zero or beyond 2^62 ns.
std::optional<Nanos> parse_interval(std::string_view text);

// "+09:00", "-0330", "Z", "UTC" as nanoseconds east of UTC.
std::optional<Nanos> parse_zone(std::string_view text);

// 2026-11-21T01:02:03.004Z; with an offset the time is taken as local and ends in it (+09:00).
std::string format_millis(Nanos time, Nanos offset = 0);

// The start of the unit ('m', 'h', 'd', 'w', 'M', 'q', 'y') that holds `time`, and the start of the next one.
DateSpan calendar_span(Nanos time, char unit);

}  // namespace naru::store
