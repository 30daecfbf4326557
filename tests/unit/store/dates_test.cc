#include "store/dates.h"

#include <gtest/gtest.h>

namespace naru::store {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kDay = 86'400 * kSecond;
constexpr Nanos kNow = 1'795'255'201 * kSecond + 5;  // 2026-11-21T10:00:01.000000005Z

TEST(DatesTest, ReadsAnyPrecisionAsTheSpanItNames) {
  const auto day = parse_date("2026-11-21");
  ASSERT_TRUE(day);
  EXPECT_EQ(day->last - day->first, kDay - 1);
  EXPECT_EQ(parse_date("2026-11-21T10:00:00.000000001Z")->first, 1'795'255'200 * kSecond + 1);
  EXPECT_EQ(parse_date("2026-11-21T19:00:00+09:00")->first, 1'795'255'200 * kSecond);
  EXPECT_EQ(parse_date("2026-11-21T10:00")->last, 1'795'255'260 * kSecond - 1);
  EXPECT_EQ(parse_date("1795255200123")->first, 1'795'255'200'123 * kMilli);
  EXPECT_EQ(parse_date("1795255200123")->last, 1'795'255'200'123 * kMilli + kMilli - 1);
}

TEST(DatesTest, RefusesWhatIsNoDateOrOutOfRange) {
  for (const char* text :
       {"", "x", "2026-13-01", "2026-02-30", "1969-12-31", "2300-01-01", "2026-11-21T25:00", "-5",
        "2026-11-21 10:00", "2026-11-21T10:00:00.", "2026-11-21T10:00:00X", "99999999999999999999"}) {
    EXPECT_FALSE(parse_date(text)) << text;
  }
}

TEST(DatesTest, DoesDateMath) {
  const auto first = [](std::string_view text) {
    return parse_date_bound(text, DateFormat::kDefault, kNow)->first;
  };
  EXPECT_EQ(first("now"), kNow);
  EXPECT_EQ(first("now-15m"), kNow - 900 * kSecond);
  EXPECT_EQ(first("now/d"), 1'795'219'200 * kSecond);
  EXPECT_EQ(first("now-1d/d"), 1'795'219'200 * kSecond - kDay);
  EXPECT_EQ(first("2026-01-31||+1M"), parse_date("2026-02-28")->first);
  EXPECT_EQ(parse_date_bound("now/d", DateFormat::kDefault, kNow)->last, 1'795'219'200 * kSecond + kDay - 1);
  for (const char* text : {"now-", "now-1", "now-1x", "now+99999999999y", "now*2", "soon||+1d"}) {
    EXPECT_FALSE(parse_date_bound(text, DateFormat::kDefault, kNow)) << text;
  }
}

TEST(DatesTest, FindsCalendarUnits) {
  EXPECT_EQ(format_millis(calendar_span(kNow, 'w').first), "2026-11-16T00:00:00.000Z");
  EXPECT_EQ(format_millis(calendar_span(kNow, 'M').first), "2026-11-01T00:00:00.000Z");
  EXPECT_EQ(format_millis(calendar_span(kNow, 'q').first), "2026-10-01T00:00:00.000Z");
  EXPECT_EQ(format_millis(calendar_span(kNow, 'y').last + 1), "2027-01-01T00:00:00.000Z");
}

TEST(DatesTest, ReadsIntervalsAndZones) {
  EXPECT_EQ(parse_interval("90s"), 90 * kSecond);
  EXPECT_FALSE(parse_interval("0m"));
  EXPECT_FALSE(parse_interval("1M"));
  EXPECT_FALSE(parse_interval("99999999999d"));
  EXPECT_EQ(parse_zone("-03:30"), -12'600 * kSecond);
  EXPECT_FALSE(parse_zone("Asia/Seoul"));
}

}  // namespace
}  // namespace naru::store
