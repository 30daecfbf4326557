#include "store/dates.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <limits>

namespace naru::store {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kMinute = 60 * kSecond;
constexpr Nanos kHour = 60 * kMinute;
constexpr Nanos kDay = 24 * kHour;
constexpr int kYearMax = 2261;  // the last whole year of 64-bit nanoseconds

// Reads exactly `count` digits.
std::optional<int> digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) {
    return std::nullopt;
  }
  int value = 0;
  for (char c : text.substr(0, count)) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

std::optional<Nanos> days_of(int year, int month, int day) {
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || year < 1970 || year > kYearMax) {
    return std::nullopt;
  }
  return static_cast<Nanos>(std::chrono::sys_days(date).time_since_epoch().count());
}

std::optional<DateSpan> parse_calendar(std::string_view text) {
  const auto year = digits(text, 4);
  if (!year) {
    return std::nullopt;
  }
  if (text.empty()) {
    const auto first = days_of(*year, 1, 1);
    return first ? std::optional(DateSpan{*first * kDay, calendar_span(*first * kDay, 'y').last})
                 : std::nullopt;
  }
  if (!take(text, '-')) {
    return std::nullopt;
  }
  const auto month = digits(text, 2);
  if (!month) {
    return std::nullopt;
  }
  if (text.empty()) {
    const auto first = days_of(*year, *month, 1);
    return first ? std::optional(DateSpan{*first * kDay, calendar_span(*first * kDay, 'M').last})
                 : std::nullopt;
  }
  if (!take(text, '-')) {
    return std::nullopt;
  }
  const auto day = digits(text, 2);
  const auto days = day ? days_of(*year, *month, *day) : std::nullopt;
  if (!days) {
    return std::nullopt;
  }
  Nanos time = *days * kDay;
  Nanos unit = kDay;
  if (take(text, 'T') && !text.empty()) {
    const auto hour = digits(text, 2);
    if (!hour || *hour > 23) {
      return std::nullopt;
    }
    time += *hour * kHour;
    unit = kHour;
    if (take(text, ':')) {
      const auto minute = digits(text, 2);
      if (!minute || *minute > 59) {
        return std::nullopt;
      }
      time += *minute * kMinute;
      unit = kMinute;
      if (take(text, ':')) {
        const auto second = digits(text, 2);
        if (!second || *second > 59) {
          return std::nullopt;
        }
        time += *second * kSecond;
        unit = kSecond;
        if (take(text, '.') || take(text, ',')) {
          std::size_t count = 0;
          for (; count < text.size() && text[count] >= '0' && text[count] <= '9'; ++count) {
            unit /= 10;
            time += (text[count] - '0') * unit;
          }
          if (count == 0 || count > 9) {
            return std::nullopt;
          }
          text.remove_prefix(count);
          unit = 1;  // a given fraction names an instant
        }
      }
    }
    if (!text.empty()) {
      const auto zone = parse_zone(text);
      if (!zone) {
        return std::nullopt;
      }
      time -= *zone;
    }
  } else if (!text.empty()) {
    return std::nullopt;
  }
  if (time < 0) {
    return std::nullopt;
  }
  return DateSpan{time, time + unit - 1};
}

std::optional<DateSpan> parse_epoch(std::string_view text, Nanos unit) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) {
    return std::nullopt;
  }
  Nanos fraction = 0;
  if (end != text.data() + text.size()) {  // a fraction of the unit, as sent by JSON doubles
    std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
    if (!take(rest, '.') || rest.empty()) {
      return std::nullopt;
    }
    Nanos scale = unit;
    for (char c : rest) {
      if (c < '0' || c > '9') {
        return std::nullopt;
      }
      scale /= 10;
      fraction += (c - '0') * scale;
    }
  }
  if (value > (std::numeric_limits<Nanos>::max() - unit) / unit) {
    return std::nullopt;
  }
  return DateSpan{value * unit + fraction, value * unit + (fraction == 0 ? unit - 1 : fraction)};
}

Nanos add_months(Nanos time, std::int64_t months) {
  using namespace std::chrono;
  const sys_days day(days(time / kDay));
  const year_month_day date(day);
  year_month_day moved = date + std::chrono::months(months);
  if (!moved.ok()) {
    moved = moved.year() / moved.month() / last;
  }
  return static_cast<Nanos>(sys_days(moved).time_since_epoch().count()) * kDay + time % kDay;
}

}  // namespace

DateSpan calendar_span(Nanos time, char unit) {
  using namespace std::chrono;
  const auto fixed = [&](Nanos size) {
    const Nanos start = time - ((time % size) + size) % size;
    return DateSpan{start, start + size - 1};
  };
  switch (unit) {
    case 's': return fixed(kSecond);
    case 'm': return fixed(kMinute);
    case 'h': return fixed(kHour);
    case 'd': return fixed(kDay);
    case 'w': {  // weeks begin on Monday; 1970-01-01 was a Thursday
      const Nanos day = fixed(kDay).first / kDay;
      const Nanos start = (day - (((day + 3) % 7) + 7) % 7) * kDay;
      return {start, start + 7 * kDay - 1};
    }
    default: {
      const year_month_day date(sys_days(days(fixed(kDay).first / kDay)));
      const int width = unit == 'M' ? 1 : unit == 'q' ? 3 : 12;
      const unsigned month = (static_cast<unsigned>(date.month()) - 1) / width * width + 1;
      const year_month_day start = date.year() / std::chrono::month(month) / 1;
      const year_month_day next = start + months(width);
      return {static_cast<Nanos>(sys_days(start).time_since_epoch().count()) * kDay,
              static_cast<Nanos>(sys_days(next).time_since_epoch().count()) * kDay - 1};
    }
  }
}

std::optional<DateSpan> parse_date(std::string_view text) {
  if (auto span = parse_calendar(text)) {
    return span;
  }
  return parse_epoch(text, kMilli);
}

std::optional<DateFormat> date_format(std::string_view name) {
  std::optional<DateFormat> found;
  while (!name.empty()) {
    const std::size_t bar = name.find("||");
    const std::string_view part = name.substr(0, bar);
    name = bar == std::string_view::npos ? std::string_view() : name.substr(bar + 2);
    DateFormat format = DateFormat::kOptionalTime;
    if (part == "epoch_millis") {
      format = DateFormat::kEpochMillis;
    } else if (part == "epoch_second") {
      format = DateFormat::kEpochSecond;
    } else if (part != "strict_date_optional_time" && part != "strict_date_optional_time_nanos" &&
               part != "date_optional_time") {
      return std::nullopt;
    }
    found = found && *found != format ? DateFormat::kDefault : format;
  }
  return found;
}

std::optional<Nanos> parse_zone(std::string_view text) {
  if (text == "Z" || text == "UTC") {
    return 0;
  }
  const bool west = take(text, '-');
  if (!west && !take(text, '+')) {
    return std::nullopt;
  }
  const auto hours = digits(text, 2);
  take(text, ':');
  const auto minutes = text.empty() ? std::optional(0) : digits(text, 2);
  if (!hours || !minutes || *hours > 18 || *minutes > 59 || !text.empty()) {
    return std::nullopt;
  }
  const Nanos offset = *hours * kHour + *minutes * kMinute;
  return west ? -offset : offset;
}

Outcome<DateSpan> parse_date_bound(std::string_view text, DateFormat format, Nanos now) {
  const auto broken = [&] {
    return refuse(400, "parse_exception",
                  fmt::format("failed to parse date field [{}] with format "
                              "[strict_date_optional_time||epoch_millis]",
                              text));
  };
  std::string_view math;
  DateSpan span{now, now};
  if (text.starts_with("now")) {
    math = text.substr(3);
  } else {
    std::string_view date = text;
    if (const std::size_t bar = text.find("||"); bar != std::string_view::npos) {
      date = text.substr(0, bar);
      math = text.substr(bar + 2);
    }
    std::optional<DateSpan> parsed;
    switch (format) {
      case DateFormat::kDefault: parsed = parse_date(date); break;
      case DateFormat::kOptionalTime: parsed = parse_calendar(date); break;
      case DateFormat::kEpochMillis: parsed = parse_epoch(date, kMilli); break;
      case DateFormat::kEpochSecond: parsed = parse_epoch(date, kSecond); break;
    }
    if (!parsed) {
      return broken();
    }
    span = *parsed;
    if (!math.empty()) {
      span.last = span.first;
    }
  }
  while (!math.empty()) {
    const char sign = math.front();
    math.remove_prefix(1);
    std::int64_t count = 1;
    if (sign != '/') {
      if (sign != '+' && sign != '-') {
        return broken();
      }
      const auto [end, error] = std::from_chars(math.data(), math.data() + math.size(), count);
      math.remove_prefix(static_cast<std::size_t>(end - math.data()));
      if (count < 0 || count > 1'000'000'000) {
        return broken();
      }
    }
    if (math.empty()) {
      return broken();
    }
    char unit = math.front() == 'H' ? 'h' : math.front();
    math.remove_prefix(1);
    if (std::string_view("smhdwMy").find(unit) == std::string_view::npos) {
      return broken();
    }
    if (sign == '/') {
      span = calendar_span(span.first, unit);
      continue;
    }
    const std::int64_t steps = sign == '-' ? -count : count;
    if (unit == 'M' || unit == 'y') {
      if (count > 12'000) {
        return broken();
      }
      span.first = add_months(span.first, unit == 'M' ? steps : steps * 12);
    } else {
      const Nanos size = unit == 's'   ? kSecond
                         : unit == 'm' ? kMinute
                         : unit == 'h' ? kHour
                         : unit == 'd' ? kDay
                                       : 7 * kDay;
      Nanos moved = 0;
      if (__builtin_mul_overflow(size, steps, &moved) || __builtin_add_overflow(moved, span.first, &moved)) {
        return broken();
      }
      span.first = moved;
    }
    span.last = span.first;
  }
  return span;
}

std::optional<Nanos> parse_interval(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const Nanos size = unit == "ms"  ? kMilli
                     : unit == "s" ? kSecond
                     : unit == "m" ? kMinute
                     : unit == "h" ? kHour
                     : unit == "d" ? kDay
                                   : 0;
  if (error != std::errc() || count <= 0 || size == 0 || count > (Nanos{1} << 62) / size) {
    return std::nullopt;
  }
  return count * size;
}

std::string format_millis(Nanos time, Nanos offset) {
  using namespace std::chrono;
  const Nanos millis = (time - ((time % kMilli) + kMilli) % kMilli) / kMilli;
  const sys_time<milliseconds> point{milliseconds(millis)};
  const auto day = floor<days>(point);
  const year_month_day date(day);
  const hh_mm_ss clock(point - day);
  const Nanos east = offset < 0 ? -offset : offset;
  const std::string zone = offset == 0 ? std::string("Z")
                                       : fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', east / kHour,
                                                     east % kHour / kMinute);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count(), zone);
}

}  // namespace naru::store
