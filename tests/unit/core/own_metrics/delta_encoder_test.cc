#include "core/own_metrics/delta_encoder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/otlp/otlp.h"

namespace naru::own_metrics {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// "name{label=value} kind temporality value start-time" of every point, by Naru's own reader.
std::vector<std::string> points(const std::string& request) {
  std::vector<std::string> out;
  otlp::Messages resources(request, 1);
  while (resources.next()) {
    otlp::Messages scopes(resources.bytes(), 2);
    while (scopes.next()) {
      otlp::Messages metrics(scopes.bytes(), 2);
      while (metrics.next()) {
        otlp::Metric metric;
        EXPECT_TRUE(otlp::parse(metrics.bytes(), metric));
        otlp::Messages all = metric.points();
        while (all.next()) {
          otlp::DataPoint point;
          EXPECT_TRUE(otlp::parse(metric.kind, all.bytes(), point));
          const bool histogram = metric.kind == otlp::MetricKind::kHistogram;
          out.push_back(fmt::format("{} {} {}{} {}-{}", metric.name, metric.aggregation_temporality,
                                    histogram ? point.sum : point.real,
                                    histogram ? fmt::format("/{}", point.count) : "", point.start,
                                    point.time));
        }
      }
    }
  }
  return out;
}

TEST(DeltaEncoder, TellsWhatWasAddedAndWhereGaugesStand) {
  telemetry::Registry registry;
  const telemetry::Counter counter = registry.counter("naru_a_total", "As.", {{"x", "1"}});
  const telemetry::Gauge gauge = registry.gauge("naru_g", "Gs.");
  const telemetry::Histogram histogram = registry.histogram("naru_h", "Hs.", {1, 10});
  DeltaEncoder encoder({{"service.name", "naru-test"}}, 100);
  counter.add(5);
  gauge.set(2.5);
  EXPECT_THAT(points(encoder.encode(registry.collect(), 200)),
              UnorderedElementsAre("naru_a_total 1 5 100-200", "naru_g 0 2.5 0-200"));
  counter.add(2);
  histogram.observe(0.5);
  histogram.observe(20);
  EXPECT_THAT(
      points(encoder.encode(registry.collect(), 300)),
      UnorderedElementsAre("naru_a_total 1 2 200-300", "naru_g 0 2.5 0-300", "naru_h 1 20.5/2 200-300"));
  histogram.observe(3);
  EXPECT_THAT(points(encoder.encode(registry.collect(), 400)),
              UnorderedElementsAre("naru_g 0 2.5 0-400", "naru_h 1 3/1 300-400"));
}

TEST(DeltaEncoder, WhatWasCountedBeforeIsNoGrowth) {
  telemetry::Registry registry;
  const telemetry::Counter counter = registry.counter("naru_a_total", "As.");
  counter.add(1'000);
  DeltaEncoder encoder({}, 1);
  encoder.begin_at(registry.collect());
  counter.add(1);
  std::uint64_t kept = 503;  // goes on from an earlier process that had counted 500
  const auto token = registry.sampled_counter("naru_b_total", "Bs.", {}, [&] { return kept; }, 500);
  EXPECT_THAT(points(encoder.encode(registry.collect(), 2)),
              UnorderedElementsAre("naru_a_total 1 1 1-2", "naru_b_total 1 3 1-2"));
}

TEST(DeltaEncoder, ASeriesThatWasMadeAnewBeginsAtZero) {
  telemetry::Series series;
  series.name = "naru_a_total";
  series.kind = telemetry::Series::Kind::kCounter;
  series.value = 10;
  DeltaEncoder encoder({}, 1);
  (void)encoder.encode(std::span(&series, 1), 2);
  series.value = 3;
  EXPECT_THAT(points(encoder.encode(std::span(&series, 1), 3)), ElementsAre("naru_a_total 1 3 2-3"));
  EXPECT_THAT(points(encoder.encode(std::span(&series, 1), 4)), IsEmpty());
}

}  // namespace
}  // namespace naru::own_metrics
