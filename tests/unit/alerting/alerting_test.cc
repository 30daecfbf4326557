#include "alerting/alerting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include "tests/unit/alerting/fake_bus.h"
#include "tests/unit/alerting/otlp_logs.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) {
      return true;
    }
    std::this_thread::yield();
  }
  return false;
}

AlertingConfig one_rule() {
  RuleConfig rule;
  rule.name = "failures";
  rule.target = "broker.main";
  rule.match.body_contains = "refused";
  AlertingConfig config;
  config.rules.push_back(rule);
  return config;
}

TEST(Alerting, TurnsRecordsIntoAStatusEventAndStops) {
  bus::FakeBus bus;
  bus.create("otlp_logs", 1);
  telemetry::Registry registry;
  telemetry::Health health(registry);
  Alerting alerting(one_rule(), bus, registry, health);
  ASSERT_TRUE(alerting.start());
  const UnixNanos now = wall_now();
  bus.append("otlp_logs", 0, logs_request({.time = now, .copies = 101}),
             static_cast<UnixMillis>(now / kNanosPerMilli));
  EXPECT_TRUE(eventually([&] { return bus.values("naru.system-status").size() == 1; }));
  EXPECT_TRUE(eventually([&] { return health.ready(); }));
  EXPECT_THAT(registry.expose(), HasSubstr("naru_rules_lag_seconds "));
  EXPECT_THAT(registry.expose(), HasSubstr("naru_dependency_up{name=\"bus\"} 1\n"));
  alerting.stop();
  alerting.stop();
  EXPECT_THAT(bus.values("naru.system-status"), SizeIs(1));
}

TEST(Alerting, StopsWhileTheBusIsAway) {
  bus::FakeBus bus;
  bus.away = true;
  telemetry::Registry registry;
  telemetry::Health health(registry);
  Alerting alerting(one_rule(), bus, registry, health);
  ASSERT_TRUE(alerting.start());
  EXPECT_TRUE(eventually(
      [&] { return registry.expose().find("naru_dependency_up{name=\"bus\"} 0\n") != std::string::npos; }));
  EXPECT_FALSE(health.ready());
  alerting.stop();
}

TEST(Alerting, RefusesARuleThatCannotBeCompiled) {
  bus::FakeBus bus;
  telemetry::Registry registry;
  telemetry::Health health(registry);
  AlertingConfig config = one_rule();
  config.rules[0].match.body_regex = "(";
  Alerting alerting(config, bus, registry, health);
  EXPECT_THAT(alerting.start().error().message(), HasSubstr("rule failures: is no RE2 expression"));
}

}  // namespace
}  // namespace naru::alerting
