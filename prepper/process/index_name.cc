#include "prepper/process/index_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace naru::prepper {

std::optional<Period> parse_period(std::string_view text) {
  if (text == "hour") {
    return Period::kHour;
  }
  if (text == "day") {
    return Period::kDay;
  }
  if (text == "month") {
    return Period::kMonth;
  }
  return std::nullopt;
}

std::optional<std::string> normal_dataset(std::string_view name) {
  if (name.empty() || name.size() > 64) {
    return std::nullopt;
  }
  std::string out(name);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    }
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
      return std::nullopt;
    }
  }
  return out;
}

std::string_view index_prefix(otlp::Signal signal) {
  switch (signal) {
    case otlp::Signal::kLogs: return "logs-otel-v1-";
    case otlp::Signal::kTraces: return "otel-v1-apm-span-";
    case otlp::Signal::kMetrics: return "metrics-otel-v1-";
  }
  return "logs-otel-v1-";
}

std::string_view read_alias(otlp::Signal signal) {
  switch (signal) {
    case otlp::Signal::kLogs: return "logs";
    case otlp::Signal::kTraces: return "traces";
    case otlp::Signal::kMetrics: return "metrics";
  }
  return "logs";
}

IndexTarget make_target(otlp::Signal signal, std::string_view dataset, Period period, UnixNanos time) {
  const CivilTime at = to_civil(time);
  IndexTarget out;
  out.signal = signal;
  out.dataset = dataset;
  std::string suffix = fmt::format("{:04}.{:02}", at.year, at.month);
  const UnixNanos day = time - time % kNanosPerDay;
  switch (period) {
    case Period::kHour:
      suffix += fmt::format(".{:02}.{:02}", at.day, at.hour);
      out.begin = time - time % kNanosPerHour;
      out.end = out.begin + kNanosPerHour;
      break;
    case Period::kDay:
      suffix += fmt::format(".{:02}", at.day);
      out.begin = day;
      out.end = day + kNanosPerDay;
      break;
    case Period::kMonth:
      out.begin = day - (at.day - 1) * kNanosPerDay;
      // 31 days on is always the next month; back from there to its first day.
      const UnixNanos next = out.begin + 31 * kNanosPerDay;
      out.end = next - (to_civil(next).day - 1) * kNanosPerDay;
      break;
  }
  out.name = fmt::format("{}{}-{}", index_prefix(signal), dataset, suffix);
  out.action_prefix = fmt::format("{{\"create\":{{\"_index\":\"{}\",\"_id\":\"", out.name);
  return out;
}

std::optional<IndexTarget> parse_index_name(std::string_view name) {
  for (const otlp::Signal signal : otlp::kSignals) {
    const std::string_view prefix = index_prefix(signal);
    if (!name.starts_with(prefix)) {
      continue;
    }
    const std::string_view rest = name.substr(prefix.size());
    const std::size_t dash = rest.rfind('-');
    if (dash == std::string_view::npos) {
      return std::nullopt;
    }
    unsigned parts[4] = {0, 1, 1, 0};  // year, month, day, hour
    std::size_t count = 0;
    for (std::string_view text = rest.substr(dash + 1); count < std::size(parts);) {
      const std::size_t dot = std::min(text.find('.'), text.size());
      const auto [end, error] = std::from_chars(text.data(), text.data() + dot, parts[count]);
      if (error != std::errc() || end != text.data() + dot) {
        return std::nullopt;
      }
      ++count;
      if (dot == text.size()) {
        break;
      }
      text.remove_prefix(dot + 1);
    }
    const auto [year, month, day, hour] = parts;
    if (count < 2 || year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(static_cast<int>(year), month) || hour > 23) {
      return std::nullopt;
    }
    const Period period = count == 2 ? Period::kMonth : count == 3 ? Period::kDay : Period::kHour;
    const auto time =
        static_cast<UnixNanos>(days_from_civil(static_cast<int>(year), month, day)) * kNanosPerDay +
        hour * kNanosPerHour;
    IndexTarget out = make_target(signal, rest.substr(0, dash), period, time);
    return out.name == name && normal_dataset(out.dataset) == out.dataset ? std::optional(std::move(out))
                                                                          : std::nullopt;
  }
  return std::nullopt;
}

EventTime event_time(UnixNanos own, UnixNanos observed, UnixNanos received, const TimeRules& rules) {
  const bool has_reference = observed != 0 && observed <= kDateNanosMax;
  const UnixNanos reference = has_reference ? observed : received;
  if (own == 0) {
    return {.time = reference, .out_of_range = observed > kDateNanosMax, .original = observed};
  }
  const bool too_old = own < reference && reference - own > rules.older_max;
  const bool too_new = own > reference && own - reference > rules.newer_max;
  if (too_old || too_new || own > kDateNanosMax) {
    return {.time = reference, .out_of_range = true, .original = own};
  }
  return {.time = own, .own = true};
}

}  // namespace naru::prepper
