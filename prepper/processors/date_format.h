// Times in the forms that logs use. Pure once compiled; thread-safe.
//
// A form is `iso8601`, `unix`, `unix_ms`, `unix_us`, `unix_ns`, or letters as java.time and Data Prepper know
// them: yyyy yy MM M MMM dd d HH H mm ss SSS (1 to 9 digits; `,` or `.` before them is a literal) a hh h EEE
// Z XXX z, 'quoted text', and other characters that stand for themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::prepper {

// Rules of a place's clock. nullopt for an unknown name; "UTC", "+09:00" and IANA names such as Asia/Seoul
// (from the system's zone files).
class TimeZone {
 public:
  static Result<TimeZone> load(const std::string& name);
  // Of a local civil time, seconds since the epoch as if it were UTC; a time that occurs twice is the earlier
  // one.
  std::int64_t to_utc(std::int64_t local_seconds) const;

 private:
  struct Rules;
  std::shared_ptr<const Rules> rules_;
};

class DateFormat {
 public:
  // kInvalidArgument: a letter that means nothing here.
  static Result<DateFormat> compile(std::string_view pattern);
  // `zone`: of texts without one. `near`: fills in the year where the form has none. nullopt: the text has
  // another form, or the time is outside 1970..2554.
  std::optional<UnixNanos> parse(std::string_view text, const TimeZone& zone, UnixNanos near) const;

 private:
  enum class Kind : std::uint8_t {
    kIso,
    kUnix,
    kYear,
    kYear2,
    kMonth,
    kMonthName,
    kDay,
    kHour,
    kHour12,
    kMinute,
    kSecond,
    kFraction,
    kHalf,
    kDayName,
    kOffset,
    kZoneName,
    kLiteral
  };
  struct Token {
    Kind kind;
    std::uint32_t width;  // digits at least; for kUnix the power of ten of its unit
    std::string text;     // of kLiteral
  };
  std::vector<Token> tokens_;
};

}  // namespace naru::prepper
