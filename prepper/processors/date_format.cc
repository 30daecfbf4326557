#include "prepper/processors/date_format.h"

#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace naru::prepper {
namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr std::int64_t kSecondsPerYear = 365 * kSecondsPerDay;
constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};

// Abbreviations that mean one offset wherever they are written in logs (not IST, BST, ...); hours.
constexpr std::array<std::pair<std::string_view, int>, 16> kZoneHours = {{{"UTC", 0},
                                                                          {"GMT", 0},
                                                                          {"Z", 0},
                                                                          {"KST", 9},
                                                                          {"JST", 9},
                                                                          {"CET", 1},
                                                                          {"CEST", 2},
                                                                          {"EET", 2},
                                                                          {"EST", -5},
                                                                          {"EDT", -4},
                                                                          {"CST", -6},
                                                                          {"CDT", -5},
                                                                          {"MST", -7},
                                                                          {"MDT", -6},
                                                                          {"PST", -8},
                                                                          {"PDT", -7}}};

// Up to `most` digits at text[at].
std::optional<std::uint64_t> read_digits(std::string_view text, std::size_t& at, std::size_t least,
                                         std::size_t most) {
  std::uint64_t out = 0;
  const std::size_t begin = at;
  while (at < text.size() && at - begin < most && text[at] >= '0' && text[at] <= '9') {
    out = out * 10 + static_cast<std::uint64_t>(text[at++] - '0');
  }
  return at - begin >= least ? std::optional(out) : std::nullopt;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// "Z", "+09:00", "+0900", "+09": seconds.
std::optional<std::int64_t> read_offset(std::string_view text, std::size_t& at) {
  if (at < text.size() && (text[at] == 'Z' || text[at] == 'z')) {
    ++at;
    return 0;
  }
  if (at >= text.size() || (text[at] != '+' && text[at] != '-')) {
    return std::nullopt;
  }
  const std::int64_t sign = text[at++] == '-' ? -1 : 1;
  const auto hours = read_digits(text, at, 2, 2);
  if (!hours || *hours > 18) {
    return std::nullopt;
  }
  at += at < text.size() && text[at] == ':' ? 1 : 0;
  const auto minutes = read_digits(text, at, 0, 2);
  return minutes && *minutes < 60
             ? std::optional(sign * static_cast<std::int64_t>(*hours * 3600 + *minutes * 60))
             : std::nullopt;
}

std::optional<UnixNanos> read_unix(std::string_view text, std::uint32_t power) {
  std::size_t at = 0;
  const auto whole = read_digits(text, at, 1, 19);
  if (!whole) {
    return std::nullopt;
  }
  std::uint64_t unit = 1;
  for (std::uint32_t i = 0; i < power; ++i) {
    unit *= 10;
  }
  UnixNanos out = 0;
  if (__builtin_mul_overflow(*whole, unit, &out)) {
    return std::nullopt;
  }
  if (at < text.size() && text[at] == '.') {
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      unit /= 10;
      out += unit * static_cast<UnixNanos>(text[at] - '0');
    }
  }
  return at == text.size() ? std::optional(out) : std::nullopt;
}

}  // namespace

struct TimeZone::Rules {
  std::int64_t offset = 0;
  std::optional<absl::TimeZone> named;
};

Result<TimeZone> TimeZone::load(const std::string& name) {
  auto rules = std::make_shared<Rules>();
  std::size_t at = 0;
  if (name == "UTC" || name == "Z") {
  } else if (const auto offset = read_offset(name, at); offset && at == name.size()) {
    rules->offset = *offset;
  } else if (absl::TimeZone zone; absl::LoadTimeZone(name, &zone)) {
    rules->named = zone;
  } else {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is no time zone of this machine; write UTC, +09:00 or a name such as Asia/Seoul",
                    name));
  }
  TimeZone out;
  out.rules_ = std::move(rules);
  return out;
}

std::int64_t TimeZone::to_utc(std::int64_t local_seconds) const {
  if (!rules_->named) {
    return local_seconds - rules_->offset;
  }
  const absl::CivilSecond civil =
      absl::ToCivilSecond(absl::FromUnixSeconds(local_seconds), absl::UTCTimeZone());
  return absl::ToUnixSeconds(rules_->named->At(civil).pre);
}

Result<DateFormat> DateFormat::compile(std::string_view pattern) {
  DateFormat out;
  constexpr std::pair<std::string_view, std::uint32_t> kUnits[] = {
      {"unix", 9}, {"unix_ms", 6}, {"unix_us", 3}, {"unix_ns", 0}};
  for (const auto& [name, power] : kUnits) {
    if (pattern == name) {
      out.tokens_.push_back({Kind::kUnix, power, {}});
      return out;
    }
  }
  if (pattern == "iso8601") {
    out.tokens_.push_back({Kind::kIso, 0, {}});
    return out;
  }
  const auto literal = [&](char c) {
    if (out.tokens_.empty() || out.tokens_.back().kind != Kind::kLiteral) {
      out.tokens_.push_back({Kind::kLiteral, 0, {}});
    }
    out.tokens_.back().text += c;
  };
  for (std::size_t at = 0; at < pattern.size();) {
    const char c = pattern[at];
    if (c == '\'') {
      const std::size_t close = pattern.find('\'', at + 1);
      if (close == std::string_view::npos) {
        return fail(ErrorCode::kInvalidArgument, "a ' without its end");
      }
      for (const char inside :
           close == at + 1 ? std::string_view("'") : pattern.substr(at + 1, close - at - 1)) {
        literal(inside);
      }
      at = close + 1;
      continue;
    }
    if (!is_letter(c)) {
      literal(c);
      ++at;
      continue;
    }
    std::uint32_t width = 0;
    while (at < pattern.size() && pattern[at] == c) {
      ++at;
      ++width;
    }
    const auto add = [&](Kind kind) { out.tokens_.push_back({kind, width, {}}); };
    switch (c) {
      case 'y':
      case 'u': add(width == 2 ? Kind::kYear2 : Kind::kYear); break;
      case 'M': add(width >= 3 ? Kind::kMonthName : Kind::kMonth); break;
      case 'd': add(Kind::kDay); break;
      case 'H': add(Kind::kHour); break;
      case 'h': add(Kind::kHour12); break;
      case 'm': add(Kind::kMinute); break;
      case 's': add(Kind::kSecond); break;
      case 'S': add(Kind::kFraction); break;
      case 'a': add(Kind::kHalf); break;
      case 'E': add(Kind::kDayName); break;
      case 'Z':
      case 'X':
      case 'x': add(Kind::kOffset); break;
      case 'z': add(Kind::kZoneName); break;
      default:
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("'{}' means nothing in a date form; put text between ' and '", c));
    }
  }
  return out;
}

std::optional<UnixNanos> DateFormat::parse(std::string_view text, const TimeZone& zone,
                                           UnixNanos near) const {
  if (tokens_.empty()) {
    return std::nullopt;
  }
  if (tokens_[0].kind == Kind::kUnix) {
    return read_unix(text, tokens_[0].width);
  }
  std::optional<std::int64_t> year, offset;
  std::int64_t month = 1, day = 1, hour = 0, minute = 0, second = 0;
  std::uint64_t nanos = 0;
  std::optional<bool> afternoon;
  std::size_t at = 0;
  const auto number = [&](std::int64_t& out, std::uint32_t width, std::size_t most) {
    const auto read = read_digits(text, at, width >= 2 ? 2 : 1, most);
    out = static_cast<std::int64_t>(read.value_or(0));
    return read.has_value();
  };
  const auto fraction = [&] {
    std::uint64_t unit = 100'000'000;
    const std::size_t begin = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) {
      nanos += unit * static_cast<std::uint64_t>(text[at] - '0');
    }
    return at > begin;
  };
  const auto literal = [&](std::string_view wanted) {
    // One blank stands for any number of them: days are padded with blanks.
    for (const char c : wanted) {
      if (at >= text.size() || text[at] != c) {
        return false;
      }
      ++at;
      while (c == ' ' && at < text.size() && text[at] == ' ') {
        ++at;
      }
    }
    return true;
  };
  const auto word = [&] {
    const std::size_t begin = at;
    while (at < text.size() && is_letter(text[at])) {
      ++at;
    }
    return text.substr(begin, at - begin);
  };
  for (const Token& token : tokens_) {
    bool ok = true;
    std::int64_t read = 0;
    switch (token.kind) {
      case Kind::kUnix: ok = false; break;  // always alone
      case Kind::kIso: {
        ok = number(read, 4, 4);
        year = read;
        ok = ok && literal("-") && number(month, 2, 2) && literal("-") && number(day, 2, 2);
        if (ok && at < text.size()) {
          ok = (text[at] == 'T' || text[at] == 't' || text[at] == ' ');
          ++at;
          ok = ok && number(hour, 2, 2) && literal(":") && number(minute, 2, 2);
          if (ok && at < text.size() && text[at] == ':') {
            ++at;
            ok = number(second, 2, 2);
            if (ok && at < text.size() && (text[at] == '.' || text[at] == ',')) {
              ++at;
              ok = fraction();
            }
          }
          if (ok && at < text.size()) {
            at += text[at] == ' ' ? 1 : 0;
            offset = read_offset(text, at);
            ok = offset.has_value();
          }
        }
        break;
      }
      case Kind::kYear:
        ok = number(read, 2, 4);
        year = read;
        break;
      case Kind::kYear2:
        ok = number(read, 2, 2);
        year = 2000 + read;
        break;
      case Kind::kMonth: ok = number(month, token.width, 2); break;
      case Kind::kMonthName: {
        const std::string_view name = word();
        const auto same = [&](std::string_view known) {
          return name.size() >= 3 && std::equal(known.begin(), known.end(), name.begin(),
                                                [](char a, char b) { return a == (b | 0x20); });
        };
        const auto* found = std::ranges::find_if(kMonths, same);
        ok = found != kMonths.end();
        month = found - kMonths.begin() + 1;
        break;
      }
      case Kind::kDay: ok = number(day, token.width, 2); break;
      case Kind::kHour:
      case Kind::kHour12: ok = number(hour, token.width, 2); break;
      case Kind::kMinute: ok = number(minute, token.width, 2); break;
      case Kind::kSecond: ok = number(second, token.width, 2); break;
      case Kind::kFraction: ok = fraction(); break;
      case Kind::kHalf: {
        const std::string_view half = word();
        ok = half.size() == 2 && (half[1] | 0x20) == 'm';
        afternoon = ok && (half[0] | 0x20) == 'p';
        break;
      }
      case Kind::kDayName: ok = word().size() >= 3; break;
      case Kind::kOffset:
        offset = read_offset(text, at);
        ok = offset.has_value();
        break;
      case Kind::kZoneName: {
        const auto* known = std::ranges::find(kZoneHours, word(), &std::pair<std::string_view, int>::first);
        ok = known != kZoneHours.end();
        offset = ok ? known->second * 3600 : 0;
        break;
      }
      case Kind::kLiteral: ok = literal(token.text); break;
    }
    if (!ok) {
      return std::nullopt;
    }
  }
  if (afternoon) {
    if (hour < 1 || hour > 12) {
      return std::nullopt;
    }
    hour = hour % 12 + (*afternoon ? 12 : 0);
  }
  if (at != text.size() || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  const std::int64_t near_seconds = static_cast<std::int64_t>(near / kNanosPerSecond);
  const bool guessed = !year.has_value();
  if (guessed) {
    year = to_civil(near).year;
  }
  const auto seconds_of = [&](std::int64_t of_year) -> std::optional<std::int64_t> {
    if (day > days_in_month(static_cast<int>(of_year), static_cast<unsigned>(month))) {
      return std::nullopt;
    }
    const std::int64_t local =
        days_from_civil(static_cast<int>(of_year), static_cast<unsigned>(month), static_cast<unsigned>(day)) *
            kSecondsPerDay +
        hour * 3600 + minute * 60 + second;
    return offset ? local - *offset : zone.to_utc(local);
  };
  std::optional<std::int64_t> seconds = seconds_of(*year);
  if (guessed && seconds && *seconds > near_seconds + kSecondsPerYear / 2) {
    seconds = seconds_of(*year - 1);  // December, read in January
  } else if (guessed && seconds && *seconds < near_seconds - kSecondsPerYear / 2) {
    seconds = seconds_of(*year + 1);
  }
  if (!seconds || *seconds < 0 || *seconds > static_cast<std::int64_t>(UINT64_MAX / kNanosPerSecond) - 1) {
    return std::nullopt;
  }
  return static_cast<UnixNanos>(*seconds) * kNanosPerSecond + nanos;
}

}  // namespace naru::prepper
