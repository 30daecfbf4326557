#include "core/base/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru {
namespace {

using testing::HasSubstr;

TEST(Address, TakesNamesBothFamiliesAndPortZero) {
  EXPECT_EQ(parse_address("127.0.0.1:0").value().port, 0);
  EXPECT_EQ(parse_address("collector.example:65535").value().host, "collector.example");
  const Address v6 = parse_address("[::1]:8080").value();
  EXPECT_EQ(v6.host, "::1");
  EXPECT_EQ(v6.port, 8080);
  EXPECT_EQ(v6.text(), "[::1]:8080");
  EXPECT_EQ(parse_address("localhost:1").value().text(), "localhost:1");
}

TEST(Address, SaysWhatIsWrongAndHowToWriteIt) {
  const auto why = [](const char* text) { return parse_address(text).error().message(); };
  EXPECT_THAT(why("8080"), HasSubstr("\"8080\" has no port; write host:port, such as 127.0.0.1:8080"));
  EXPECT_THAT(why(""), HasSubstr("has no port"));
  EXPECT_THAT(why(":8080"), HasSubstr("has no host"));
  EXPECT_THAT(why("a:"), HasSubstr("no port between 0 and 65535"));
  EXPECT_THAT(why("a:65536"), HasSubstr("no port between 0 and 65535"));
  EXPECT_THAT(why("a:-1"), HasSubstr("no port between 0 and 65535"));
  EXPECT_THAT(why("a:80x"), HasSubstr("no port between 0 and 65535"));
  EXPECT_THAT(why("::1:8080"), HasSubstr("needs brackets"));
  EXPECT_THAT(why("[::1:8080"), HasSubstr("no closing bracket"));
  EXPECT_THAT(why("[::1]"), HasSubstr("has no port"));
  EXPECT_THAT(why("[host]:1"), HasSubstr("no IPv6 address"));
  EXPECT_THAT(why("http://host:1"), HasSubstr("more than one colon"));
  EXPECT_THAT(why("a b:1"), HasSubstr("no host name has"));
}

TEST(Address, KnowsLoopback) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"}) {
    EXPECT_TRUE(parse_address(text).value().loopback()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "host:1", "128.0.0.1:1"}) {
    EXPECT_FALSE(parse_address(text).value().loopback()) << text;
  }
}

}  // namespace
}  // namespace naru
