#include "console/index_range.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/clock.h"

namespace naru::console {
namespace {

constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
constexpr std::int64_t kDaysMax = 31, kMonthsMax = 24;

std::string_view prefix_of(std::string_view alias) {
  return alias == "logs"      ? "logs-otel-v1-"
         : alias == "traces"  ? "otel-v1-apm-span-"
         : alias == "metrics" ? "metrics-otel-v1-"
                              : "";
}

CivilTime civil(std::int64_t ms) {
  return to_civil(static_cast<UnixNanos>(ms) * kNanosPerMilli);
}

}  // namespace

std::string indices_in(std::string_view alias, std::int64_t from, std::int64_t to) {
  constexpr std::int64_t kEnd = 9'000'000'000'000;  // date_nanos ends in 2262
  const std::string_view prefix = prefix_of(alias);
  from = std::max<std::int64_t>(from, 0);
  to = std::min(to, kEnd);
  if (prefix.empty() || to < from) {
    return std::string(alias);
  }
  const CivilTime first = civil(from), last = civil(to);
  const std::int64_t months = (last.year - first.year) * 12LL + last.month - first.month + 1;
  const std::int64_t days = to / kDayMs - from / kDayMs + 1;
  if (days > kDaysMax && months > kMonthsMax) {
    return std::string(alias);
  }
  std::string out;
  const auto add = [&](std::string pattern) {
    out += fmt::format("{}{}*-{}", out.empty() ? "" : ",", prefix, pattern);
  };
  for (std::int64_t i = 0; i < months; ++i) {
    const std::int64_t month = first.month - 1 + i;
    // Of a month exactly, or of everything in it.
    add(fmt::format("{:04}.{:02}{}", first.year + month / 12, month % 12 + 1, days > kDaysMax ? "*" : ""));
  }
  for (std::int64_t i = 0; i < days && days <= kDaysMax; ++i) {
    const CivilTime day = civil(from + i * kDayMs);
    add(fmt::format("{:04}.{:02}.{:02}*", day.year, day.month, day.day));
  }
  return out;
}

}  // namespace naru::console
