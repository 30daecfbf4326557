#include "agent/tail/rotation.h"

#include <gtest/gtest.h>

namespace naru::agent {
namespace {

TEST(Rotation, NumbersAndDatesAreRotations) {
  for (const char* name : {"a.log.1", "a.log.12.gz", "a.log-20261126", "a.log-20261126-1764115200.gz",
                           "a.log.2026-11-26T03:00", "a.1.log", "a-2026-11-26.log", "a-20261126.log.gz"}) {
    EXPECT_TRUE(is_numbered_rotation("a.log", name)) << name;
    EXPECT_TRUE(is_rotated_name("a.log", name)) << name;
  }
  EXPECT_TRUE(is_numbered_rotation("syslog", "syslog.1"));
}

TEST(Rotation, OtherFilesBesideAreNot) {
  for (const char* name : {"a.log", "a.log.gz", "b.log.1", "a-error.log", "a.log2", "a.login.1", "aa.log",
                           "a.", "", "a.log.old", "a2.log", "1.a.log"}) {
    EXPECT_FALSE(is_numbered_rotation("a.log", name)) << name;
  }
  for (const char* name : {"a.log", "b.log.1", "a-error.log", "a.log2", "a.login.1", "aa.log", ""}) {
    EXPECT_FALSE(is_rotated_name("a.log", name)) << name;
  }
}

TEST(Rotation, AnySuffixMayBeACopy) {
  for (const char* name : {"a.log.old", "a.log~", "a.log.gz", "a.log_prev.gz"}) {
    EXPECT_TRUE(is_rotated_name("a.log", name)) << name;
  }
}

}  // namespace
}  // namespace naru::agent
