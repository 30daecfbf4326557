#include "alerting/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::alerting {
namespace {

using testing::HasSubstr;

std::string errors_of(const std::string& text) {
  const auto loaded = config::load_text<AlertingConfig>(text, "a.yaml");
  return loaded ? "loaded" : loaded.error().message();
}

TEST(AlertingConfig, ReadsARule) {
  const AlertingConfig config = config::load_text<AlertingConfig>(R"(
rules:
  - name: failures
    target: "service.{resource.service.name}"
    match:
      severity_at_least: error
      body_regex: "time.?out"
      attributes: {http.status_code: ">=500"}
    more_than: 50
    caution_more_than: 10
    window: 2m
    hold: 5m
)",
                                                                  "a.yaml")
                                    .value();
  ASSERT_EQ(config.rules.size(), 1u);
  const RuleConfig& rule = config.rules[0];
  EXPECT_EQ(rule.match.severity_at_least, Severity::kError);
  EXPECT_EQ(rule.match.attributes.at("http.status_code"), ">=500");
  EXPECT_EQ(rule.more_than, 50u);
  EXPECT_EQ(rule.caution_more_than, 10u);
  EXPECT_EQ(rule.window, std::chrono::seconds{120});
  EXPECT_EQ(rule.hold, std::chrono::seconds{300});
}

TEST(AlertingConfig, NamesEveryMistakeOfARule) {
  EXPECT_EQ(
      errors_of(R"(
rules:
  - name: a
    target: "{service}"
    match: {severity_at_least: bad, body_regex: "(", attributes: {x: ">="}}
    caution_more_than: 100
    window: 2h
  - name: a
    match: {}
)"),
      "a.yaml:3:3: rules: has two rules named \"a\"; give each its own name\n"
      "a.yaml:4:13: rules[0].target: cannot use {service}; write {resource.KEY} or {attributes.KEY}\n"
      "a.yaml:5:32: rules[0].match.severity_at_least: \"bad\" is not known here; write \"trace\", \"debug\", "
      "\"info\", \"warn\", \"error\" or \"fatal\"\n"
      "a.yaml:5:49: rules[0].match.body_regex: is no RE2 expression: missing ): (\n"
      "a.yaml:5:66: rules[0].match.attributes: x: \">=\" has no number behind >=; write one, such as "
      "\">=500\"\n"
      "a.yaml:6:24: rules[0].caution_more_than: is 100, so CAUTION would not come before CRITICAL; make it "
      "lower than more_than (100)\n"
      "a.yaml:7:13: rules[0].window: is 2h; it must be at most 1h\n"
      "a.yaml:8:5: rules[1].target: is missing; add it, such as `target: "
      "\"service.{resource.service.name}\"`\n"
      "a.yaml:9:12: rules[1].match: has no condition, so it would count every record; give at least one");
}

}  // namespace
}  // namespace naru::alerting
