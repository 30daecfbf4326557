#include "alerting/decide/decider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::alerting {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr UnixNanos kNow = 1'700'000'000 * kNanosPerSecond;

DeciderConfig config() {
  DeciderConfig out;
  TargetConfig target;
  target.name = "broker";
  target.routes = {{.name = "main", .url = "http://main", .watch = "broker.main", .probe = {}},
                   {.name = "sub", .url = "http://sub", .watch = "broker.sub", .probe = {}}};
  out.targets = {target};
  MappingConfig mapping;
  mapping.target = "broker.{{ $labels.broker }}";
  mapping.level = Status::kCritical;
  out.mappings = {mapping};
  out.history_max = 5;
  return out;
}

std::unique_ptr<Decider> begun(std::uint64_t epoch = 1) {
  auto decider = Decider::make(config()).value();
  decider->begin(epoch, kNow);
  return decider;
}

Alert alert_of(Alert::State state, UnixNanos starts_at, const std::string& broker = "main") {
  Alert alert;
  alert.source = "grafana";
  alert.fingerprint = "f-" + broker;
  alert.state = state;
  alert.starts_at = starts_at;
  alert.labels = {{"broker", broker}, {"alertname", "Errors"}};
  return alert;
}

// What a bus keeps of decisions: the last value of each key.
struct Kept {
  std::map<std::string, std::string> status, routes, state;

  void take(const Decider& decider, const Decisions& decisions) {
    for (const StatusEvent& event : decisions.events) {
      status[event.target] = to_json(event);
    }
    for (const std::string& target : decisions.routes) {
      routes[target] = decider.route_json(target);
    }
    for (const StateRecord& record : decisions.state) {
      if (record.value) {
        state[record.key] = *record.value;
      } else {
        state.erase(record.key);
      }
    }
  }
  std::unique_ptr<Decider> restored() const {
    auto decider = Decider::make(config()).value();
    for (const auto& [target, json] : status) {
      decider->restore_status(parse_status_event(json).value());
    }
    for (const auto& [target, json] : routes) {
      decider->restore_route(json);
    }
    for (const auto& [key, value] : state) {
      EXPECT_TRUE(decider->restore_state(key, value)) << key << " " << value;
    }
    decider->begin(decider->highest_epoch() + 1, kNow);
    return decider;
  }
};

TEST(Decider, AnAlertBecomesAStatusAndASwitch) {
  auto decider = begun();
  Decisions out;
  EXPECT_EQ(decider->alert(alert_of(Alert::State::kFiring, kNow), kNow, out), AlertOrder::Verdict::kNew);
  ASSERT_THAT(out.events, SizeIs(1));
  EXPECT_EQ(out.events[0].target, "broker.main");
  EXPECT_EQ(out.events[0].status, Status::kCritical);
  EXPECT_EQ(out.events[0].version, (Version{1, 1}));
  EXPECT_THAT(out.events[0].evidence, HasSubstr(R"("broker":"main")"));
  ASSERT_THAT(out.changes, SizeIs(1));
  EXPECT_EQ(out.changes[0].to, "sub");
  EXPECT_TRUE(out.routes.contains("broker"));
  EXPECT_THAT(decider->route_json("broker"), HasSubstr(R"("active":"sub")"));
}

TEST(Decider, RepeatedLateAndUnknownAlertsDecideNothing) {
  auto decider = begun();
  Decisions first;
  decider->alert(alert_of(Alert::State::kFiring, kNow), kNow, first);
  Decisions again;
  EXPECT_EQ(decider->alert(alert_of(Alert::State::kFiring, kNow), kNow, again),
            AlertOrder::Verdict::kDuplicate);
  EXPECT_EQ(decider->alert(alert_of(Alert::State::kFiring, kNow - 1), kNow, again),
            AlertOrder::Verdict::kStale);
  Alert unknown = alert_of(Alert::State::kResolved, kNow);
  unknown.unknown = true;
  decider->alert(unknown, kNow, again);
  EXPECT_TRUE(again.empty());
  EXPECT_EQ(decider->board().status("broker.main"), Status::kCritical);
  Decisions resolved;
  decider->alert(alert_of(Alert::State::kResolved, kNow), kNow, resolved);
  ASSERT_THAT(resolved.events, SizeIs(1));
  EXPECT_EQ(resolved.events[0].status, Status::kHealthy);
  EXPECT_EQ(resolved.events[0].previous, Status::kCritical);
  EXPECT_THAT(resolved.changes, IsEmpty());  // nobody asked for the route back
}

TEST(Decider, ATargetIsAsBadAsItsWorstSignal) {
  auto decider = begun();
  Decisions out;
  Alert second = alert_of(Alert::State::kFiring, kNow);
  second.fingerprint = "g";
  decider->alert(alert_of(Alert::State::kFiring, kNow), kNow, out);
  decider->alert(second, kNow, out);
  EXPECT_THAT(out.events, SizeIs(1));
  decider->alert(alert_of(Alert::State::kResolved, kNow), kNow, out);
  EXPECT_THAT(out.events, SizeIs(1));
  second.state = Alert::State::kResolved;
  decider->alert(second, kNow, out);
  EXPECT_THAT(out.events, SizeIs(2));
}

// Killed after any commit, a successor knows everything and decides nothing again.
TEST(Decider, IsRestoredFromWhatItWrote) {
  Kept kept;
  auto decider = begun();
  const auto commit = [&](auto&& decide) {
    Decisions out;
    decide(*decider, out);
    decider->tick(kNow, out);
    kept.take(*decider, out);
    return out;
  };
  commit([](Decider& d, Decisions& out) { d.alert(alert_of(Alert::State::kFiring, kNow), kNow, out); });
  commit([](Decider& d, Decisions& out) { d.alert(alert_of(Alert::State::kFiring, kNow, "b2"), kNow, out); });
  decider = kept.restored();
  EXPECT_EQ(decider->version().epoch, 2u);
  EXPECT_EQ(decider->board().status("broker.main"), Status::kCritical);
  EXPECT_EQ(decider->plan("broker")->state().active, 1u);
  EXPECT_THAT(decider->history(), SizeIs(3));  // two statuses and a switch
  const Decisions again = commit([](Decider& d, Decisions& out) {
    EXPECT_EQ(d.alert(alert_of(Alert::State::kFiring, kNow), kNow, out), AlertOrder::Verdict::kDuplicate);
  });
  EXPECT_THAT(again.events, IsEmpty());
  EXPECT_THAT(again.changes, IsEmpty());
  const Decisions back =
      commit([](Decider& d, Decisions& out) { d.alert(alert_of(Alert::State::kResolved, kNow), kNow, out); });
  ASSERT_THAT(back.events, SizeIs(1));
  EXPECT_GT(back.events[0].version, (Version{1, 100}));
  decider = kept.restored();
  EXPECT_EQ(decider->board().status("broker.main"), Status::kHealthy);
  EXPECT_EQ(decider->board().status("broker.b2"), Status::kCritical);
  EXPECT_EQ(decider->board().signal_count(), 1u);
}

Decider::RouteOrder to(const std::string& route, std::optional<unsigned> percent = {}) {
  return {.route = route, .percent = percent, .lock = {}};
}

TEST(Decider, ASuccessorDoesNotRepeatASwitchThatWasTakenBack) {
  Kept kept;
  auto decider = begun();
  Decisions out;
  decider->alert(alert_of(Alert::State::kFiring, kNow), kNow, out);
  ASSERT_TRUE(decider->set_route("broker", to("main"), "sub is worse", "kim", kNow, out));
  kept.take(*decider, out);
  decider = kept.restored();
  Decisions after;
  decider->tick(kNow + 3'600 * kNanosPerSecond, after);
  EXPECT_THAT(after.changes, IsEmpty());
  EXPECT_EQ(decider->plan("broker")->state().active, 0u);
}

TEST(Decider, APlannedMoveIsPublishedSurvivesASuccessorAndEndsWithASwitch) {
  Kept kept;
  auto decider = begun();
  Decisions out;
  ASSERT_TRUE(decider->set_route("broker", to("sub", 25), "a new cluster", "kim", kNow, out));
  EXPECT_THAT(out.changes, IsEmpty());
  EXPECT_THAT(out.stated, testing::ElementsAre("broker"));
  EXPECT_THAT(decider->route_json("broker"), testing::HasSubstr(R"("shift":{"to":"sub","percent":25})"));
  kept.take(*decider, out);
  decider = kept.restored();
  EXPECT_EQ(decider->plan("broker")->state().shift_percent, 25u);
  Decisions bad;
  EXPECT_FALSE(decider->set_route("broker", to("sub", 101), "x", "kim", kNow, bad));
  EXPECT_FALSE(decider->set_route("broker", to("main", 5), "x", "kim", kNow, bad));
  EXPECT_FALSE(decider->set_route("broker", to("west", 5), "x", "kim", kNow, bad));
  Decisions whole;
  ASSERT_TRUE(decider->set_route("broker", to("sub", 100), "done", "kim", kNow, whole));
  EXPECT_THAT(whole.changes, SizeIs(1));
  EXPECT_EQ(decider->plan("broker")->state().active, 1u);
  EXPECT_THAT(decider->route_json("broker"), testing::Not(testing::HasSubstr("shift")));
}

TEST(Decider, APlannedMoveIsTakenBackFromARouteThatIsNotWell) {
  auto decider = begun();
  Decisions out;
  ASSERT_TRUE(decider->set_route("broker", to("sub", 25), "a new cluster", "kim", kNow, out));
  Decisions bad;
  ASSERT_TRUE(decider->set_status("broker.sub", Status::kCritical, "it burns", "kim", kNow, bad));
  EXPECT_EQ(decider->plan("broker")->state().shift_percent, 0u);
  EXPECT_THAT(bad.stated, testing::ElementsAre("broker"));
  EXPECT_THAT(bad.changes, IsEmpty());
}

TEST(Decider, APersonsWordStandsUntilSomethingNewHappens) {
  auto decider = begun();
  Decisions out;
  decider->alert(alert_of(Alert::State::kFiring, kNow), kNow, out);
  Decisions word;
  ASSERT_TRUE(decider->set_status("broker.main", Status::kHealthy, "false alarm", "kim", kNow, word));
  ASSERT_THAT(word.events, SizeIs(1));
  EXPECT_EQ(word.events[0].source, "person/kim");
  EXPECT_EQ(word.events[0].reason, "false alarm");
  Decisions later;
  decider->alert(alert_of(Alert::State::kFiring, kNow), kNow, later);
  EXPECT_THAT(later.events, IsEmpty());
  decider->alert(alert_of(Alert::State::kFiring, kNow + 1), kNow, later);
  EXPECT_THAT(later.events, SizeIs(1));
  EXPECT_FALSE(decider->set_status("broker.main", Status::kHealthy, "", "kim", kNow, later));
  EXPECT_FALSE(decider->set_status("", Status::kHealthy, "x", "kim", kNow, later));
  EXPECT_FALSE(decider->set_route("nothing", to("main"), "x", "kim", kNow, later));
  EXPECT_FALSE(decider->set_route("broker", to("west"), "x", "kim", kNow, later));
}

TEST(Decider, BlindnessIsCautionOfItsOwnTarget) {
  auto decider = begun();
  Decisions out;
  decider->blind("logs: x", kNow, out);
  decider->blind("logs: x, longer", kNow, out);
  ASSERT_THAT(out.events, SizeIs(1));
  EXPECT_EQ(out.events[0].target, kBlindTarget);
  EXPECT_EQ(out.events[0].status, Status::kCaution);
  decider->blind("", kNow, out);
  EXPECT_EQ(out.events.at(1).status, Status::kHealthy);
}

TEST(Decider, ARuleRaisesItsTargetAndLowersItWhenItIsGone) {
  auto decider = begun();
  rules::Rule rule;
  rule.name = "Failures";
  rule.target = "service.{{ $labels.service }}";
  rule.annotations = {{"summary", "{{ $labels.service }} fails {{ $value }} times"}};
  LevelChange change;
  change.rule = &rule;
  change.rule_name = rule.name;
  change.group = {"checkout"};
  change.labels = {{"service", "checkout"}};
  change.level = Level::kCritical;
  change.at = kNow;
  change.value = 101;
  change.records = 101;
  Decisions out;
  SavedGroup saved{
      .rule = rule.name, .group = change.group, .level = change.level, .caution = {}, .critical = {1, 2}};
  decider->rule_changed(change, saved, out);
  ASSERT_THAT(out.events, SizeIs(1));
  EXPECT_EQ(out.events[0].target, "service.checkout");
  EXPECT_EQ(out.events[0].records, 101u);
  EXPECT_THAT(out.events[0].reason, HasSubstr("checkout fails 101 times"));
  const auto group = parse_saved_group(to_state(saved).key, *to_state(saved).value);
  ASSERT_TRUE(group);
  EXPECT_EQ(group->group, change.group);
  EXPECT_EQ(group->critical.until, 2);
  change.rule = nullptr;
  change.previous = change.level;
  change.level = saved.level = Level::kHealthy;
  decider->rule_changed(change, saved, out);
  EXPECT_EQ(out.events.at(1).status, Status::kHealthy);
  EXPECT_FALSE(to_state(saved).value);
}

TEST(Decider, KeepsNoMoreHistoryThanItMay) {
  Kept kept;
  auto decider = begun();
  for (int i = 0; i < 20; ++i) {
    Decisions out;
    decider->blind(i % 2 == 0 ? "x" : "", kNow + i, out);
    kept.take(*decider, out);
  }
  EXPECT_THAT(decider->history(), SizeIs(5));
  const auto restored = kept.restored();
  ASSERT_THAT(restored->history(), SizeIs(5));
  EXPECT_EQ(restored->history().back().number, 20u);
}

TEST(Decider, PassesOverRecordsThatItCannotRead) {
  auto decider = Decider::make(config()).value();
  EXPECT_FALSE(decider->restore_state("signal/x", "{}"));
  EXPECT_FALSE(decider->restore_state("signal/x", "no json"));
  EXPECT_FALSE(decider->restore_state("other/x", "{}"));
  EXPECT_FALSE(parse_saved_group("group/x", "{}"));
  decider->restore_route("no json");
  decider->begin(1, kNow);
  EXPECT_EQ(decider->plan("broker")->state().active, 0u);
}

}  // namespace
}  // namespace naru::alerting
