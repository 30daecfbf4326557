#include "prepper/count/record_counter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/rules/sketch.h"
#include "tests/unit/prepper/count/otlp_logs.h"
#include "tests/unit/prepper/otlp_text.h"

namespace naru::prepper {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr UnixNanos kNow = 1'700'000'000 * kNanosPerSecond;

std::shared_ptr<const rules::RuleSet> rules_of(const std::string& text) {
  return rules::RuleSet::compile({{"r.yaml", "groups: [{name: g, rules: [" + text + "]}]"}}).value();
}

const std::string kFailures =
    "{alert: A, where: severity.number >= 17, by: {service: resource.attributes.service.name}, "
    "critical_above: 1, target: t}";

class Counter {
 public:
  explicit Counter(const std::string& rules, std::shared_ptr<const PipelineSet> pipelines = nullptr,
                   CountLimits limits = {})
      : counter(RecordCounter::compile(rules_of(rules), std::move(pipelines), limits, repeats).value()) {}

  void take(const std::string& value, otlp::Signal signal = otlp::Signal::kLogs, bool counted = false,
            bool certain = true) {
    counter->count({.signal = signal,
                    .value = value,
                    .received = kNow,
                    .origin = 1,
                    .certain = certain,
                    .counted = counted},
                   tally);
  }
  std::vector<rules::RuleCount> counts() { return tally.take(counter->rules()); }
  std::uint64_t total() {
    std::uint64_t n = 0;
    for (const auto& rule : counts()) {
      for (const auto& group : rule.groups) {
        for (const auto& second : group.seconds) {
          n += second.certain + second.possible;
        }
      }
    }
    return n;
  }

  Repeats repeats{100};
  std::unique_ptr<RecordCounter> counter;
  CountTally tally;
};

TEST(RecordCounter, CountsWhatTheFilterTakesByGroupAndSecond) {
  Counter counter(kFailures);
  counter.take(logs_request({.time = kNow, .copies = 3}));
  counter.take(logs_request({.time = kNow, .severity = 9, .copies = 5}));
  counter.take(logs_request({.time = kNow - kNanosPerSecond, .service = "web", .copies = 2}));
  const auto counts = counter.counts();
  ASSERT_THAT(counts, SizeIs(1));
  ASSERT_THAT(counts[0].groups, SizeIs(2));
  for (const auto& group : counts[0].groups) {
    ASSERT_THAT(group.seconds, SizeIs(1));
    const bool api = group.labels.at(0) == "api";
    EXPECT_EQ(group.seconds[0].certain, api ? 3u : 2u);
    EXPECT_EQ(group.seconds[0].second, static_cast<std::int64_t>(kNow / kNanosPerSecond) - (api ? 0 : 1));
  }
  EXPECT_THAT(counter.counts(), IsEmpty());
  EXPECT_EQ(counter.counter->stats().records, 10u);
  EXPECT_EQ(counter.counter->stats().matches, 5u);
}

// 60 failures, each sent twice, are 60.
TEST(RecordCounter, CountsARecordThatIsSentTwiceOnce) {
  Counter counter(kFailures);
  const std::string request = logs_request({.time = kNow, .copies = 60, .source = 7, .base = 100});
  counter.take(request);
  counter.take(request);
  EXPECT_EQ(counter.total(), 60u);
  EXPECT_EQ(counter.counter->stats().repeats, 60u);
  counter.take(logs_request({.time = kNow, .copies = 10, .source = 7, .base = 155}));  // half of them again
  EXPECT_EQ(counter.total(), 5u);
}

TEST(RecordCounter, LearnsIdentitiesOfWhatWasCountedBefore) {
  Counter counter(kFailures);
  const std::string request = logs_request({.time = kNow, .copies = 60, .source = 7});
  counter.take(request, otlp::Signal::kLogs, true);
  EXPECT_EQ(counter.total(), 0u);
  counter.take(request);
  EXPECT_EQ(counter.total(), 0u);
}

TEST(RecordCounter, RecordsThatMayBeDoubleArePossible) {
  Counter counter(kFailures);
  counter.take(logs_request({.time = kNow, .copies = 3}), otlp::Signal::kLogs, false, false);
  const auto counts = counter.counts();
  EXPECT_EQ(counts.at(0).groups[0].seconds[0].certain, 0u);
  EXPECT_EQ(counts.at(0).groups[0].seconds[0].possible, 3u);
}

TEST(RecordCounter, AClockThatIsFarOffIsNotBelieved) {
  Counter counter(kFailures);
  for (const UnixNanos time : {kNow + 300 * kNanosPerSecond, kNow - 300 * kNanosPerSecond, UnixNanos{0}}) {
    counter.take(logs_request({.time = time}));
  }
  const auto counts = counter.counts();
  ASSERT_THAT(counts.at(0).groups[0].seconds, SizeIs(1));
  EXPECT_EQ(counts[0].groups[0].seconds[0].certain, 3u);
  EXPECT_EQ(counts[0].groups[0].seconds[0].second, static_cast<std::int64_t>(kNow / kNanosPerSecond));
}

// One server span of a service.
std::string span_request(std::uint64_t nanos, int status, const std::string& service = "api") {
  const std::string span = join({bytes_field(5, "GET /"), varint_field(6, 2), fixed64_field(7, kNow),
                                 fixed64_field(8, kNow + nanos),
                                 bytes_field(15, varint_field(3, static_cast<std::uint64_t>(status)))});
  const std::string resource =
      bytes_field(1, join({bytes_field(1, "service.name"), bytes_field(2, text(service))}));
  return bytes_field(1, join({bytes_field(1, resource), bytes_field(2, bytes_field(2, span))}));
}

TEST(RecordCounter, CountsSpansForRatiosPercentilesAndDistinctValues) {
  Counter counter(
      "{alert: Ratio, signal: traces, where: kind == \"SPAN_KIND_SERVER\", measure: ratio, of: status.code "
      "== 2, "
      "critical_above: 0.1, target: t},"
      "{alert: P99, signal: traces, measure: percentile, value: durationInNanos / 1000000000, "
      "critical_above: 1, target: t},"
      "{alert: Distinct, signal: traces, measure: distinct, value: resource.attributes.service.name, "
      "critical_above: 1, target: t}");
  counter.take(span_request(100'000'000, 0), otlp::Signal::kTraces);
  counter.take(span_request(3'000'000'000, 2, "web"), otlp::Signal::kTraces);
  std::map<std::uint64_t, rules::SecondCount> by_rule;
  for (const auto& rule : counter.counts()) {
    for (const auto& second : rule.groups.at(0).seconds) {
      rules::SecondCount& sum = by_rule[rule.rule];
      sum.certain += second.certain;
      sum.share += second.share;
      sum.sketch.insert(sum.sketch.end(), second.sketch.begin(), second.sketch.end());
    }
  }
  const auto of = [&](const char* name) {
    return by_rule.at(counter.counter->rules().find(name)->fingerprint());
  };
  EXPECT_EQ(of("Ratio").certain, 2u);
  EXPECT_EQ(of("Ratio").share, 1u);
  EXPECT_THAT(of("P99").sketch,
              testing::UnorderedElementsAre(std::pair(rules::QuantileSketch::bucket_of(0.1), 1u),
                                            std::pair(rules::QuantileSketch::bucket_of(3.0), 1u)));
  EXPECT_THAT(of("Distinct").sketch, SizeIs(2));
}

TEST(RecordCounter, CountsWhatAPipelineMakesOfARecord) {
  const PipelineSet::File file{"p.yaml", R"(
name: shop
source: {signal: logs, filter: 'resource.attributes.service.name == "api"'}
processors:
  - json: {field: body}
  - drop: {when: 'attributes.debug == true'}
)"};
  const auto set = PipelineSet::compile({&file, 1}, std::make_shared<EnrichmentStore>());
  ASSERT_TRUE(set) << set.error().message();
  Counter counter(
      "{alert: A, pipeline: shop, where: attributes.status >= 500, by: {path: attributes.path}, "
      "critical_above: 1, target: t},"
      "{alert: B, critical_above: 1, target: t}",
      *set);
  counter.take(logs_request({.time = kNow, .body = R"({"status":503,"path":"/pay"})", .copies = 2}));
  counter.take(logs_request({.time = kNow, .body = R"({"status":200,"path":"/pay"})"}));
  counter.take(logs_request({.time = kNow, .body = R"({"status":503,"path":"/x","debug":true})"}));
  counter.take(logs_request({.time = kNow, .body = R"({"status":503,"path":"/y"})", .service = "other"}));
  std::map<std::string, std::uint64_t> groups;
  for (const auto& rule : counter.counts()) {
    for (const auto& group : rule.groups) {
      groups[group.labels.empty() ? "all" : group.labels[0]] += group.seconds.at(0).certain;
    }
  }
  EXPECT_THAT(groups, testing::UnorderedElementsAre(std::pair("/pay", 2u), std::pair("all", 5u)));
}

TEST(RecordCounter, CountsNoMoreGroupsThanItMay) {
  Counter counter(kFailures, nullptr, {.groups_max = 3});
  for (int i = 0; i < 10; ++i) {
    counter.take(logs_request({.time = kNow, .service = "s" + std::to_string(i)}));
  }
  EXPECT_EQ(counter.tally.groups(), 3u);
  EXPECT_EQ(counter.counter->stats().refused, 7u);
}

TEST(RecordCounter, CutsLabelsAndSurvivesGarbage) {
  Counter counter(kFailures);
  counter.take(logs_request({.time = kNow, .service = std::string(5'000, 'x')}));
  EXPECT_EQ(counter.counts().at(0).groups.at(0).labels.at(0).size(), rules::kLabelBytesMax);
  counter.take("no request at all");
  counter.take(std::string(1'000, '\xff'));
  const std::string whole = logs_request({.time = kNow, .copies = 3});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    counter.take(whole.substr(0, size));
  }
  EXPECT_GT(counter.counter->stats().undecodable, 2u);
}

TEST(RecordCounter, NamesEveryExpressionThatItCannotUse) {
  Repeats repeats(1);
  const auto errors =
      RecordCounter::compile(
          rules_of("{alert: A, where: nothing == 1, by: {x: severity.nmber}, critical_above: 1, target: t},"
                   "{alert: B, pipeline: shop, critical_above: 1, target: t}"),
          nullptr, {}, repeats)
          .error()
          .message();
  EXPECT_THAT(errors, HasSubstr("rule A: where: column 1"));
  EXPECT_THAT(errors, HasSubstr("rule A: by.x: column 1"));
  EXPECT_THAT(errors, HasSubstr("rule B: pipeline: there is no pipeline 'shop'; there are none"));
}

}  // namespace
}  // namespace naru::prepper
