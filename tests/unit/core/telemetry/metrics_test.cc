#include "core/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace naru::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Registry, GivesTheSameSeriesForTheSameNameAndLabels) {
  Registry registry;
  registry.counter("naru_things_total", "Things.", {{"kind", "a"}}).add(2);
  registry.counter("naru_things_total", "Things.", {{"kind", "a"}}).add(3);
  registry.counter("naru_things_total", "Things.", {{"kind", "b"}}).add();
  const std::string text = registry.expose();
  EXPECT_THAT(text, HasSubstr("# HELP naru_things_total Things.\n# TYPE naru_things_total counter\n"));
  EXPECT_THAT(text, HasSubstr("naru_things_total{kind=\"a\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("naru_things_total{kind=\"b\"} 1\n"));
}

TEST(Registry, KeepsEveryCountUpTo53Bits) {
  Registry registry;
  const Counter counter = registry.counter("naru_bytes_total", "Bytes.");
  counter.add((std::uint64_t{1} << 53) - 2);
  counter.add();
  EXPECT_EQ(counter.value(), (std::uint64_t{1} << 53) - 1);
}

TEST(Registry, ShowsGaugesAndHistograms) {
  Registry registry;
  const Gauge gauge = registry.gauge("naru_depth", "Depth.");
  gauge.set(4);
  gauge.add(-1.5);
  EXPECT_EQ(gauge.value(), 2.5);
  const Histogram histogram = registry.histogram("naru_wait_seconds", "Wait.", {0.1, 1});
  histogram.observe(0.05);
  histogram.observe(5);
  const std::string text = registry.expose();
  EXPECT_THAT(text, HasSubstr("naru_depth 2.5\n"));
  EXPECT_THAT(text, HasSubstr("naru_wait_seconds_bucket{le=\"0.1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("naru_wait_seconds_bucket{le=\"+Inf\"} 2\n"));
}

TEST(Registry, AsksASampledGaugeAtEachExposition) {
  Registry registry;
  double depth = 1;
  const auto token = registry.sampled_gauge("naru_queue_bytes", "Queue.", {}, [&] { return depth; });
  EXPECT_THAT(registry.expose(), HasSubstr("naru_queue_bytes 1\n"));
  depth = 7;
  EXPECT_THAT(registry.expose(), HasSubstr("naru_queue_bytes 7\n"));
}

TEST(Registry, RemovesASampledSeriesWithItsLastToken) {
  Registry registry;
  auto first = registry.sampled_gauge("naru_queue_bytes", "Queue.", {{"of", "a"}}, [] { return 1.0; });
  auto second = registry.sampled_gauge("naru_queue_bytes", "Queue.", {{"of", "a"}}, [] { return 2.0; });
  first.reset();
  EXPECT_THAT(registry.expose(), HasSubstr("naru_queue_bytes{of=\"a\"} 2\n"));
  second.reset();
  EXPECT_THAT(registry.expose(), Not(HasSubstr("naru_queue_bytes{of=\"a\"}")));
}

TEST(Registry, ShowsASampledCounterFromItsSampleOn) {
  Registry registry;
  std::uint64_t count = 7;
  auto token = registry.sampled_counter("naru_done_total", "Done.", {}, [&] { return count; });
  EXPECT_THAT(registry.expose(), HasSubstr("# TYPE naru_done_total counter\nnaru_done_total 7\n"));
  count = 9;
  EXPECT_THAT(registry.expose(), HasSubstr("naru_done_total 9\n"));
  token.reset();
  EXPECT_THAT(registry.expose(), Not(HasSubstr("naru_done_total 9")));
  count = 3;
  token = registry.sampled_counter("naru_done_total", "Done.", {}, [&] { return count; });
  EXPECT_THAT(registry.expose(), HasSubstr("naru_done_total 3\n"));
}

TEST(Registry, MayDieBeforeATokenOfIts) {
  std::optional<Registry> registry(std::in_place);
  auto token = registry->sampled_gauge("naru_queue_bytes", "Queue.", {}, [] { return 1.0; });
  registry.reset();
  token.reset();
}

TEST(RegistryDeathTest, EndsTheProcessOnANameThatPrometheusRefuses) {
  Registry registry;
  EXPECT_DEATH((void)registry.counter("not a name", "Broken."), "not a name");
}

}  // namespace
}  // namespace naru::telemetry
