#include "alerting/rules/counting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace naru::alerting {

bool operator==(const Transition& a, const Transition& b) {
  return a.target == b.target && a.status == b.status && a.previous == b.previous && a.at == b.at;
}
void PrintTo(const Transition& t, std::ostream* out) {
  *out << t.target << ' ' << to_string(t.previous) << "->" << to_string(t.status) << " at "
       << format_rfc3339(t.at) << " count " << t.count;
}

namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t kStart = 1'800'000'000;  // seconds

UnixNanos at(double seconds) {
  return kStart * kNanosPerSecond + static_cast<UnixNanos>(static_cast<std::int64_t>(seconds * 1e9));
}

CountingRule more_than_100() {
  return {.name = "failures", .critical_more_than = 100, .window_s = 60, .hold_s = 60};
}

class CountingTest : public testing::Test {
 protected:
  void make(std::vector<CountingRule> rules, CountingLimits limits = {}) {
    counting_.emplace(std::move(rules), limits);
  }
  bool hit(double seconds, int times = 1, std::string_view target = "t") {
    bool taken = true;
    for (int i = 0; i < times; ++i) {
      taken = counting_->count({.target = target, .event_time = at(seconds), .received = at(seconds)}, out_);
    }
    return taken;
  }
  void advance(double seconds) { counting_->advance(at(seconds), out_); }
  std::vector<Transition> take() { return std::exchange(out_, {}); }

  std::optional<Counting> counting_;
  std::vector<Transition> out_;
};

TEST_F(CountingTest, StaysHealthyAtExactly100) {
  make({more_than_100()});
  hit(0, 100);
  advance(1000);
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(CountingTest, TurnsCriticalAtThe101stAtItsOwnTime) {
  make({more_than_100()});
  hit(0, 100);
  hit(12.25);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].status, Status::kCritical);
  EXPECT_EQ(transitions[0].previous, Status::kHealthy);
  EXPECT_EQ(transitions[0].at, at(12.25));
  EXPECT_EQ(transitions[0].count, 101u);
  EXPECT_EQ(transitions[0].more_than, 100u);
}

TEST_F(CountingTest, TellsAChangeOnlyOnce) {
  make({more_than_100()});
  hit(0, 500);
  EXPECT_THAT(take(), SizeIs(1));
  hit(1, 500);
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(CountingTest, CountsAWindowOfExactly60Seconds) {
  make({more_than_100()});
  hit(0, 100);
  hit(60);  // second 60 sees seconds 1..60
  EXPECT_THAT(take(), IsEmpty());
  make({more_than_100()});
  hit(0, 100);
  hit(59.9);  // second 59 sees seconds 0..59
  EXPECT_THAT(take(), SizeIs(1));
}

TEST_F(CountingTest, FindsAFullWindowWhenRecordsComeOutOfOrder) {
  make({more_than_100()});
  hit(70, 60);
  hit(20, 40);
  EXPECT_THAT(take(), IsEmpty());
  hit(15);  // 15..74 now holds 101
  EXPECT_THAT(take(), SizeIs(1));
}

TEST_F(CountingTest, DoesNotJoinRecordsOfDifferentTargets) {
  make({more_than_100()});
  hit(0, 100, "a");
  hit(0, 100, "b");
  EXPECT_THAT(take(), IsEmpty());
  hit(0, 1, "b");
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].target, "b");
}

TEST_F(CountingTest, GoesBackOnlyWhenTheHoldHasPassedAndEverythingBeforeItWasRead) {
  make({more_than_100()});
  hit(0, 101);  // the last window over 100 ends with second 59
  EXPECT_THAT(take(), SizeIs(1));
  advance(59 + 60 + 10 + 1 - 0.01);  // hold 60, lateness 10; second 119 is not complete yet
  EXPECT_THAT(take(), IsEmpty());
  advance(59 + 60 + 10 + 1);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].status, Status::kHealthy);
  EXPECT_EQ(transitions[0].previous, Status::kCritical);
  EXPECT_EQ(transitions[0].at, at(120));
}

TEST_F(CountingTest, GoesBackAtTheSameMomentHoweverFarTimeJumps) {
  make({more_than_100()});
  hit(0, 101);
  (void)take();
  advance(100'000);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].at, at(120));
}

TEST_F(CountingTest, KeepsTheStatusWhileWindowsStayFull) {
  make({more_than_100()});
  for (int second = 0; second < 600; second += 10) {
    hit(second, 50);
    advance(second);
  }
  EXPECT_THAT(take(), SizeIs(1));
  // Seconds 550 to 590 bring 250 records; the last window with more than 100 ends at second 629.
  advance(629 + 60 + 10 + 1);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].at, at(690));
}

TEST_F(CountingTest, RisesAgainAfterGoingBack) {
  make({more_than_100()});
  hit(0, 101);
  advance(500);
  hit(501, 101);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(3));
  EXPECT_EQ(transitions[2].status, Status::kCritical);
  EXPECT_EQ(transitions[2].at, at(501));
}

TEST_F(CountingTest, PassesThroughCautionOnTheWayUpAndDown) {
  make({{.name = "r", .critical_more_than = 100, .caution_more_than = 50, .window_s = 60, .hold_s = 60}});
  hit(0, 51);
  hit(30, 50);
  advance(10'000);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(3));
  EXPECT_EQ(transitions[0].status, Status::kCaution);
  EXPECT_EQ(transitions[0].at, at(0));
  EXPECT_EQ(transitions[1].status, Status::kCritical);
  EXPECT_EQ(transitions[1].previous, Status::kCaution);
  // Windows over 100 and over 50 both end at second 59: one step down.
  EXPECT_EQ(transitions[2].status, Status::kHealthy);
  EXPECT_EQ(transitions[2].at, at(120));
}

TEST_F(CountingTest, StopsAtCautionOnTheWayDownWhileThatThresholdIsPassed) {
  make({{.name = "r", .critical_more_than = 100, .caution_more_than = 50, .window_s = 60, .hold_s = 60}});
  hit(0, 101);
  hit(100, 51);
  (void)take();
  advance(10'000);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(2));
  EXPECT_EQ(transitions[0].status, Status::kCaution);
  EXPECT_EQ(transitions[0].at, at(120));
  EXPECT_EQ(transitions[1].status, Status::kHealthy);
  EXPECT_EQ(transitions[1].at, at(159 + 60 + 1));
}

TEST_F(CountingTest, CountsAtReceiveTimeWhenTheRecordsClockIsTooFarOff) {
  make({more_than_100()}, {.lateness_s = 10});
  for (int i = 0; i < 101; ++i) {
    // One record an hour by its own clock, all received in one minute.
    counting_->count({.target = "t", .event_time = at(3600.0 * i), .received = at(100'000 + i * 0.5)}, out_);
  }
  EXPECT_THAT(take(), SizeIs(1));
}

TEST_F(CountingTest, BelievesTheRecordsClockUpToTheLateness) {
  const auto transitions_when_off_by = [&](double off) {
    make({more_than_100()}, {.lateness_s = 10});
    hit(0, 100);
    counting_->count({.target = "t", .event_time = at(65 - off), .received = at(65)}, out_);
    return take().size();
  };
  EXPECT_EQ(transitions_when_off_by(10), 1u);      // counts in second 55
  EXPECT_EQ(transitions_when_off_by(10.001), 0u);  // counts in second 65
  EXPECT_EQ(transitions_when_off_by(-5), 0u);      // early: counts in second 70
}

TEST_F(CountingTest, CountsAtReceiveTimeWithoutAnEventTime) {
  make({more_than_100()});
  for (int i = 0; i < 101; ++i) {
    counting_->count({.target = "t", .event_time = 0, .received = at(5)}, out_);
  }
  EXPECT_THAT(take(), SizeIs(1));
}

TEST_F(CountingTest, NeverTurnsCriticalOnPossibleRecords) {
  make({more_than_100()});
  for (int i = 0; i < 500; ++i) {
    counting_->count({.target = "t", .event_time = at(0), .received = at(0), .certain = false}, out_);
  }
  auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].status, Status::kCaution);
  hit(1, 100);
  EXPECT_THAT(take(), IsEmpty());
  hit(1);
  transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].status, Status::kCritical);
  EXPECT_EQ(transitions[0].count, 101u);
}

TEST_F(CountingTest, HoldsATargetAtTheWorstOfItsRules) {
  make({more_than_100(), {.name = "long", .critical_more_than = 10, .window_s = 60, .hold_s = 600}});
  hit(0, 101);
  for (int i = 0; i < 11; ++i) {
    counting_->count({.rule = 1, .target = "t", .event_time = at(0), .received = at(0)}, out_);
  }
  EXPECT_THAT(take(), SizeIs(1));
  advance(300);
  EXPECT_THAT(take(), IsEmpty());
  advance(10'000);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].at, at(59 + 600 + 1));
}

TEST_F(CountingTest, RefusesTargetsBeyondItsBoundAndTakesThemAgainLater) {
  make({more_than_100()}, {.targets_max = 2});
  EXPECT_TRUE(hit(0, 1, "a"));
  EXPECT_TRUE(hit(0, 1, "b"));
  EXPECT_FALSE(hit(0, 1, "c"));
  EXPECT_EQ(counting_->targets(), 2u);
  advance(1000);
  counting_->settle(at(900));
  EXPECT_EQ(counting_->targets(), 0u);
  EXPECT_TRUE(hit(1000, 1, "c"));
}

TEST_F(CountingTest, KeepsABoundedNumberOfSecondsAndCountsWhatItForgets) {
  make({more_than_100()}, {.counts_per_target_max = 10});
  for (int i = 0; i < 15; ++i) {
    hit(i, 2);
  }
  EXPECT_EQ(counting_->counts_dropped(), 10u);
}

TEST_F(CountingTest, TakesBackWhatAPartitionCounted) {
  make({more_than_100()});
  const auto hit_from = [&](std::uint32_t origin, int times) {
    for (int i = 0; i < times; ++i) {
      counting_->count({.target = "t", .origin = origin, .event_time = at(0), .received = at(0)}, out_);
    }
  };
  hit_from(1, 60);
  hit_from(2, 40);
  counting_->forget(1);
  hit_from(1, 60);
  EXPECT_THAT(take(), IsEmpty());
  hit_from(2, 1);
  EXPECT_THAT(take(), SizeIs(1));
}

TEST_F(CountingTest, DoesNotTellARestoredStatusAgain) {
  make({more_than_100()});
  EXPECT_TRUE(counting_->restore("t", Status::kCritical, Status::kHealthy, at(5), "failures"));
  hit(0, 90);
  hit(5, 50);
  hit(30, 50);
  EXPECT_THAT(take(), IsEmpty());
  advance(10'000);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(1));
  EXPECT_EQ(transitions[0].status, Status::kHealthy);
  EXPECT_EQ(transitions[0].at, at(59 + 60 + 1));  // the window that ends with second 60 holds 100
}

TEST_F(CountingTest, DoesNotDecideAgainWhatWasDecidedBeforeARestart) {
  make({more_than_100()});
  hit(0, 101);
  advance(10'000);
  const auto before = take();
  ASSERT_THAT(before, SizeIs(2));
  make({more_than_100()});
  counting_->restore("t", Status::kHealthy, Status::kCritical, before[1].at, "failures");
  hit(0, 101);
  advance(10'000);
  EXPECT_THAT(take(), IsEmpty());
}

TEST_F(CountingTest, KeepsARestoredStatusWhoseRuleIsGone) {
  make({more_than_100()});
  EXPECT_FALSE(counting_->restore("t", Status::kCaution, Status::kHealthy, at(5), "removed"));
  advance(10'000);
  EXPECT_THAT(take(), IsEmpty());
  hit(10'000, 101);
  advance(20'000);
  const auto transitions = take();
  ASSERT_THAT(transitions, SizeIs(2));
  EXPECT_EQ(transitions[0].previous, Status::kCaution);
  EXPECT_EQ(transitions[1].status, Status::kCaution);
}

TEST_F(CountingTest, ForgetsTargetsOnlyWhenTheirDecisionIsSettled) {
  make({more_than_100()});
  hit(0, 101);
  advance(1000);
  counting_->settle(at(100));
  EXPECT_EQ(counting_->targets(), 1u);
  hit(0, 101);  // read again after a rebalance
  EXPECT_THAT(take(), SizeIs(2));
  advance(1001);
  counting_->settle(at(1000));
  EXPECT_EQ(counting_->targets(), 0u);
}

// Whatever moment a process dies at: what it told and what its successor tells are together what one process
// would have told.
TEST(CountingRestart, NeitherMissesNorDoublesATransition) {
  std::mt19937 random(20261121);
  int transitions_seen = 0;
  for (int round = 0; round < 1000; ++round) {
    const CountingRule rule{
        .name = "r",
        .critical_more_than = 20,
        .caution_more_than = round % 2 == 0 ? std::optional<std::uint64_t>(8) : std::nullopt,
        .window_s = 10,
        .hold_s = static_cast<std::uint32_t>(round % 3 * 7)};
    const CountingLimits limits{.lateness_s = 3};
    struct Step {
      UnixNanos received;
      UnixNanos event;
    };
    std::vector<Step> steps;
    double now = 100;
    for (int i = 0; i < 400; ++i) {
      const bool storm = (i / 50) % 2 == 0;
      now += storm ? 0.05 * (random() % 20) : 0.1 * (random() % 40);
      const double late = (static_cast<double>(random() % 800) - 400) / 100;
      steps.push_back({at(now), at(now - late)});
    }
    const auto run = [&](Counting& counting, std::size_t from, std::size_t to, std::vector<Transition>& out) {
      for (std::size_t i = from; i < to; ++i) {
        counting.count({.target = "t", .event_time = steps[i].event, .received = steps[i].received}, out);
        counting.advance(steps[i].received, out);
      }
    };
    Counting whole({rule}, limits);
    std::vector<Transition> expected;
    run(whole, 0, steps.size(), expected);
    transitions_seen += static_cast<int>(expected.size());

    const std::size_t death = random() % steps.size();
    Counting first({rule}, limits);
    std::vector<Transition> told;
    run(first, 0, death, told);
    Counting second({rule}, limits);
    if (!told.empty()) {
      second.restore("t", told.back().status, told.back().previous, told.back().at, "r");
    }
    // The last commit, some time before the death, kept what was received within the horizon before it.
    const std::size_t commit = death - std::min<std::size_t>(death, random() % 60);
    const UnixNanos read_to = commit == 0 ? 0 : steps[commit - 1].received;
    std::size_t resume = 0;
    while (resume < commit && steps[resume].received + first.horizon_s() * kNanosPerSecond < read_to) {
      ++resume;
    }
    if (commit > 0) {
      second.resume(read_to);
    }
    run(second, resume, steps.size(), told);
    EXPECT_EQ(told, expected) << "round " << round << ", death at " << death;
  }
  EXPECT_GT(transitions_seen, 10'000);
}

}  // namespace
}  // namespace naru::alerting
