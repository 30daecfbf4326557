#include "core/telemetry/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::telemetry {
namespace {

using testing::HasSubstr;

TEST(Health, IsReadyWithoutChecks) {
  Registry registry;
  EXPECT_TRUE(Health(registry).ready());
}

TEST(Health, IsRedWhileOneCheckIsRed) {
  Registry registry;
  Health health(registry);
  health.set("b", true);
  health.set("a", false, "disk full");
  EXPECT_FALSE(health.ready());
  const auto checks = health.checks();
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].name, "a");
  EXPECT_EQ(checks[0].reason, "disk full");
  EXPECT_EQ(checks[1].name, "b");
  health.set("a", true);
  EXPECT_TRUE(health.ready());
}

TEST(Health, ShowsADependencyAsAGaugeToo) {
  Registry registry;
  Health health(registry);
  health.set_dependency("kafka", false, "no broker answers");
  EXPECT_FALSE(health.ready());
  EXPECT_THAT(registry.expose(), HasSubstr("naru_dependency_up{name=\"kafka\"} 0\n"));
  health.set_dependency("kafka", true);
  EXPECT_TRUE(health.ready());
  EXPECT_THAT(registry.expose(), HasSubstr("naru_dependency_up{name=\"kafka\"} 1\n"));
}

TEST(Health, TurnsRedWhenTheOldestWorkIsOverItsLimit) {
  Registry registry;
  Health health(registry);
  std::optional<double> age;
  auto token = health.watch_age("ship", 30, [&] { return age; });
  EXPECT_TRUE(health.ready());
  age = 30;
  EXPECT_TRUE(health.ready());
  age = 30.1;
  EXPECT_FALSE(health.ready());
  EXPECT_THAT(health.checks()[0].reason, HasSubstr("30.1 s old, over the limit of 30.0 s"));
  token.reset();
  EXPECT_TRUE(health.ready());
  EXPECT_TRUE(health.checks().empty());
}

TEST(Health, MayDieBeforeATokenOfIts) {
  Registry registry;
  std::optional<Health> health(std::in_place, registry);
  auto token = health->add_check("x", [] { return std::nullopt; });
  health.reset();
  token.reset();
}

}  // namespace
}  // namespace naru::telemetry
