// The prepper's hot path: OTLP log requests as they lie on Kafka to the text of bulk requests.
//
// Records have a JSON text of 1.2 kB as body (its quotes must be escaped), or plain text; a message holds
// 600. Prints documents and bytes per CPU-second, and what the machine copies from memory to memory beside
// it.
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <string>

#include "benchmarks/micro/counting.h"
#include "core/otlp/build.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kRecords = 600;
constexpr std::size_t kBodyBytes = 1200;
constexpr std::uint64_t kTime = 1'795'222'923'123'456'789;  // 2026-11-21

std::string json_line(std::size_t i) {
  std::string out = R"({"ts":"2026-11-21T01:02:03.123Z","level":"info","seq":)" + std::to_string(i);
  for (int field = 0; out.size() + 40 < kBodyBytes; ++field) {
    out += ",\"field_" + std::to_string(field) + "\":\"value of this field\"";
  }
  out += "}";
  out.resize(kBodyBytes, ' ');
  return out;
}
std::string plain_line(std::size_t i) {
  std::string out =
      "127.0.0.1 - - [21/Nov/2026:01:02:03 +0000] GET /cart/" + std::to_string(i) + " HTTP/1.1 200 ";
  out.resize(kBodyBytes, 'x');
  return out;
}
std::string korean_line(std::size_t i) {
  std::string out = std::to_string(i) + " ";
  while (out.size() + 3 <= kBodyBytes) {
    out += "가";
  }
  return out;
}

std::string message(std::string (*line)(std::size_t), bool with_attributes) {
  std::string resource, attributes;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", "shop");
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "host.name", "web-1.example");
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "log.file.path",
                                "/var/log/shop/app.log");
  if (with_attributes) {
    otlp::append_string_attribute(attributes, otlp::kLogAttributes, "http.request.method", "GET");
    otlp::append_int_attribute(attributes, otlp::kLogAttributes, "http.response.status_code", 200);
    otlp::append_string_attribute(attributes, otlp::kLogAttributes, "url.path", "/cart/17");
    otlp::append_string_attribute(attributes, otlp::kLogAttributes, "user.id", "u-123456");
    otlp::append_string_attribute(attributes, otlp::kLogAttributes, "session.id", "0123456789abcdef");
  }
  otlp::LogsBuilder builder;
  builder.begin_resource(resource);
  builder.begin_scope({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 1000);
  for (std::size_t i = 0; i < kRecords; ++i) {
    builder.add(kTime + i * 1000, kTime + i * 1000 + 77, line(i), 9, "INFO", attributes);
  }
  return builder.take();
}

void encode(benchmark::State& state, std::string (*line)(std::size_t), bool with_attributes) {
  OneContract contracts;
  CountingSink sink;
  Encoder encoder({}, contracts, sink);
  const auto value = std::make_shared<const std::string>(message(line, with_attributes));
  std::int64_t offset = 0;
  for (auto _ : state) {
    bus::InRecord record;
    record.topic = "otlp_logs";
    record.offset = offset++;
    record.timestamp_ms = static_cast<UnixMillis>(kTime / kNanosPerMilli);
    record.value = *value;
    record.owner = value;
    encoder.encode(std::make_shared<SourceMessage>(std::move(record), otlp::Signal::kLogs, 1, &sink));
  }
  encoder.flush();
  if (sink.letters > 0 || sink.documents != state.iterations() * kRecords) {
    state.SkipWithError("not every record became a document");
    return;
  }
  state.counters["documents/CPU-s"] =
      benchmark::Counter(static_cast<double>(sink.documents), benchmark::Counter::kIsRate);
  state.counters["out_bytes/CPU-s"] = benchmark::Counter(
      static_cast<double>(sink.bytes), benchmark::Counter::kIsRate, benchmark::Counter::OneK::kIs1000);
  state.counters["bytes/document"] = static_cast<double>(sink.bytes) / static_cast<double>(sink.documents);
}

void plain_text(benchmark::State& state) {
  encode(state, plain_line, false);
}
void json_text(benchmark::State& state) {
  encode(state, json_line, false);
}
void korean_text(benchmark::State& state) {
  encode(state, korean_line, false);
}
void json_text_and_five_attributes(benchmark::State& state) {
  encode(state, json_line, true);
}
BENCHMARK(plain_text);
BENCHMARK(json_text);
BENCHMARK(korean_text);
BENCHMARK(json_text_and_five_attributes);

// The bound of anything that writes its output once: 64 MiB copied, beyond the caches.
void machine_memcpy(benchmark::State& state) {
  constexpr std::size_t kSize = 64u << 20;
  const std::string from(kSize, 'a');
  std::string to(kSize, 'b');
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), kSize);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.counters["out_bytes/CPU-s"] =
      benchmark::Counter(static_cast<double>(kSize) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate, benchmark::Counter::OneK::kIs1000);
}
BENCHMARK(machine_memcpy);

}  // namespace
}  // namespace naru::prepper

BENCHMARK_MAIN();
