// The evaluator with 10,000 active groups: memory, and what a second of counts costs.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "alerting/rules/evaluator.h"

namespace naru::alerting {
namespace {

constexpr std::int64_t kStart = 1'700'000'000;

double resident_mb() {
  std::ifstream status("/proc/self/statm");
  long total = 0, resident = 0;
  status >> total >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

// Every group has records in every second of its window.
void run(benchmark::State& state, const std::string& rule, const rules::SecondCount& each) {
  const auto groups = static_cast<int>(state.range(0));
  const auto set =
      rules::RuleSet::compile({{"r.yaml", "groups: [{name: g, rules: [" + rule + "]}]"}}).value();
  const double before = resident_mb();
  Evaluator evaluator({});
  std::vector<LevelChange> changes;
  evaluator.use(set, kStart * kNanosPerSecond, changes);
  evaluator.expect(otlp::Signal::kLogs, {{"c", "t", 0}});
  rules::Counts counts;
  counts.rules = {{set->rules()[0].fingerprint(), {}}};
  for (int i = 0; i < groups; ++i) {
    counts.rules[0].groups.push_back({{"service-" + std::to_string(i)}, {each}});
  }
  std::int64_t second = kStart;
  const auto tell = [&] {
    for (auto& group : counts.rules[0].groups) {
      group.seconds[0].second = second;
    }
    counts.from = counts.to;
    ++counts.to;
    counts.caught_up_to = static_cast<UnixNanos>(second) * kNanosPerSecond;
    evaluator.count({"c", "t", 0}, counts, changes);
    evaluator.tick(counts.caught_up_to, changes);
    ++second;
  };
  for (int i = 0; i < set->rules()[0].window.count() + 20; ++i) {
    tell();
  }
  for (auto _ : state) {
    tell();
  }
  if (evaluator.groups() != static_cast<std::size_t>(groups)) {
    state.SkipWithError("groups are missing");
  }
  state.counters["resident_mb"] = resident_mb() - before;
  state.counters["changes"] = static_cast<double>(changes.size());
  malloc_trim(0);
}

void BM_Count(benchmark::State& state) {
  run(state, "{alert: A, by: {s: body}, critical_above: 1000, target: t}", {0, 5, 0, 0, {}});
}
void BM_CountOverAnHour(benchmark::State& state) {
  run(state, "{alert: A, by: {s: body}, critical_above: 100000, window: 1h, target: t}", {0, 5, 0, 0, {}});
}
void BM_Ratio(benchmark::State& state) {
  run(state, "{alert: A, by: {s: body}, measure: ratio, of: exists(body), critical_above: 0.9, target: t}",
      {0, 5, 0, 1, {}});
}
void BM_Percentile(benchmark::State& state) {
  run(state, "{alert: A, by: {s: body}, measure: percentile, value: body, critical_above: 1e9, target: t}",
      {0, 5, 0, 0, {{900, 2}, {950, 2}, {1000, 1}}});
}
BENCHMARK(BM_Count)->Arg(10'000)->Unit(benchmark::kMillisecond)->Iterations(20);
BENCHMARK(BM_CountOverAnHour)->Arg(10'000)->Unit(benchmark::kMillisecond)->Iterations(20);
BENCHMARK(BM_Ratio)->Arg(10'000)->Unit(benchmark::kMillisecond)->Iterations(20);
BENCHMARK(BM_Percentile)->Arg(10'000)->Unit(benchmark::kMillisecond)->Iterations(20);

}  // namespace
}  // namespace naru::alerting

BENCHMARK_MAIN();
