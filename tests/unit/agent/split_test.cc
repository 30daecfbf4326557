#include "agent/ship/split.h"

#include <gtest/gtest.h>

#include "core/otlp/build.h"
#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

std::string build() {
  otlp::LogsBuilder builder;
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "log.file.path", "/a");
  std::array<unsigned char, 16> source{};
  builder.begin_resource(resource);
  builder.begin_scope(source, 100);
  builder.add(0, 5, "one");
  builder.add(0, 5, "two");
  source[0] = 1;
  builder.begin_scope(source, 0);
  builder.add_bytes(0, 6, "\xff");
  builder.begin_resource({});
  builder.begin_scope(source, 7);
  builder.add(0, 7, "four");
  builder.add(0, 7, "five");
  return builder.take();
}

TEST(Split, KeepsEveryRecordAndItsIdentityAtEveryPlace) {
  const std::string request = build();
  const auto whole = test::decode(request);
  ASSERT_EQ(whole.size(), 5U);
  for (std::size_t at = 0; at <= whole.size(); ++at) {
    const auto halves = split_request(request, at);
    ASSERT_TRUE(halves);
    auto parts = test::decode(halves->first);
    EXPECT_EQ(parts.size(), at);
    for (const auto& one : test::decode(halves->second)) {
      parts.push_back(one);
    }
    ASSERT_EQ(parts.size(), whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      EXPECT_EQ(parts[i].source, whole[i].source);
      EXPECT_EQ(parts[i].position, whole[i].position);
      EXPECT_EQ(parts[i].raw, whole[i].raw);
      EXPECT_EQ(parts[i].path, whole[i].path);
    }
  }
}

TEST(Split, RefusesWhatTheAgentDidNotBuild) {
  EXPECT_FALSE(split_request("\x0a\xff", 1));
  std::string foreign;
  const std::size_t group = otlp::begin_message_field(foreign, 1);
  const std::size_t scope = otlp::begin_message_field(foreign, 2);
  otlp::append_bytes_field(foreign, 2, "");
  otlp::end_message_field(foreign, scope);
  otlp::end_message_field(foreign, group);
  EXPECT_FALSE(split_request(foreign, 1));
}

}  // namespace
}  // namespace naru::agent
