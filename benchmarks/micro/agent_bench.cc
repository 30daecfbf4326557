// The agent's hot path: bytes of a file -> records -> an OTLP request, and the whole agent into a transport
// that answers at once. Bytes per second are bytes of lines; read CPU time, not wall time.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "agent/agent.h"
#include "agent/ship/batch_builder.h"
#include "agent/tail/lines.h"

namespace naru::agent {
namespace {

constexpr std::size_t kChunk = 256u << 10;

std::string make_lines(std::size_t total, std::size_t line_size) {
  std::mt19937 random(1);
  std::string out;
  out.reserve(total + line_size);
  while (out.size() < total) {
    for (std::size_t i = 0; i + 1 < line_size; ++i) {
      out.push_back(static_cast<char>(' ' + random() % 95));
    }
    out.push_back('\n');
  }
  return out;
}

void report(benchmark::State& state, std::size_t bytes, std::size_t line_size) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * (bytes / line_size)));
}

void SplitLines(benchmark::State& state) {
  const auto line_size = static_cast<std::size_t>(state.range(0));
  const std::string chunk = make_lines(kChunk, line_size);
  for (auto _ : state) {
    std::size_t sum = 0;
    for_each_line(chunk, kChunk, false, Rest::kWait, [&](const Line& line) {
      sum += line.body.size();
      return true;
    });
    benchmark::DoNotOptimize(sum);
  }
  report(state, chunk.size(), line_size);
}
BENCHMARK(SplitLines)->Arg(100)->Arg(500)->Arg(1200);

void ValidateUtf8(benchmark::State& state) {
  const std::string chunk = make_lines(kChunk, 500);
  for (auto _ : state) {
    benchmark::DoNotOptimize(simdjson::validate_utf8(chunk.data(), chunk.size()));
  }
  report(state, chunk.size(), 500);
}
BENCHMARK(ValidateUtf8);

void EncodeBatch(benchmark::State& state) {
  const auto line_size = static_cast<std::size_t>(state.range(0));
  const std::string chunk = make_lines(kChunk, line_size);
  const std::string resource =
      file_resource({{"host.name", "host"}, {"os.type", "linux"}}, "/var/log/app.log");
  const RecordSource from{1, {}, resource};
  BatchBuilder builder;
  LineCounts counts;
  std::uint64_t position = 0;
  for (auto _ : state) {
    for_each_line(chunk, kChunk, false, Rest::kWait, [&](const Line& line) {
      if (builder.size() + BatchBuilder::cost(from, line) > 780'000) {
        benchmark::DoNotOptimize(builder.take());
      }
      builder.add(from, position++, 1, line, true, counts);
      return true;
    });
  }
  report(state, chunk.size(), line_size);
}
BENCHMARK(EncodeBatch)->Arg(100)->Arg(500)->Arg(1200);

// Takes every request and counts its records by what the agent says.
class NullTransport final : public net::HttpTransport {
 public:
  Result<net::HttpResponse> exchange(net::HttpRequest request, std::chrono::milliseconds) override {
    benchmark::DoNotOptimize(request.body.data());
    return net::HttpResponse{};
  }
};

// File in the page cache -> acknowledged, fsync of the checkpoint included. Process CPU time.
void TailToNull(benchmark::State& state) {
  const auto line_size = static_cast<std::size_t>(state.range(0));
  std::string name = (std::filesystem::temp_directory_path() / "naru-agent-bench-XXXXXX").string();
  const std::filesystem::path dir = ::mkdtemp(name.data());
  const std::string content = make_lines(512u << 20, line_size);
  std::ofstream(dir / "a.log", std::ios::binary) << content;
  for (auto _ : state) {
    std::filesystem::remove_all(dir / "state");
    telemetry::Registry registry;
    telemetry::Health health(registry);
    AgentConfig config;
    config.state_dir = dir / "state";
    config.files.push_back({});
    config.files[0].include = {dir / "*.log"};
    config.files[0].from_start = true;
    Agent agent(config, [] { return std::make_unique<NullTransport>(); }, registry, health);
    if (!agent.start()) {
      state.SkipWithError("the agent did not start");
      break;
    }
    while (agent.progress().records_acked < content.size() / line_size) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    agent.stop(std::chrono::seconds(10));
  }
  report(state, content.size(), line_size);
  std::filesystem::remove_all(dir);
}
BENCHMARK(TailToNull)->Arg(100)->Arg(500)->Arg(1200)->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace naru::agent

BENCHMARK_MAIN();
