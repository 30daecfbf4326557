// The collector's own work: handler -> identify -> regroup -> a bus that acknowledges at once. The receiving
// sockets, librdkafka and the broker are not in it (benchmarks/pipeline measures those). Read CPU time.
#include <benchmark/benchmark.h>

#include <string>

#include "collector/collector.h"
#include "core/otlp/build.h"
#include "core/otlp/json.h"
#include "core/otlp/rewrite.h"

namespace naru::collector {
namespace {

// Acknowledges in send() and forgets the record.
class NullBus final : public bus::Bus {
 public:
  Result<std::unique_ptr<bus::Producer>> producer() override { return std::make_unique<NullProducer>(); }
  Result<std::unique_ptr<bus::Consumer>> consumer(const bus::ConsumerConfig&,
                                                  bus::RebalanceListener&) override {
    return fail(ErrorCode::kUnsupported, "not needed");
  }
  Result<void> ensure_topics(std::span<const bus::TopicConfig>) override { return {}; }
  Result<std::vector<bus::TopicState>> describe(std::span<const std::string>) override {
    return std::vector<bus::TopicState>{};
  }
  Result<std::string> cluster_id() override { return "null"; }

 private:
  class NullProducer final : public bus::Producer {
   public:
    Result<void> send(bus::OutRecord& record, bus::DeliveryCallback done) override {
      const bus::OutRecord taken = std::move(record);
      benchmark::DoNotOptimize(taken.value.data());
      done(bus::Position{taken.partition, 0});
      return {};
    }
    Result<void> flush(std::chrono::milliseconds) override { return {}; }
    Result<std::int32_t> partition_count(const std::string&) override { return 4; }
  };
};

constexpr std::size_t kRequestBytes = 600'000;

std::string agent_request(std::size_t body_bytes) {
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "host.name", "web-1");
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "log.file.path",
                                "/var/log/nginx/access.log");
  otlp::LogsBuilder builder;
  builder.begin_resource(resource);
  builder.begin_scope({1, 2, 3}, 1);
  const std::string body(body_bytes, 'x');
  while (builder.size() < kRequestBytes) {
    builder.add(1, 2, body);
  }
  return builder.take();
}

// As an SDK sends them: 512 small records with attributes, one resource.
std::string client_request(std::size_t records) {
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", "checkout");
  std::string attributes;
  otlp::append_string_attribute(attributes, otlp::kLogAttributes, "http.request.method", "GET");
  otlp::append_int_attribute(attributes, otlp::kLogAttributes, "http.response.status_code", 200);
  std::string record;
  otlp::append_fixed64_field(record, 1, 1);
  std::string body;
  otlp::append_bytes_field(body, 1, "user 1234 has put 3 items into the basket");
  otlp::append_bytes_field(record, 5, body);
  record += attributes;
  std::string scope_logs;
  for (std::size_t i = 0; i < records; ++i) {
    otlp::append_bytes_field(scope_logs, 2, record);
  }
  std::string group, request;
  otlp::append_bytes_field(group, 1, resource);
  otlp::append_bytes_field(group, 2, scope_logs);
  otlp::append_bytes_field(request, 1, group);
  return request;
}

std::string spans_request(std::size_t spans) {
  std::string scope_spans;
  for (std::size_t i = 0; i < spans; ++i) {
    std::string span;
    std::string trace(16, 't');
    trace[0] = static_cast<char>(i / 8);
    otlp::append_bytes_field(span, 1, trace);
    otlp::append_bytes_field(span, 2, "12345678");
    otlp::append_bytes_field(span, 5, "GET /checkout");
    otlp::append_string_attribute(span, otlp::kSpanAttributes, "http.request.method", "GET");
    otlp::append_bytes_field(scope_spans, 2, span);
  }
  std::string group, request;
  otlp::append_bytes_field(group, 2, scope_spans);
  otlp::append_bytes_field(request, 1, group);
  return request;
}

void report(benchmark::State& state, std::size_t bytes, std::uint64_t records) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * records));
}

struct Running {
  NullBus bus;
  telemetry::Registry registry;
  telemetry::Health health{registry};
  Collector collector{{}, bus, registry, health};
  Running() { (void)collector.start().has_value(); }
};

// The copy of the request into its buffer is the work of the receiving server, and not counted.
void exchange(benchmark::State& state, const std::string& request, std::uint64_t records,
              const net::Peer& peer, const char* target) {
  Running running;
  const net::HttpHandler handler = running.collector.http_handler();
  for (auto _ : state) {
    state.PauseTiming();
    net::HttpRequest http;
    http.method = "POST";
    http.target = target;
    http.headers.set("Content-Type", "application/x-protobuf");
    http.body = request;
    http.peer = peer;
    state.ResumeTiming();
    int status = 0;
    handler(std::move(http), net::Responder([&](net::HttpResponse response) { status = response.status; }));
    if (status != 200) {
      state.SkipWithError("not taken");
    }
  }
  report(state, request.size(), records);
}

const net::Peer kAgentPeer{"127.0.0.1:9", true, false, {}};
const net::Peer kClientPeer{"10.0.0.7:9", false, false, {}};

void AgentRequest(benchmark::State& state) {
  const std::string request = agent_request(static_cast<std::size_t>(state.range(0)));
  exchange(state, request, *otlp::count_records(otlp::Signal::kLogs, request), kAgentPeer, "/v1/logs");
}
BENCHMARK(AgentRequest)->Arg(100)->Arg(500)->Arg(1200);

void ClientLogs(benchmark::State& state) {
  const auto records = static_cast<std::size_t>(state.range(0));
  exchange(state, client_request(records), records, kClientPeer, "/v1/logs");
}
BENCHMARK(ClientLogs)->Arg(1)->Arg(512)->Arg(5000);

void ClientSpans(benchmark::State& state) {
  const auto spans = static_cast<std::size_t>(state.range(0));
  exchange(state, spans_request(spans), spans, kClientPeer, "/v1/traces");
}
BENCHMARK(ClientSpans)->Arg(512);

void GrpcSmallRecords(benchmark::State& state) {
  const auto records = static_cast<std::size_t>(state.range(0));
  const std::string request = client_request(records);
  Running running;
  const net::GrpcHandler handler = running.collector.grpc_handler();
  for (auto _ : state) {
    state.PauseTiming();
    net::GrpcCall call;
    call.method = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    call.message = request;
    call.peer = kClientPeer;
    state.ResumeTiming();
    handler(std::move(call), net::GrpcResponder([&](net::GrpcResponder::Answer answer) {
              if (!answer) {
                state.SkipWithError("not taken");
              }
            }));
  }
  report(state, request.size(), records);
}
BENCHMARK(GrpcSmallRecords)->Arg(512);

void SplitOversizeRequest(benchmark::State& state) {
  std::string request;
  while (request.size() < 4'000'000) {
    request += agent_request(500);
  }
  const std::uint64_t records = *otlp::count_records(otlp::Signal::kLogs, request);
  for (auto _ : state) {
    state.PauseTiming();
    std::string copy = request;
    state.ResumeTiming();
    benchmark::DoNotOptimize(otlp::regroup({otlp::Signal::kLogs, 4, 300'000}, std::move(copy), records));
  }
  report(state, request.size(), records);
}
BENCHMARK(SplitOversizeRequest);

void JsonRequest(benchmark::State& state) {
  std::string json = R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[)";
  constexpr std::size_t kRecords = 512;
  for (std::size_t i = 0; i < kRecords; ++i) {
    json += i == 0 ? "" : ",";
    json +=
        R"({"timeUnixNano":"1544712660300000000","severityNumber":9,"body":{"stringValue":"user 1234 has put 3 )"
        R"(items into the basket"},"attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},)"
        R"({"key":"http.response.status_code","value":{"intValue":"200"}}]})";
  }
  json += "]}]}]}";
  for (auto _ : state) {
    benchmark::DoNotOptimize(otlp::request_from_json(otlp::Signal::kLogs, json));
  }
  report(state, json.size(), kRecords);
}
BENCHMARK(JsonRequest);

}  // namespace
}  // namespace naru::collector

BENCHMARK_MAIN();
