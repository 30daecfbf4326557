// The far end of the benchmarks: takes OTLP/HTTP exports and bulk requests, counts what is in them, keeps
// nothing.
//
//   naru-bench-sink --listen 127.0.0.1:0     prints `listening sink <host:port>`, then `ready`
//   GET /counts {"requests":..,"records":..,"bytes":..,"distinct":..,"refused":..}
//
// Every bulk item is answered 201, but for --fail PERCENT of the ids, which get 429 when they come first;
// then the sink also remembers every id that it took (`distinct`) and answers 409 to its repeats. Every index
// exists with the mapping of --template. Not a fake of a server: tests use the real ones.
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstring>
#include <iostream>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "core/base/hash.h"
#include "core/net/http.h"
#include "core/net/http_server.h"
#include "core/otlp/otlp.h"

namespace {

using namespace naru;

struct Counts {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> records{0};
  std::atomic<std::uint64_t> bytes{0};

  // With --fail.
  unsigned fail_percent = 0;
  std::mutex mutex;
  std::unordered_set<std::uint64_t> refused_ids, taken_ids;
};

// What happens to a document by its id.
int judge(Counts& counts, std::string_view id) {
  constexpr int kTooMany = 429, kCreated = 201, kConflict = 409;
  const std::uint64_t hash = xxh3_64(id);
  const std::lock_guard lock(counts.mutex);
  if (hash % 100 < counts.fail_percent && counts.refused_ids.insert(hash).second) {
    return kTooMany;
  }
  return counts.taken_ids.insert(hash).second ? kCreated : kConflict;
}

void count(Counts& counts, std::uint64_t records, std::uint64_t bytes) {
  counts.requests += 1;
  counts.records += records;
  counts.bytes += bytes;
}

net::HttpResponse take_export(Counts& counts, otlp::Signal signal, const net::HttpRequest& request) {
  const auto records = otlp::count_records(signal, request.body);
  if (!records) {
    return net::text_response(400, records.error().message());
  }
  count(counts, *records, request.body.size());
  net::HttpResponse response;
  response.headers.set("Content-Type", "application/x-protobuf");
  return response;
}

// The same, one item at a time.
net::HttpResponse take_bulk_with_failures(Counts& counts, const net::HttpRequest& request) {
  std::string body = R"({"took":1,"items":[)";
  std::uint64_t taken = 0;
  constexpr std::string_view kId = R"("_id":")";
  for (std::string_view rest = request.body; !rest.empty();) {
    const std::string_view action = rest.substr(0, rest.find('\n'));
    const std::size_t id = action.find(kId) + kId.size();
    const int status = judge(counts, action.substr(id, action.find('"', id) - id));
    taken += status == 201 ? 1 : 0;
    body += body.back() == '[' ? "" : ",";
    body += R"({"create":{"status":)" + std::to_string(status);
    if (status == 429) {
      body +=
          R"(,"error":{"type":"rejected_execution_exception","reason":"rejected execution of coordinating operation"})";
    } else if (status == 409) {
      body += R"(,"error":{"type":"version_conflict_engine_exception","reason":"document already exists"})";
    }
    body += "}}";
    rest.remove_prefix(action.size() + 1);
    rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
  }
  count(counts, taken, request.body.size());
  return net::json_response(200, body + "]}");
}

// Every second line of a bulk of creates is a document.
net::HttpResponse take_bulk(Counts& counts, const net::HttpRequest& request) {
  std::uint64_t lines = 0;
  const char* at = request.body.data();
  const char* const end = at + request.body.size();
  while (const void* newline = std::memchr(at, '\n', static_cast<std::size_t>(end - at))) {
    at = static_cast<const char*>(newline) + 1;
    ++lines;
  }
  const std::uint64_t documents = lines / 2;
  count(counts, documents, request.body.size());
  std::string body = R"({"took":1,"errors":false,"items":[)";
  for (std::uint64_t i = 0; i < documents; ++i) {
    body += i == 0 ? R"({"create":{"status":201}})" : R"(,{"create":{"status":201}})";
  }
  body += "]}";
  return net::json_response(200, std::move(body));
}

net::HttpResponse answer(Counts& counts, const std::string& mappings, const net::HttpRequest& request) {
  const std::string_view path = request.path();
  if (path == "/v1/logs") {
    return take_export(counts, otlp::Signal::kLogs, request);
  }
  if (path == "/v1/traces") {
    return take_export(counts, otlp::Signal::kTraces, request);
  }
  if (path == "/v1/metrics") {
    return take_export(counts, otlp::Signal::kMetrics, request);
  }
  if (path == "/_bulk") {
    return counts.fail_percent > 0 ? take_bulk_with_failures(counts, request) : take_bulk(counts, request);
  }
  if (path == "/counts") {
    const std::lock_guard lock(counts.mutex);
    return net::json_response(200, R"({"requests":)" + std::to_string(counts.requests) + R"(,"records":)" +
                                       std::to_string(counts.records) + R"(,"bytes":)" +
                                       std::to_string(counts.bytes) + R"(,"distinct":)" +
                                       std::to_string(counts.taken_ids.size()) + R"(,"refused":)" +
                                       std::to_string(counts.refused_ids.size()) + "}");
  }
  if (path.ends_with("/_mapping")) {
    return net::json_response(200, R"({"index":{"mappings":)" + mappings + "}}");
  }
  if (request.method == "PUT") {
    return net::json_response(200, R"({"acknowledged":true})");
  }
  if (path == "/") {
    return net::json_response(200, R"({"version":{"distribution":"opensearch","number":"2.19.1"}})");
  }
  return net::json_response(
      404,
      R"({"error":{"type":"index_not_found_exception","reason":"the sink keeps nothing"},"status":404})");
}

std::optional<std::string> read_mappings(const std::string& path) {
  simdjson::dom::parser parser;
  simdjson::dom::element mappings;
  if (parser.load(path)["template"]["mappings"].get(mappings) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  return simdjson::minify(mappings);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Counts OTLP exports and bulk requests for the benchmarks.");
  net::HttpServerConfig config;
  config.threads = 2;
  app.add_option("--listen", config.address, "host:port; port 0 picks a free one");
  std::string template_file = "config/mappings/logs-otel-v1.json";
  app.add_option("--template", template_file, "index template whose mapping every index has")
      ->check(CLI::ExistingFile);
  Counts counts;
  app.add_option("--fail", counts.fail_percent,
                 "percent of the documents that are refused when they come first")
      ->check(CLI::Range(0, 100));
  CLI11_PARSE(app, argc, argv);
  const auto mappings = read_mappings(template_file);
  if (!mappings) {
    std::cerr << template_file << " is no index template\n";
    return 2;
  }

  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  auto server = net::HttpServer::start(config, [&](net::HttpRequest request, net::Responder respond) {
    respond(answer(counts, *mappings, request));
  });
  if (!server) {
    std::cerr << server.error().message() << '\n';
    return 1;
  }
  std::cout << "listening sink " << (*server)->endpoint() << "\nready" << std::endl;
  int signal = 0;
  sigwait(&ends, &signal);
  return 0;
}
