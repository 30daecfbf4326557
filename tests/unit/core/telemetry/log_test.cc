#include "core/telemetry/log.h"

#include <gtest/gtest.h>

namespace naru::telemetry {
namespace {

constexpr UnixNanos kTime = 1'795'222'923'123'456'789;  // 2026-11-21T01:02:03.123456789Z

TEST(LogLine, HasTimeLevelComponentAndText) {
  EXPECT_EQ(format_log_line(kTime, LogLevel::kWarn, "agent", "file gone"),
            "2026-11-21T01:02:03.123Z warn agent: file gone\n");
}

TEST(LogLine, CannotBeForgedByControlCharacters) {
  EXPECT_EQ(format_log_line(kTime, LogLevel::kInfo, "agent", "a\n2026 error\x1b[31m\x7f"),
            "2026-11-21T01:02:03.123Z info agent: a\\n2026 error\\x1b[31m\\x7f\n");
}

TEST(Log, WritesOnlyTheLevelsThatAreSwitchedOn) {
  testing::internal::CaptureStderr();
  set_log_level(LogLevel::kWarn);
  log_info("test", "quiet {}", 1);
  log_warn("test", "loud {}", 2);
  set_log_level(LogLevel::kInfo);
  log_info("test", "back {}", 3);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("quiet"), std::string::npos);
  EXPECT_NE(text.find(" warn test: loud 2\n"), std::string::npos);
  EXPECT_NE(text.find(" info test: back 3\n"), std::string::npos);
}

}  // namespace
}  // namespace naru::telemetry
