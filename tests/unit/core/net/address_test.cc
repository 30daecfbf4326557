#include "core/net/address.h"

#include <gtest/gtest.h>

namespace naru::net {
namespace {

TEST(Address, ReadsNamesAndNumbersAndWritesThemBack) {
  for (const char* text : {"127.0.0.1:4318", "localhost:0", "[::1]:9200", "collector.example:65535"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(format_address(*address), text);
  }
}

TEST(Address, NamesTheTextThatItCannotRead) {
  for (const char* text : {"", "127.0.0.1", ":80", "host:", "host:65536", "host:-1", "host:8o", "::1:80"}) {
    const auto address = parse_address(text);
    ASSERT_FALSE(address.has_value()) << text;
    EXPECT_EQ(address.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(address.error().message().find(std::string("'") + text + "'"), std::string::npos);
  }
}

TEST(Address, KnowsWhatStaysOnThisMachine) {
  EXPECT_TRUE(is_loopback_host("127.0.0.1"));
  EXPECT_TRUE(is_loopback_host("127.8.0.1"));
  EXPECT_TRUE(is_loopback_host("localhost"));
  EXPECT_TRUE(is_loopback_host("::1"));
  EXPECT_FALSE(is_loopback_host("0.0.0.0"));
  EXPECT_FALSE(is_loopback_host("127.example.org"));
  EXPECT_FALSE(is_loopback_host("::"));
}

}  // namespace
}  // namespace naru::net
