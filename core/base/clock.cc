#include "core/base/clock.h"

#include <ctime>

namespace naru {
namespace {

UnixNanos read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<UnixNanos>(now.tv_sec) * kNanosPerSecond + static_cast<UnixNanos>(now.tv_nsec);
}

// Days since 1970-01-01 to a date and back: the era arithmetic of Howard Hinnant's
// "chrono-compatible low-level date algorithms".
void civil_from_days(std::int64_t days, CivilTime& out) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  out.day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  out.month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  out.year = static_cast<int>(static_cast<std::int64_t>(year_of_era) + era * 400) + (out.month <= 2 ? 1 : 0);
}

char* write_digits(std::uint32_t value, int count, char* out) {
  for (int i = count - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + count;
}

class DigitReader {
 public:
  explicit DigitReader(std::string_view text) : rest_(text) {}
  bool number(int digits, unsigned& out) {
    if (rest_.size() < static_cast<std::size_t>(digits)) {
      return false;
    }
    out = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = rest_[static_cast<std::size_t>(i)];
      if (c < '0' || c > '9') {
        return false;
      }
      out = out * 10 + static_cast<unsigned>(c - '0');
    }
    rest_.remove_prefix(static_cast<std::size_t>(digits));
    return true;
  }
  bool literal(char expected, char also = '\0') {
    if (rest_.empty() || (rest_[0] != expected && (also == '\0' || rest_[0] != also))) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view rest() const { return rest_; }
  void skip(std::size_t n) { rest_.remove_prefix(n); }

 private:
  std::string_view rest_;
};

}  // namespace

std::int64_t days_from_civil(int year, unsigned month, unsigned day) {
  year -= month <= 2 ? 1 : 0;
  const int era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<std::int64_t>(era) * 146097 + day_of_era - 719468;
}

unsigned days_in_month(int year, unsigned month) {
  constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

UnixNanos wall_now() {
  return read_clock(CLOCK_REALTIME);
}
std::uint64_t monotonic_now() {
  return read_clock(CLOCK_MONOTONIC);
}

CivilTime to_civil(UnixNanos time) {
  CivilTime out{};
  const std::uint64_t seconds = time / kNanosPerSecond;
  out.nanosecond = static_cast<std::uint32_t>(time % kNanosPerSecond);
  const auto second_of_day = static_cast<unsigned>(seconds % 86400);
  out.hour = second_of_day / 3600;
  out.minute = second_of_day / 60 % 60;
  out.second = second_of_day % 60;
  civil_from_days(static_cast<std::int64_t>(seconds / 86400), out);
  return out;
}

char* write_rfc3339(UnixNanos time, char* out) {
  const CivilTime t = to_civil(time);
  out = write_digits(static_cast<std::uint32_t>(t.year), 4, out);
  *out++ = '-';
  out = write_digits(t.month, 2, out);
  *out++ = '-';
  out = write_digits(t.day, 2, out);
  *out++ = 'T';
  out = write_digits(t.hour, 2, out);
  *out++ = ':';
  out = write_digits(t.minute, 2, out);
  *out++ = ':';
  out = write_digits(t.second, 2, out);
  *out++ = '.';
  out = write_digits(t.nanosecond, 9, out);
  *out++ = 'Z';
  return out;
}

std::string format_rfc3339(UnixNanos time) {
  std::string out(kRfc3339Size, '\0');
  write_rfc3339(time, out.data());
  return out;
}

Result<UnixNanos> parse_rfc3339(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument, "'" + std::string(text.substr(0, 64)) +
                                                 "' is no RFC 3339 time such as 2026-11-21T01:02:03.5Z");
  };
  DigitReader in(text);
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!in.number(4, year) || !in.literal('-') || !in.number(2, month) || !in.literal('-') ||
      !in.number(2, day) || !in.literal('T', 't') || !in.number(2, hour) || !in.literal(':') ||
      !in.number(2, minute) || !in.literal(':') || !in.number(2, second)) {
    return bad();
  }
  if (month < 1 || month > 12 || day < 1 || day > days_in_month(static_cast<int>(year), month) || hour > 23 ||
      minute > 59 || second > 60) {
    return bad();
  }
  std::uint64_t fraction = 0;
  if (in.literal('.')) {
    std::uint64_t scale = kNanosPerSecond / 10;
    std::size_t digits = 0;
    for (const char c : in.rest()) {
      if (c < '0' || c > '9') {
        break;
      }
      fraction += static_cast<std::uint64_t>(c - '0') * scale;
      scale /= 10;
      ++digits;
    }
    if (digits == 0) {
      return bad();
    }
    in.skip(digits);
  }
  std::int64_t offset_seconds = 0;
  if (!in.literal('Z', 'z')) {
    const bool west = in.literal('-');
    unsigned offset_hour = 0, offset_minute = 0;
    if ((!west && !in.literal('+')) || !in.number(2, offset_hour) || !in.literal(':') ||
        !in.number(2, offset_minute) || offset_hour > 23 || offset_minute > 59) {
      return bad();
    }
    offset_seconds = static_cast<std::int64_t>(offset_hour * 3600 + offset_minute * 60) * (west ? -1 : 1);
  }
  if (!in.rest().empty()) {
    return bad();
  }
  const std::int64_t seconds = days_from_civil(static_cast<int>(year), month, day) * 86400 +
                               static_cast<std::int64_t>(hour * 3600 + minute * 60 + second) - offset_seconds;
  constexpr std::int64_t kLastSecond = static_cast<std::int64_t>(~std::uint64_t{0} / kNanosPerSecond) - 1;
  if (seconds < 0 || seconds > kLastSecond) {
    return bad();
  }
  return static_cast<UnixNanos>(seconds) * kNanosPerSecond + fraction;
}

}  // namespace naru
