#include "core/base/clock.h"

#include <gtest/gtest.h>

namespace naru {
namespace {

TEST(Clock, WritesNanosecondsOfUtc) {
  EXPECT_EQ(format_rfc3339(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(format_rfc3339(1'795'222'923'123'456'789), "2026-11-21T01:02:03.123456789Z");
  EXPECT_EQ(format_rfc3339(951'782'400 * kNanosPerSecond), "2000-02-29T00:00:00.000000000Z");
}

TEST(Clock, ReadsWhatItWrites) {
  for (UnixNanos time = 1; time < ~UnixNanos{0} / 3; time = time * 3 + 7) {
    const auto back = parse_rfc3339(format_rfc3339(time));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, time);
  }
}

TEST(Clock, ReadsOffsetsAndAnyFraction) {
  EXPECT_EQ(*parse_rfc3339("2026-11-21T10:02:03+09:00"), *parse_rfc3339("2026-11-21T01:02:03Z"));
  EXPECT_EQ(*parse_rfc3339("2026-11-20T23:32:03.5-01:30"), *parse_rfc3339("2026-11-21T01:02:03.500Z"));
  EXPECT_EQ(*parse_rfc3339("1970-01-01T00:00:00.0000000019Z"), 1U);
}

TEST(Clock, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2026-11-21", "2026-11-21T01:02:03", "2026-13-21T01:02:03Z", "2026-02-29T01:02:03Z",
        "2026-11-21T24:02:03Z", "2026-11-21T01:02:03.Z", "2026-11-21T01:02:03Zx", "1969-12-31T23:59:59Z",
        "2600-01-01T00:00:00Z", "2026-11-21T01:02:03+9:00"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

}  // namespace
}  // namespace naru
