#include "alerting/program_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace naru::alerting {
namespace {

using testing::HasSubstr;

TEST(AlertingProgramConfig, AcceptsTheShippedExample) {
  const auto path = std::filesystem::path(NARU_SOURCE_DIR) / "config" / "alerting.yaml";
  const Result<ProgramConfig> loaded =
      config::load_file<ProgramConfig>(path.string(), [](const std::string&) { return std::nullopt; });
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->kafka.brokers, "127.0.0.1:9092");
  ASSERT_EQ(loaded->rules.size(), 1u);
  EXPECT_EQ(loaded->rules[0].more_than, 100u);
  EXPECT_EQ(loaded->rules[0].window, std::chrono::minutes{1});
}

TEST(AlertingProgramConfig, ListensOnLoopbackUnlessTold) {
  EXPECT_EQ(config::load_text<ProgramConfig>("kafka: {brokers: a:1}", "a.yaml").value().admin.address,
            "127.0.0.1:8083");
  EXPECT_THAT(config::load_text<ProgramConfig>("kafka: {brokers: a:1}\nadmin: {address: 0.0.0.0:1}", "a.yaml")
                  .error()
                  .message(),
              HasSubstr("a.yaml:2:18: admin.address: 0.0.0.0:1 can be reached from other machines"));
}

TEST(AlertingProgramConfig, ReportsMistakesOfEverySectionTogether) {
  const std::string errors =
      config::load_text<ProgramConfig>("rules: [{name: a}, {name: a}]\ncuonting: {}\n", "a.yaml")
          .error()
          .message();
  EXPECT_THAT(errors, HasSubstr("kafka.brokers: is missing"));
  EXPECT_THAT(errors, HasSubstr("a.yaml:2:1: cuonting: is no known key; did you mean \"counting\"?"));
  EXPECT_THAT(errors, HasSubstr("rules: has two rules named \"a\""));
  EXPECT_THAT(errors, HasSubstr("rules[1].target: is missing"));
}

}  // namespace
}  // namespace naru::alerting
