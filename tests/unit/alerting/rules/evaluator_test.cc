#include "alerting/rules/evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::alerting {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::int64_t kStart = 1'700'000'000;

UnixNanos at(std::int64_t second) {
  return static_cast<UnixNanos>(second) * kNanosPerSecond;
}

std::shared_ptr<const rules::RuleSet> rules_of(const std::string& text) {
  return rules::RuleSet::compile({{"r.yaml", "groups: [{name: g, rules: [" + text + "]}]"}}).value();
}

const std::string kFailures =
    "{alert: Failures, by: {service: body}, critical_above: 100, keep_firing_for: 60s, target: t}";

// One partition of logs, told second by second.
class Stream {
 public:
  explicit Stream(const std::string& rules, std::size_t partitions = 1) : evaluator(EvaluatorLimits{}) {
    use(rules);
    std::vector<rules::Feed> feeds;
    for (std::size_t i = 0; i < partitions; ++i) {
      feeds.push_back(feed(static_cast<std::int32_t>(i)));
    }
    evaluator.expect(otlp::Signal::kLogs, feeds);
  }
  void use(const std::string& rules) {
    set = rules_of(rules);
    evaluator.use(set, at(kStart), changes);
  }
  static rules::Feed feed(std::int32_t partition) { return {"c", "otlp_logs", partition}; }

  rules::Counts counts(std::int64_t second, std::vector<rules::SecondCount> seconds,
                       const std::vector<std::string>& group = {"a"}, std::int32_t partition = 0) {
    rules::Counts out;
    out.from = next[partition];
    out.to = next[partition] += 1;
    out.caught_up_to = at(second);
    if (!seconds.empty()) {
      out.rules = {{set->rules()[0].fingerprint(), {{group, std::move(seconds)}}}};
    }
    return out;
  }
  // `n` records of the second, and everything caught up to it.
  void tell(std::int64_t second, std::uint64_t n, std::uint64_t possible = 0, std::uint64_t share = 0) {
    std::vector<rules::SecondCount> seconds;
    if (n + possible > 0) {
      seconds.push_back({second, n, possible, share, {}});
    }
    evaluator.count(feed(0), counts(second, std::move(seconds)), changes);
    evaluator.tick(at(second), changes);
  }
  void quiet(std::int64_t from, std::int64_t to) {
    for (std::int64_t second = from; second <= to; ++second) {
      tell(second, 0);
    }
  }
  std::vector<LevelChange> take() { return std::exchange(changes, {}); }

  std::shared_ptr<const rules::RuleSet> set;
  Evaluator evaluator;
  std::vector<LevelChange> changes;
  std::map<std::int32_t, std::int64_t> next;
};

TEST(Evaluator, FiresWithTheRecordOverTheThresholdAndSaysWhatItSaw) {
  Stream stream(kFailures);
  stream.tell(kStart, 60);
  stream.tell(kStart + 30, 40);
  EXPECT_THAT(stream.take(), IsEmpty());
  stream.tell(kStart + 59, 1);
  const auto changes = stream.take();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].level, Level::kCritical);
  EXPECT_EQ(changes[0].value, 101);
  EXPECT_EQ(changes[0].threshold, 100);
  EXPECT_EQ(changes[0].at, at(kStart + 59));
  EXPECT_EQ(changes[0].labels.at("service"), "a");
  EXPECT_EQ(changes[0].labels.at("alertname"), "Failures");
  EXPECT_EQ(changes[0].to, changes[0].from + 1);
}

TEST(Evaluator, DoesNotAddUpWhatNoWindowHolds) {
  Stream stream(kFailures);
  stream.tell(kStart, 100);
  stream.tell(kStart + 60, 100);
  EXPECT_THAT(stream.take(), IsEmpty());
  stream.tell(kStart + 119, 1);
  EXPECT_THAT(stream.take(), SizeIs(1));
}

TEST(Evaluator, FindsAWindowThatRecordsOfOtherPartitionsFilledBefore) {
  Stream stream(kFailures, 2);
  // The other partition is half a minute ahead; together they are over within one minute.
  stream.evaluator.count(Stream::feed(1), stream.counts(kStart + 40, {{kStart + 40, 60, 0, 0, {}}}, {"a"}, 1),
                         stream.changes);
  stream.evaluator.count(Stream::feed(0), stream.counts(kStart + 5, {{kStart + 5, 41, 0, 0, {}}}),
                         stream.changes);
  ASSERT_THAT(stream.changes, SizeIs(1));
  EXPECT_EQ(stream.changes[0].value, 101);
}

TEST(Evaluator, GoesDownOnceWhenEverythingWasQuietForLongEnough) {
  Stream stream(kFailures);
  stream.tell(kStart, 101);
  stream.take();
  // The last window over ends at kStart+59, then it is kept for 60 s, and 10 s may still be late.
  stream.quiet(kStart + 1, kStart + 129);
  EXPECT_THAT(stream.take(), IsEmpty());
  stream.quiet(kStart + 130, kStart + 140);
  const auto changes = stream.take();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].level, Level::kHealthy);
  EXPECT_EQ(changes[0].previous, Level::kCritical);
  EXPECT_EQ(changes[0].at, at(kStart + 120));
  stream.quiet(kStart + 141, kStart + 400);
  EXPECT_THAT(stream.take(), IsEmpty());
  EXPECT_EQ(stream.evaluator.groups(), 0u);
}

TEST(Evaluator, HoldsTheLevelWhileAPartitionIsNotCounted) {
  Stream stream(kFailures, 2);
  stream.evaluator.count(Stream::feed(1), stream.counts(kStart, {}, {}, 1), stream.changes);
  stream.tell(kStart, 101);
  stream.take();
  stream.quiet(kStart + 1, kStart + 1'000);
  EXPECT_THAT(stream.take(), IsEmpty());
  EXPECT_THAT(stream.evaluator.blind(at(kStart + 1'000)),
              HasSubstr("c/otlp_logs/1 is counted up to 1000 s ago"));
  stream.evaluator.count(Stream::feed(1), stream.counts(kStart + 1'001, {}, {}, 1), stream.changes);
  stream.tell(kStart + 1'001, 0);
  EXPECT_THAT(stream.take(), SizeIs(1));
  EXPECT_EQ(stream.evaluator.blind(at(kStart + 1'002)), "");
}

TEST(Evaluator, IsBlindUntilEveryPartitionHasTold) {
  Stream stream(kFailures, 2);
  stream.tell(kStart, 0);
  EXPECT_THAT(stream.evaluator.blind(at(kStart)), HasSubstr("c/otlp_logs/1 has not been counted yet"));
}

TEST(Evaluator, RecordsThatMayBeDoubleRaiseNoMoreThanCaution) {
  Stream stream(kFailures);
  stream.tell(kStart, 60, 60);
  const auto changes = stream.take();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].level, Level::kCaution);
  stream.tell(kStart + 1, 41);
  EXPECT_EQ(stream.take().at(0).level, Level::kCritical);
}

TEST(Evaluator, GoesThroughCautionOnBothWays) {
  Stream stream(
      "{alert: A, caution_above: 10, critical_above: 20, keep_firing_for: 10s, window: 10s, target: t}");
  std::vector<Level> levels;
  const auto note = [&] {
    for (const LevelChange& change : stream.take()) {
      levels.push_back(change.level);
    }
  };
  const auto tell = [&](std::int64_t second, std::uint64_t n) {
    stream.evaluator.count(Stream::feed(0), stream.counts(second, {{second, n, 0, 0, {}}}, {}),
                           stream.changes);
    stream.evaluator.tick(at(second), stream.changes);
    note();
  };
  tell(kStart, 11);
  tell(kStart + 1, 10);
  for (std::int64_t second = kStart + 2; second < kStart + 60; ++second) {
    tell(second, 2);  // 20 in ten seconds: above 10, not above 20
  }
  for (std::int64_t second = kStart + 60; second < kStart + 120; ++second) {
    stream.evaluator.count(Stream::feed(0), stream.counts(second, {}), stream.changes);
    stream.evaluator.tick(at(second), stream.changes);
    note();
  }
  EXPECT_THAT(levels,
              testing::ElementsAre(Level::kCaution, Level::kCritical, Level::kCaution, Level::kHealthy));
}

TEST(Evaluator, WaitsAsLongAsForSays) {
  Stream stream(
      "{alert: A, by: {s: body}, critical_above: 5, window: 10s, for: 30s, keep_firing_for: 0s, target: t}");
  stream.tell(kStart, 6);
  stream.quiet(kStart + 1, kStart + 60);
  EXPECT_THAT(stream.take(), IsEmpty());  // over for ten seconds only
  for (std::int64_t second = kStart + 61; second <= kStart + 90; ++second) {
    stream.tell(second, 6);
  }
  EXPECT_THAT(stream.take(), IsEmpty());
  stream.tell(kStart + 91, 6);
  const auto changes = stream.take();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].at, at(kStart + 91));
}

TEST(Evaluator, JudgesARatioWithEnoughRecordsOnly) {
  Stream stream(
      "{alert: A, by: {s: body}, measure: ratio, of: exists(body), minimum: 50, critical_above: 0.25, "
      "target: t}");
  stream.tell(kStart, 40, 0, 40);
  EXPECT_THAT(stream.take(), IsEmpty());
  stream.tell(kStart + 1, 160, 0, 10);
  EXPECT_THAT(stream.take(), IsEmpty());  // 50 of 200 is not above a quarter
  stream.tell(kStart + 2, 1, 0, 1);
  const auto changes = stream.take();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_NEAR(changes[0].value, 51.0 / 201, 1e-9);
}

TEST(Evaluator, JudgesPercentilesMaximaAndDistinctValuesOfTheWholeWindow) {
  const auto fires = [](const std::string& rule,
                        const std::vector<std::pair<std::int32_t, std::uint32_t>>& sketch) {
    Stream stream(rule);
    std::uint64_t n = 0;
    for (const auto& [key, count] : sketch) {
      n += count;
    }
    rules::SecondCount second{kStart, n, 0, 0, sketch};
    stream.evaluator.count(Stream::feed(0), stream.counts(kStart, {second}), stream.changes);
    stream.evaluator.tick(at(kStart), stream.changes);
    return stream.changes.size() == 1;
  };
  using rules::QuantileSketch;
  const std::int32_t fast = QuantileSketch::bucket_of(0.1), slow = QuantileSketch::bucket_of(3);
  const std::string p99 =
      "{alert: A, by: {s: body}, measure: percentile, value: body, critical_above: 2, target: t}";
  EXPECT_FALSE(fires(p99, {{fast, 995}, {slow, 5}}));
  EXPECT_TRUE(fires(p99, {{fast, 980}, {slow, 20}}));
  const std::string most =
      "{alert: A, by: {s: body}, measure: max, value: body, critical_above: 2, target: t}";
  EXPECT_FALSE(fires(most, {{fast, 5}}));
  EXPECT_TRUE(fires(most, {{fast, 995}, {slow, 1}}));
  const std::string distinct =
      "{alert: A, by: {s: body}, measure: distinct, value: body, critical_above: 3, target: t}";
  EXPECT_FALSE(fires(distinct, {{1, 1}, {2, 1}, {3, 5}}));
  EXPECT_TRUE(fires(distinct, {{1, 1}, {2, 1}, {3, 5}, {4, 2}}));
}

TEST(Evaluator, FindsSilenceAndItsEnd) {
  Stream stream(
      "{alert: Silent, by: {host: body}, measure: absence, window: 60s, keep_firing_for: 5s, target: t}");
  stream.tell(kStart, 1);
  stream.quiet(kStart + 1, kStart + 70);
  EXPECT_THAT(stream.take(), IsEmpty());  // nothing is known to be absent before what may be late has come
  stream.quiet(kStart + 71, kStart + 72);
  const auto gone = stream.take();
  ASSERT_THAT(gone, SizeIs(1));
  EXPECT_EQ(gone[0].level, Level::kCritical);
  EXPECT_EQ(gone[0].at, at(kStart + 61));
  for (std::int64_t second = kStart + 73; second < kStart + 100; ++second) {
    stream.tell(second, 1);
  }
  const auto back = stream.take();
  ASSERT_THAT(back, SizeIs(1));
  EXPECT_EQ(back[0].level, Level::kHealthy);
}

TEST(Evaluator, ARuleWithoutLabelsFindsThatNothingEverCame) {
  Stream stream("{alert: Silent, measure: absence, window: 60s, target: t}");
  stream.quiet(kStart, kStart + 60);
  EXPECT_THAT(stream.take(), IsEmpty());
  stream.quiet(kStart + 61, kStart + 75);
  EXPECT_THAT(stream.take(), SizeIs(1));
}

TEST(Evaluator, CountsARangeOnceAndHoldsAfterAGap) {
  Stream stream(kFailures);
  const rules::Counts first = stream.counts(kStart, {{kStart, 60, 0, 0, {}}});
  stream.evaluator.count(Stream::feed(0), first, stream.changes);
  stream.evaluator.count(Stream::feed(0), first, stream.changes);
  EXPECT_EQ(stream.evaluator.repeats(), 1u);
  EXPECT_THAT(stream.changes, IsEmpty());
  stream.tell(kStart + 1, 41);
  stream.take();
  stream.next[0] += 5;  // what was counted of five messages never came
  stream.tell(kStart + 2, 0);
  EXPECT_EQ(stream.evaluator.gaps(), 1u);
  stream.quiet(kStart + 3, kStart + 150);
  EXPECT_THAT(stream.take(), IsEmpty());  // it may have been more than was seen: not known to be quiet
  stream.quiet(kStart + 151, kStart + 200);
  EXPECT_THAT(stream.take(), SizeIs(1));
}

TEST(Evaluator, TakesTheRecordsOfOneRangeTogether) {
  Stream stream(kFailures);
  rules::Counts counts = stream.counts(kStart, {{kStart, 60, 0, 0, {}}});
  counts.last = false;
  stream.evaluator.count(Stream::feed(0), counts, stream.changes);
  counts.last = true;
  stream.evaluator.count(Stream::feed(0), counts, stream.changes);
  EXPECT_THAT(stream.take(), SizeIs(1));
  EXPECT_EQ(stream.evaluator.repeats(), 0u);
}

// What a successor does: it restores the groups that are not HEALTHY and reads the counts again.
TEST(Evaluator, GoesOnAfterARestartWithoutAMissedOrADoubledChange) {
  std::vector<rules::Counts> told;
  Stream before(kFailures);
  const auto tell = [&](Stream& stream, std::int64_t second, std::uint64_t n) {
    std::vector<rules::SecondCount> seconds;
    if (n > 0) {
      seconds.push_back({second, n, 0, 0, {}});
    }
    told.push_back(stream.counts(second, std::move(seconds)));
    stream.evaluator.count(Stream::feed(0), told.back(), stream.changes);
    stream.evaluator.tick(at(second), stream.changes);
  };
  for (std::int64_t second = kStart; second < kStart + 10; ++second) {
    tell(before, second, 11);
  }
  const auto up = before.take();
  ASSERT_THAT(up, SizeIs(1));
  const SavedGroup saved = before.evaluator.saved(up[0]);
  EXPECT_EQ(saved.level, Level::kCritical);

  Stream after(kFailures);
  after.evaluator.restore(saved);
  for (const rules::Counts& counts : told) {
    after.evaluator.refill(Stream::feed(0), counts);
  }
  after.next = before.next;
  for (std::int64_t second = kStart + 10; second < kStart + 300; ++second) {
    tell(before, second, second < kStart + 20 ? 11 : 0);
    after.evaluator.count(Stream::feed(0), told.back(), after.changes);
    after.evaluator.tick(at(second), after.changes);
  }
  const auto expected = before.take(), got = after.take();
  ASSERT_THAT(got, SizeIs(1));
  ASSERT_THAT(expected, SizeIs(1));
  EXPECT_EQ(got[0].level, Level::kHealthy);
  EXPECT_EQ(got[0].at, expected[0].at);
}

TEST(Evaluator, ARuleThatGoesLetsItsGroupsGo) {
  Stream stream(kFailures);
  stream.tell(kStart, 101);
  stream.take();
  stream.use("{alert: Other, critical_above: 1, target: t}");
  const auto changes = stream.take();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].level, Level::kHealthy);
  EXPECT_EQ(changes[0].rule, nullptr);
  EXPECT_EQ(changes[0].rule_name, "Failures");
  EXPECT_THAT(changes[0].reason, HasSubstr("is gone"));
}

TEST(Evaluator, ANewThresholdKeepsTheCounts) {
  Stream stream(kFailures);
  stream.tell(kStart, 80);
  stream.use("{alert: Failures, by: {service: body}, critical_above: 80, target: t}");
  stream.tell(kStart + 1, 1);
  EXPECT_EQ(stream.take().at(0).value, 81);
}

TEST(Evaluator, WatchesNoMoreGroupsThanItMay) {
  Evaluator evaluator({.groups_max = 2});
  std::vector<LevelChange> changes;
  const auto set = rules_of(kFailures);
  evaluator.use(set, at(kStart), changes);
  rules::Counts counts;
  counts.to = 1;
  counts.caught_up_to = at(kStart);
  counts.rules = {{set->rules()[0].fingerprint(), {}}};
  for (const char* name : {"a", "b", "c"}) {
    counts.rules[0].groups.push_back({{name}, {{kStart, 200, 0, 0, {}}}});
  }
  evaluator.count(Stream::feed(0), counts, changes);
  EXPECT_THAT(changes, SizeIs(2));
  EXPECT_EQ(evaluator.groups_refused(), 1u);
}

TEST(Evaluator, CountsOfRulesThatAreNotKnownChangeNothing) {
  Stream stream(kFailures);
  rules::Counts counts = stream.counts(kStart, {{kStart, 200, 0, 0, {}}});
  counts.rules[0].rule ^= 1;
  stream.evaluator.count(Stream::feed(0), counts, stream.changes);
  EXPECT_THAT(stream.changes, IsEmpty());
  EXPECT_EQ(stream.evaluator.unknown(), 1u);
}

TEST(Evaluator, LongWindowsSlideInSteps) {
  Stream stream("{alert: A, by: {s: body}, critical_above: 100, window: 1h, keep_firing_for: 0s, target: t}");
  for (std::int64_t second = kStart; second < kStart + 3'500; second += 50) {
    stream.tell(second, 1);
  }
  EXPECT_THAT(stream.take(), IsEmpty());
  stream.tell(kStart + 3'510, 40);
  EXPECT_THAT(stream.take(), SizeIs(1));
}

}  // namespace
}  // namespace naru::alerting
