// Data sets, index names and the time that decides them (contracts.md 2). Pure: an index is a function of the
// record and its receive time, never of "now".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/otlp/otlp.h"

namespace naru::prepper {

enum class Period : std::uint8_t { kHour, kDay, kMonth };
std::optional<Period> parse_period(std::string_view text);  // "hour", "day", "month"

inline constexpr std::string_view kDefaultDataset = "default";
// Lower-cases; nullopt when not [a-z0-9_]{1,64} then.
std::optional<std::string> normal_dataset(std::string_view name);

// "logs-otel-v1-", "otel-v1-apm-span-", "metrics-otel-v1-"
std::string_view index_prefix(otlp::Signal signal);
// "logs", "traces", "metrics": all indices of a signal, for searches.
std::string_view read_alias(otlp::Signal signal);

// One concrete index.
struct IndexTarget {
  otlp::Signal signal = otlp::Signal::kLogs;
  std::string dataset;
  std::string name;
  UnixNanos begin = 0;  // [begin, end) of its period
  UnixNanos end = 0;
  bool late = false;          // of documents whose own index takes no more
  std::string action_prefix;  // `{"create":{"_index":"<name>","_id":"`
};
inline constexpr std::string_view kActionSuffix = "\"}}\n";

IndexTarget make_target(otlp::Signal signal, std::string_view dataset, Period period, UnixNanos time);

// The target of a name that make_target() makes; nullopt for any other name.
std::optional<IndexTarget> parse_index_name(std::string_view name);

struct TimeRules {
  UnixNanos older_max = 7 * kNanosPerDay;
  UnixNanos newer_max = 600 * kNanosPerSecond;
};
// What OpenSearch's date_nanos holds: 1970 to 2262-04-11T23:47:16.854775807Z.
inline constexpr UnixNanos kDateNanosMax = INT64_MAX;

struct EventTime {
  UnixNanos time = 0;         // becomes @timestamp
  bool own = false;           // it is the record's own time
  bool out_of_range = false;  // the record's own time was refused; `original` has it
  UnixNanos original = 0;
};
// `own`: time_unix_nano, a span's start, a point's time; 0 when unknown. `observed`: 0 when unknown; spans
// and metrics have none.
EventTime event_time(UnixNanos own, UnixNanos observed, UnixNanos received, const TimeRules& rules);

}  // namespace naru::prepper
