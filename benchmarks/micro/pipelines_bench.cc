// Pipelines: each processor alone on a text of its kind, and the prepper's row of work in one process: 1.2 kB
// JSON -> parse -> three filters -> enrich -> redact -> contract -> bulk body.
//
// Prints documents per CPU-second and heap allocations per document, and beside them what the machine needs
// for the same bytes alone: simdjson, a copy.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <simdjson.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/micro/counting.h"
#include "core/otlp/build.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/processors/enrichment.h"
#include "tests/unit/prepper/processors/mmdb_writer.h"

namespace {
thread_local std::uint64_t allocations = 0;  // of this thread
}
// NOLINTBEGIN: counts what the heap is asked for
void* operator new(std::size_t size) {
  ++allocations;
  if (void* const out = std::malloc(size)) {
    return out;
  }
  throw std::bad_alloc();
}
void operator delete(void* pointer) noexcept {
  std::free(pointer);
}
void operator delete(void* pointer, std::size_t) noexcept {
  std::free(pointer);
}
// NOLINTEND

namespace naru::prepper {
namespace {

constexpr std::size_t kRecords = 600;
constexpr std::size_t kLineBytes = 1200;
constexpr std::uint64_t kTime = 1'795'222'923'123'456'789;  // 2026-11-21

constexpr std::string_view kRowPipeline = R"(
name: row
processors:
  - json: {keep: false}
  - drop: {name: debug, when: 'attributes.level == "DEBUG"'}
  - drop: {name: health, when: 'starts_with(attributes.route, "/health")'}
  - drop: {name: moved, when: 'attributes.status in (301, 302, 304) and attributes.duration_ms < 1'}
  - enrich: {table: services.csv, column: name, field: attributes.service, set: {team: attributes.team, tier: attributes.tier}}
  - redact: {}
  - move: {from: attributes.message, to: body}
routes:
  - dataset: row
)";

// The lines of `./dev bench prepper`.
std::string json_line(std::mt19937_64& random, std::size_t number) {
  static constexpr const char* kWords[] = {
      "order",   "accepted", "rejected", "upstream", "timeout", "connection", "session", "user", "account",
      "payment", "route",    "broker",   "latency",  "retry",   "cache",      "miss",    "hit",  "request"};
  const auto word = [&] { return kWords[random() % std::size(kWords)]; };
  char head[512];
  const int size = std::snprintf(
      head, sizeof head,
      R"({"seq": "%012zu", "level": "%s", "service": "svc-%d", "route": "/api/v1/%s/%d", "method": "GET", "status": %d, "duration_ms": %.3f, "user": {"id": %d, "mail": "u%d@example.com"}, "trace_id": "%016llx%016llx", "message": ")",
      number, random() % 4 == 0 ? "WARN" : "INFO", static_cast<int>(random() % 20), word(),
      static_cast<int>(random() % 1000), random() % 10 == 0 ? 500 : 200,
      static_cast<double>(random() % 900000) / 1000, static_cast<int>(random() % 1000000000),
      static_cast<int>(random() % 1000000), static_cast<unsigned long long>(random()),
      static_cast<unsigned long long>(random()));
  std::string out(head, static_cast<std::size_t>(size));
  while (out.size() + 2 < kLineBytes) {
    out += word();
    out += ' ';
  }
  out.resize(kLineBytes - 2);
  return out + "\"}";
}

std::string row_message() {
  std::mt19937_64 random(7);
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", "shop");
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "host.name", "web-1.example");
  otlp::LogsBuilder builder;
  builder.begin_resource(resource);
  builder.begin_scope({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 1000);
  for (std::size_t i = 0; i < kRecords; ++i) {
    builder.add(kTime + i * 1000, kTime + i * 1000 + 77, json_line(random, i), 9, "INFO");
  }
  return builder.take();
}

// A directory with the table of the row.
class Tables {
 public:
  Tables()
      : directory_(std::filesystem::temp_directory_path() / ("naru-bench-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
    std::ofstream out(directory_ / "services.csv");
    out << "name,team,tier\n";
    for (int i = 0; i < 1000; ++i) {
      out << "svc-" << i << ",team-" << i % 17 << "," << i % 3 << "\n";
    }
    MmdbWriter geo;
    geo.add(203U << 24 | 113U << 8, 24,
            MmdbWriter::map({{"country", MmdbWriter::map({{"iso_code", MmdbWriter::text("KR")}})}}));
    std::ofstream(directory_ / "geo.mmdb", std::ios::binary) << geo.finish("Test-Country");
  }
  ~Tables() { std::filesystem::remove_all(directory_); }
  std::string file(std::string_view name) const { return (directory_ / name).string(); }

 private:
  std::filesystem::path directory_;
};

std::shared_ptr<const PipelineSet> compiled(const Tables& tables, std::string text) {
  const PipelineSet::File file{tables.file("row.yaml"), std::move(text)};
  auto set = PipelineSet::compile({&file, 1}, std::make_shared<EnrichmentStore>());
  if (!set) {
    std::fprintf(stderr, "%s\n", set.error().message().c_str());
    std::abort();
  }
  return *set;
}

struct Worker {
  explicit Worker(const std::shared_ptr<PipelineSource>& source)
      : encoder(config_with(source), contracts, sink) {}
  static EncoderConfig config_with(const std::shared_ptr<PipelineSource>& source) {
    EncoderConfig config;
    config.pipelines = source;
    return config;
  }
  void encode(const std::shared_ptr<const std::string>& value, std::int64_t offset) {
    bus::InRecord record;
    record.topic = "otlp_logs";
    record.offset = offset;
    record.timestamp_ms = static_cast<UnixMillis>(kTime / kNanosPerMilli);
    record.value = *value;
    record.owner = value;
    encoder.encode(std::make_shared<SourceMessage>(std::move(record), otlp::Signal::kLogs, 1, &sink));
  }
  OneContract contracts;
  CountingSink sink;
  Encoder encoder;
};

void row(benchmark::State& state) {
  const Tables tables;
  auto source = std::make_shared<PipelineSource>();
  source->swap_in(compiled(tables, std::string(kRowPipeline)));
  Worker worker(source);
  const auto value = std::make_shared<const std::string>(row_message());
  std::int64_t offset = 0;
  for (int warm = 0; warm < 20; ++warm) {
    worker.encode(value, offset++);
  }
  const std::uint64_t allocated = allocations;
  worker.encoder.flush();
  for (auto _ : state) {
    worker.encode(value, offset++);
  }
  worker.encoder.flush();
  if (worker.sink.letters > 0 || worker.sink.documents != static_cast<std::uint64_t>(offset) * kRecords) {
    state.SkipWithError("not every record became a document");
    return;
  }
  const auto documents = static_cast<double>(state.iterations() * kRecords);
  state.counters["documents/CPU-s"] = benchmark::Counter(documents, benchmark::Counter::kIsRate);
  state.counters["allocations/document"] = static_cast<double>(allocations - allocated) / documents;
  state.counters["bytes/document"] =
      static_cast<double>(worker.sink.bytes) / static_cast<double>(worker.sink.documents);
}
BENCHMARK(row);

// The same on several threads: documents per second of wall time.
void row_threads(benchmark::State& state) {
  const Tables tables;
  auto source = std::make_shared<PipelineSource>();
  source->swap_in(compiled(tables, std::string(kRowPipeline)));
  const auto value = std::make_shared<const std::string>(row_message());
  const auto threads = static_cast<std::size_t>(state.range(0));
  constexpr std::int64_t kMessages = 500;
  for (auto _ : state) {
    std::vector<std::thread> running;
    for (std::size_t i = 0; i < threads; ++i) {
      running.emplace_back([&] {
        Worker worker(source);
        for (std::int64_t offset = 0; offset < kMessages; ++offset) {
          worker.encode(value, offset);
        }
        worker.encoder.flush();
      });
    }
    for (std::thread& thread : running) {
      thread.join();
    }
  }
  state.counters["documents/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kMessages * kRecords * threads), benchmark::Counter::kIsRate);
}
BENCHMARK(row_threads)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

void machine_simdjson(benchmark::State& state) {
  std::mt19937_64 random(7);
  std::vector<simdjson::padded_string> lines;
  for (std::size_t i = 0; i < kRecords; ++i) {
    lines.emplace_back(json_line(random, i));
  }
  simdjson::dom::parser parser;
  for (auto _ : state) {
    for (const simdjson::padded_string& line : lines) {
      benchmark::DoNotOptimize(parser.parse(line).error());
    }
  }
  state.counters["documents/CPU-s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * kRecords), benchmark::Counter::kIsRate);
}
BENCHMARK(machine_simdjson);

void machine_memcpy(benchmark::State& state) {
  const std::string message = row_message();
  std::string copy(message.size(), '\0');
  for (auto _ : state) {
    std::memcpy(copy.data(), message.data(), message.size());
    benchmark::DoNotOptimize(copy.data());
    benchmark::ClobberMemory();
  }
  state.counters["documents/CPU-s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * kRecords), benchmark::Counter::kIsRate);
}
BENCHMARK(machine_memcpy);

// --- one step

struct Step {
  const char* name;
  std::string steps;  // elements of `processors`
  std::string body;
};

const std::vector<Step>& steps() {
  static const std::string access =
      R"(203.0.113.9 - alice [21/Nov/2026:12:00:01 +0900] "GET /items?id=7 HTTP/1.1" 200 512 "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0 Safari/537.36")";
  static const std::string text = [] {
    std::mt19937_64 random(7);
    return json_line(random, 1);
  }();
  static const std::vector<Step> kSteps = {
      {"json", "- json: {}", text},
      {"grok", "- grok: {patterns: ['^%{COMBINEDAPACHELOG}']}", access},
      {"regex", R"(- regex: {pattern: '"(?P<method>[A-Z]+) (?P<path>\S+)'})", access},
      {"dissect",
       R"(- dissect: {pattern: '%{ip} - %{user} [%{time}] "%{method} %{path} %{?}" %{status:int} %{size:int} "%{ref}" "%{agent}"'})",
       access},
      {"logfmt", "- logfmt: {}",
       R"(ts=2026-11-21T01:02:03Z level=info msg="user logged in" user=alice took=12)"},
      {"key_value", "- key_value: {pair_separator: ';', separator: ':'}",
       "user:alice;took:12;route:orders;status:200"},
      {"csv", "- csv: {columns: [time, user, 'amount:double', note]}",
       R"(2026-11-21,alice,12.5,"a, ""b"" c")"},
      {"syslog", "- syslog: {}",
       "<34>1 2026-11-21T01:02:03.003Z host.example.com su 42 ID47 - 'su root' failed"},
      {"url", "- url: {field: body}", "https://shop.example:8443/items/7?sort=price&page=2#top"},
      {"user_agent", "- user_agent: {field: body}",
       "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
       "Safari/537.36"},
      {"date", "- date: {field: body, formats: ['dd/MMM/yyyy:HH:mm:ss Z']}", "21/Nov/2026:12:00:01 +0900"},
      {"severity", "- severity: {field: body}", "WARN"},
      {"set", "- set: {field: attributes.slow, expression: 'length(body) > 100'}", text},
      {"remove", "- remove: {fields: [attributes.none]}", text},
      {"keep", "- keep: {attributes: [a, 'http.*']}", text},
      {"rename", "- rename: {from: attributes.none, to: attributes.other}", text},
      {"copy", "- copy: {from: body, to: attributes.copy}", text},
      {"move", "- move: {from: body, to: attributes.moved}", text},
      {"convert", "- convert: {fields: [body], type: int}", "123456"},
      {"case", "- case: {fields: [body], to: upper}", access},
      {"split", "- split: {field: body}", "a,b,c,d,e,f,g,h"},
      {"join", "- split: {field: body}\n  - join: {field: body}", "a,b,c,d,e,f,g,h"},
      {"truncate", "- truncate: {fields: [body], bytes_max: 100}", text},
      {"drop", R"(- drop: {when: 'contains(body, "never in there")'})", text},
      {"sample", "- sample: {keep: 1, by: [body]}", access},
      {"throttle", "- throttle: {by: [body], rate: 1000000000}", access},
      {"dedupe", "- dedupe: {by: [body], window: 1ms}", access},
      {"redact", "- redact: {}", text},
      {"geoip", "- geoip: {database: geo.mmdb, field: body}", "203.0.113.9"},
      {"aggregate", "- aggregate: {metric: took, by: [severity.number], value: body}", "12.5"},
      {"log_to_metric", "- log_to_metric: {metric: lines, by: [severity.number]}", access},
      {"enrich", "- enrich: {table: services.csv, column: name, field: body, set: {team: attributes.team}}",
       "svc-7"},
  };
  return kSteps;
}

class NoIdentity : public IdentitySource {
 public:
  std::uint64_t record_identity() override { return ++last_; }

 private:
  std::uint64_t last_ = 0;
};

void one_step(benchmark::State& state, const Step& step) {
  const Tables tables;
  const auto set = compiled(tables, "name: one\nprocessors:\n  " + step.steps + "\n");
  const Pipeline& pipeline = *set->find("one");
  std::string body;
  append_value(body, text_value(step.body));
  otlp::LogRecord record;
  record.body = body;
  record.has_body = true;
  Event event(set->record_bytes_max());
  event.use(set->fields());
  Scratch scratch;
  NoIdentity identities;
  scratch.identities = &identities;
  scratch.now = kTime;
  PipelineTally tally(set->counters().size());
  const auto once = [&] {
    event.load(record);
    scratch.json.begin_record();
    scratch.metrics.clear();
    scratch.now += kNanosPerMilli * 2;
    benchmark::DoNotOptimize(pipeline.run(event, scratch, tally));
  };
  once();
  const std::uint64_t allocated = allocations;
  for (auto _ : state) {
    once();
  }
  state.counters["records/CPU-s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["MB/CPU-s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(step.body.size()) / 1e6,
      benchmark::Counter::kIsRate);
  state.counters["allocations/record"] =
      static_cast<double>(allocations - allocated) / static_cast<double>(state.iterations());
  if (tally[1 + 3] > 0) {
    state.SkipWithError("the step failed on its text");
  }
}

}  // namespace
}  // namespace naru::prepper

int main(int argc, char** argv) {
  // As naru-prepper does.
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
  for (const auto& step : naru::prepper::steps()) {
    benchmark::RegisterBenchmark((std::string("step/") + step.name).c_str(),
                                 [&step](benchmark::State& state) { naru::prepper::one_step(state, step); });
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
