#include "core/rules/rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/temp_dir.h"

namespace naru::rules {
namespace {

using testing::HasSubstr;

Result<std::shared_ptr<const RuleSet>> compiled(const std::string& rules) {
  return RuleSet::compile({{"r.yaml", "groups:\n- name: g\n  rules:\n" + rules}});
}

TEST(RuleSet, ReadsARule) {
  const auto set = compiled(R"(
  - alert: ApiFailures
    where: severity.number >= 17
    by: {service: resource.attributes.service.name}
    window: 2m
    critical_above: 100
    caution_above: 50
    for: 30s
    keep_firing_for: 5m
    target: "service.{{ $labels.service }}"
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.service }} {{ $value }} {{ $labels.severity }}"}
)")
                       .value();
  ASSERT_EQ(set->rules().size(), 1u);
  const Rule& rule = set->rules()[0];
  EXPECT_EQ(rule.group, "g");
  EXPECT_EQ(rule.measure, Measure::kCount);
  EXPECT_EQ(rule.window, std::chrono::minutes{2});
  EXPECT_EQ(rule.pending, std::chrono::seconds{30});
  EXPECT_EQ(rule.threshold(Level::kCritical), 100);
  EXPECT_EQ(rule.threshold(Level::kCaution), 50);
  EXPECT_EQ(set->find("ApiFailures"), &rule);
  EXPECT_EQ(set->find(rule.fingerprint()), &rule);
  EXPECT_EQ(set->find("Other"), nullptr);
}

TEST(RuleSet, KnowsARuleByWhatItCountsAndNotByItsThreshold) {
  const auto base =
      compiled("  - {alert: A, critical_above: 1, target: t}\n").value()->rules()[0].fingerprint();
  EXPECT_EQ(
      compiled("  - {alert: A, critical_above: 2, for: 1m, target: x}\n").value()->rules()[0].fingerprint(),
      base);
  for (const char* other : {"  - {alert: B, critical_above: 1, target: t}\n",
                            "  - {alert: A, where: severity.number > 1, critical_above: 1, target: t}\n",
                            "  - {alert: A, by: {x: body}, critical_above: 1, target: t}\n",
                            "  - {alert: A, signal: traces, critical_above: 1, target: t}\n"}) {
    EXPECT_NE(compiled(other).value()->rules()[0].fingerprint(), base) << other;
  }
}

TEST(RuleSet, NamesEveryMistake) {
  const std::string errors = compiled(R"(
  - {alert: A, target: "{{ $labels.x }}", critical_above: 1}
  - {alert: B, target: t}
  - {alert: C, target: t, critical_above: 1, caution_above: 2}
  - {alert: D, target: t, measure: ratio, critical_above: 1}
  - {alert: E, target: t, measure: percentile, critical_above: 1}
  - {alert: F, target: t, measure: absence, critical_above: 1}
  - {alert: G, target: t, critical_above: 1, window: 2h, by: {"a-b": body}}
  - {alert: H, target: t, critical_above: 1, sevrity: x}
)")
                                 .error()
                                 .message();
  for (const char* part : {"target: there is no label 'x'", "critical_above: give critical_above",
                           "caution_above: is 2, so CAUTION would not come before CRITICAL", "of: is missing",
                           "value: is missing", "an absence has no threshold", "window: is 2h",
                           "'a-b' is no label name", "sevrity: is no known key"}) {
    EXPECT_THAT(errors, HasSubstr(part));
  }
  EXPECT_THAT(
      compiled("  - {alert: A, target: t, critical_above: 1}\n  - {alert: A, target: t, critical_above: 1}\n")
          .error()
          .message(),
      HasSubstr("two rules are named \"A\""));
}

class RulesOnDisk : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { std::ofstream(directory_ / name) << text; }

  test::TempDir directory_;
};

constexpr const char* kGood = "groups: [{name: g, rules: [{alert: A, target: t, critical_above: 1}]}]\n";

TEST_F(RulesOnDisk, AreReadAgainWhenTheyChangeAndRefusedOnceWhenTheyAreBroken) {
  write("a.yaml", kGood);
  write("a.test.yaml", "not: rules\n");
  RuleDirectory directory(directory_.path());
  EXPECT_EQ(directory.look().value()->rules().size(), 1u);
  EXPECT_EQ(directory.look().value(), nullptr);
  write("b.yaml", "groups: {\n");
  EXPECT_FALSE(directory.look());
  EXPECT_EQ(directory.look().value(), nullptr);  // told already
  std::filesystem::remove(directory_ / "b.yaml");
  EXPECT_EQ(directory.look().value()->rules().size(), 1u);
}

TEST_F(RulesOnDisk, AreNoneWithoutADirectoryAndAnErrorWhenItIsNotThere) {
  EXPECT_TRUE(RuleDirectory("").look().value()->rules().empty());
  EXPECT_EQ(RuleDirectory(directory_ / "none").look().error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace naru::rules
