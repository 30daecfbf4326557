#include "agent/config.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

AgentConfig valid(const test::TempDir& dir) {
  AgentConfig config;
  config.state_dir = dir / "state";
  config.files.push_back({});
  config.files[0].include = {dir / "*.log"};
  return config;
}

TEST(AgentConfig, DefaultsAreValid) {
  const test::TempDir dir;
  EXPECT_TRUE(validate(valid(dir)));
}

TEST(AgentConfig, NamesEveryProblemInOnePass) {
  const test::TempDir dir;
  AgentConfig config = valid(dir);
  config.files[0].include = {"relative/*.log", dir / "absent/x.log"};
  config.tail.line_bytes_max = 900'000;
  config.ship.in_flight_bytes_max = 1;
  const auto result = validate(config);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
  for (const std::string& part : {std::string("relative/*.log"), dir / "absent",
                                  std::string("line_bytes_max"), std::string("in_flight_bytes_max")}) {
    EXPECT_NE(result.error().message().find(part), std::string::npos) << part;
  }
}

TEST(AgentConfig, NeedsSomethingToRead) {
  const test::TempDir dir;
  AgentConfig config = valid(dir);
  config.files.clear();
  EXPECT_FALSE(validate(config));
  config.journald.enabled = true;
  EXPECT_TRUE(validate(config));
}

}  // namespace
}  // namespace naru::agent
