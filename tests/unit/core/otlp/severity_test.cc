#include "core/otlp/severity.h"

#include <gtest/gtest.h>

namespace naru::otlp {
namespace {

TEST(SyslogSeverity, HasItsOtlpNumberAndName) {
  EXPECT_EQ(severity_of_syslog(3), 17);
  EXPECT_EQ(severity_of_syslog(6), 9);
  EXPECT_EQ(name_of_syslog_severity(0), "EMERG");
}

TEST(SyslogSeverity, OverTheScaleCountsAsDebug) {
  EXPECT_EQ(severity_of_syslog(99), 5);
  EXPECT_EQ(name_of_syslog_severity(99), "DEBUG");
}

}  // namespace
}  // namespace naru::otlp
