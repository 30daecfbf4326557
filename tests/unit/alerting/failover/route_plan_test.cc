#include "alerting/failover/route_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::alerting {
namespace {

using testing::HasSubstr;

constexpr UnixNanos kSecond = kNanosPerSecond;
constexpr UnixNanos kStart = 1'700'000'000 * kSecond;

TargetConfig config() {
  TargetConfig out;
  out.name = "broker";
  out.routes = {{.name = "main", .url = "http://main", .watch = "broker.main", .probe = {}},
                {.name = "sub", .url = "http://sub", .watch = "broker.sub", .probe = {}}};
  out.hold = std::chrono::seconds{30};
  return out;
}

TEST(RoutePlan, SwitchesOnceForOneCause) {
  RoutePlan plan(config());
  EXPECT_FALSE(plan.step(kStart));
  plan.status_changed("broker.main", Status::kCritical, 101, kStart);
  const auto change = plan.step(kStart);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->from, "main");
  EXPECT_EQ(change->to, "sub");
  for (int i = 0; i < 100; ++i) {
    plan.status_changed("broker.main", Status::kCritical, 101, kStart + i * kSecond);
    EXPECT_FALSE(plan.step(kStart + i * kSecond));
  }
}

TEST(RoutePlan, CautionSwitchesNothing) {
  RoutePlan plan(config());
  plan.status_changed("broker.main", Status::kCaution, 0, kStart);
  EXPECT_FALSE(plan.step(kStart));
}

TEST(RoutePlan, TheFirstRouteWatchesTheTargetUnlessToldOtherwise) {
  TargetConfig plain = config();
  plain.routes[0].watch.clear();
  plain.routes[1].watch.clear();
  RoutePlan plan(plain);
  EXPECT_TRUE(plan.watches("broker"));
  plan.status_changed("broker", Status::kCritical, 0, kStart);
  EXPECT_TRUE(plan.step(kStart));
  // The status is main's; sub has none that could be bad.
  EXPECT_FALSE(plan.step(kStart + 3'600 * kSecond));
}

TEST(RoutePlan, GoesOnToTheNextWhenTheSecondFailsToo) {
  TargetConfig three = config();
  three.routes.push_back({.name = "third", .url = {}, .watch = "broker.third", .probe = {}});
  RoutePlan plan(three);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  EXPECT_EQ(plan.step(kStart)->to, "sub");
  plan.status_changed("broker.sub", Status::kCritical, 0, kStart + kSecond);
  EXPECT_FALSE(plan.step(kStart + kSecond));
  EXPECT_THAT(plan.held(), HasSubstr("hold is 30 s"));
  EXPECT_EQ(plan.step(kStart + 30 * kSecond)->to, "third");
}

TEST(RoutePlan, StaysWhenNoOtherRouteIsWell) {
  RoutePlan plan(config());
  plan.status_changed("broker.sub", Status::kCritical, 0, kStart);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  EXPECT_FALSE(plan.step(kStart));
  EXPECT_EQ(plan.held(), "no other route is well");
  plan.status_changed("broker.sub", Status::kHealthy, 0, kStart + kSecond);
  EXPECT_TRUE(plan.step(kStart + kSecond));
}

TEST(RoutePlan, ARouteWithAProbeMustAnswerItFirst) {
  TargetConfig probed = config();
  probed.routes[1].probe = "tcp://127.0.0.1:1";
  probed.probe_healthy_after = 3;
  probed.probe_failed_after = 2;
  RoutePlan plan(probed);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  EXPECT_FALSE(plan.step(kStart));
  EXPECT_FALSE(plan.probed(1, true, kStart));
  EXPECT_FALSE(plan.probed(1, true, kStart));
  EXPECT_FALSE(plan.probed(1, false, kStart));  // so those before were not in a row
  EXPECT_FALSE(plan.probed(1, true, kStart));
  EXPECT_FALSE(plan.probed(1, true, kStart));
  EXPECT_TRUE(plan.probed(1, true, kStart));
  EXPECT_TRUE(plan.step(kStart));
}

TEST(RoutePlan, HoldsWhatAPersonLocked) {
  RoutePlan plan(config());
  plan.lock(true, "kim");
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  EXPECT_FALSE(plan.step(kStart));
  EXPECT_EQ(plan.held(), "locked by kim");
  plan.lock(false, "kim");
  EXPECT_TRUE(plan.step(kStart));
}

TEST(RoutePlan, WantsEnoughEvidenceOfARule) {
  TargetConfig careful = config();
  careful.minimum_evidence = 200;
  RoutePlan plan(careful);
  plan.status_changed("broker.main", Status::kCritical, 101, kStart);
  EXPECT_FALSE(plan.step(kStart));
  EXPECT_THAT(plan.held(), HasSubstr("101 records are less evidence than the 200"));
  plan.status_changed("broker.main", Status::kCritical, 200, kStart);
  EXPECT_TRUE(plan.step(kStart));
}

TEST(RoutePlan, SwitchesNoMoreThanSoOftenInAnHour) {
  TargetConfig fast = config();
  fast.hold = std::chrono::seconds{0};
  fast.switches_per_hour_max = 3;
  RoutePlan plan(fast);
  UnixNanos now = kStart;
  int switches = 0;
  for (int i = 0; i < 20; ++i) {
    now += kSecond;
    const bool on_main = plan.state().active == 0;
    plan.status_changed("broker.main", on_main ? Status::kCritical : Status::kHealthy, 0, now);
    plan.status_changed("broker.sub", on_main ? Status::kHealthy : Status::kCritical, 0, now);
    switches += plan.step(now) ? 1 : 0;
  }
  EXPECT_EQ(switches, 3);
  EXPECT_THAT(plan.held(), HasSubstr("3 switches in the last hour"));
  EXPECT_TRUE(plan.step(now + 3'600 * kSecond));
}

TEST(RoutePlan, ComesBackByItselfOnlyWhenTold) {
  TargetConfig back = config();
  back.fail_back = FailBack::kAutomatic;
  back.fail_back_after = std::chrono::seconds{300};
  RoutePlan plan(back);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  ASSERT_TRUE(plan.step(kStart));
  EXPECT_FALSE(plan.step(kStart + 10'000 * kSecond));  // still CRITICAL
  plan.status_changed("broker.main", Status::kCaution, 0, kStart + 10'001 * kSecond);
  EXPECT_FALSE(plan.step(kStart + 20'000 * kSecond));  // not HEALTHY
  plan.status_changed("broker.main", Status::kHealthy, 0, kStart + 20'000 * kSecond);
  EXPECT_FALSE(plan.step(kStart + 20'299 * kSecond));
  EXPECT_EQ(plan.step(kStart + 20'300 * kSecond)->to, "main");

  RoutePlan stays(config());  // manual
  stays.status_changed("broker.main", Status::kCritical, 0, kStart);
  ASSERT_TRUE(stays.step(kStart));
  stays.status_changed("broker.main", Status::kHealthy, 0, kStart + kSecond);
  EXPECT_FALSE(stays.step(kStart + 1'000'000 * kSecond));
}

TEST(RoutePlan, FailsBackOnlyAfterBeingWellWithoutABreak) {
  TargetConfig back = config();
  back.fail_back = FailBack::kAutomatic;
  back.fail_back_after = std::chrono::seconds{300};
  RoutePlan plan(back);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  ASSERT_TRUE(plan.step(kStart));
  plan.status_changed("broker.main", Status::kHealthy, 0, kStart + 100 * kSecond);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart + 390 * kSecond);
  plan.status_changed("broker.main", Status::kHealthy, 0, kStart + 395 * kSecond);
  EXPECT_FALSE(plan.step(kStart + 401 * kSecond));
  EXPECT_FALSE(plan.step(kStart + 694 * kSecond));
  EXPECT_TRUE(plan.step(kStart + 695 * kSecond));
}

TEST(RoutePlan, WhatAPersonTookBackIsNotLeftAgainForTheSameTrouble) {
  RoutePlan plan(config());
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  ASSERT_TRUE(plan.step(kStart));
  std::optional<RouteChange> change;
  EXPECT_FALSE(plan.set("main", "kim: sub is worse", kStart + kSecond, change));
  ASSERT_TRUE(change);
  EXPECT_FALSE(plan.step(kStart + 1'000 * kSecond));
  EXPECT_THAT(plan.held(), HasSubstr("not left twice"));
  plan.status_changed("broker.main", Status::kHealthy, 0, kStart + 1'001 * kSecond);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart + 1'002 * kSecond);
  EXPECT_TRUE(plan.step(kStart + 1'002 * kSecond));
  EXPECT_THAT(plan.set("west", "", kStart, change).value(),
              HasSubstr("no route 'west'; there are main, sub"));
}

TEST(RoutePlan, ADryRunTellsOnceAndChangesNothing) {
  TargetConfig dry = config();
  dry.dry_run = true;
  RoutePlan plan(dry);
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  const auto change = plan.step(kStart);
  ASSERT_TRUE(change);
  EXPECT_TRUE(change->dry_run);
  EXPECT_EQ(plan.state().active, 0u);
  EXPECT_FALSE(plan.step(kStart + kSecond));
}

TEST(RoutePlan, IsShownAsTheContractSays) {
  RoutePlan plan(config());
  plan.status_changed("broker.main", Status::kCritical, 0, kStart);
  ASSERT_TRUE(plan.step(kStart));
  plan.published({2, 9});
  EXPECT_EQ(
      to_json(plan, Status::kCritical),
      R"({"target":"broker","active":"sub","routes":[{"name":"main","url":"http://main","healthy":false},)"
      R"({"name":"sub","url":"http://sub","healthy":true}],"status":"CRITICAL","epoch":2,"sequence":9,)"
      R"("reason":"broker.main is CRITICAL","at":"2023-11-14T22:13:20.000000000Z","locked":false,"dryRun":false,)"
      R"("switches":[1700000000000000000],"acted":["main"]})");
}

// Whatever comes in whatever order: never two switches within the hold, never to a route that is not well,
// and nothing while it is locked.
TEST(RoutePlan, KeepsItsGuardsInAnyOrderOfEvents) {
  std::uint64_t seed = 1;
  const auto draw = [&seed](std::uint64_t n) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % n;
  };
  for (int round = 0; round < 200; ++round) {
    TargetConfig any = config();
    any.hold = std::chrono::seconds{draw(20)};
    any.switches_per_hour_max = static_cast<std::uint32_t>(1 + draw(6));
    any.fail_back = draw(2) == 0 ? FailBack::kAutomatic : FailBack::kManual;
    any.fail_back_after = std::chrono::seconds{draw(30)};
    RoutePlan plan(any);
    UnixNanos now = kStart, last = 0;
    bool locked = false;
    for (int i = 0; i < 300; ++i) {
      now += draw(5) * kSecond;
      switch (draw(4)) {
        case 0:
          plan.status_changed(draw(2) == 0 ? "broker.main" : "broker.sub", static_cast<Status>(draw(3)),
                              draw(300), now);
          break;
        case 1: plan.status_changed("other", Status::kCritical, 0, now); break;
        case 2:
          locked = draw(8) == 0;
          plan.lock(locked, "x");
          break;
        default: break;
      }
      if (const auto change = plan.step(now)) {
        EXPECT_FALSE(locked);
        EXPECT_TRUE(last == 0 || now >= last + to_nanos(any.hold));
        EXPECT_NE(plan.status_of(plan.state().active), Status::kCritical);
        EXPECT_LE(plan.state().switches.size(), any.switches_per_hour_max);
        last = now;
      }
    }
  }
}

}  // namespace
}  // namespace naru::alerting
