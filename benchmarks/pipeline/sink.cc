// The far end of the benchmarks: takes OTLP/HTTP exports and bulk requests, counts what is in them, keeps
// nothing.
//
//   naru-bench-sink --listen 127.0.0.1:0     prints `listening sink <host:port>`, then `ready`
//   GET /counts                              {"requests":..,"records":..,"bytes":..}
//
// Every bulk item is answered 201, every index exists with the mapping of --template. Not a fake of a server:
// tests use the real ones.
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstring>
#include <iostream>
#include <optional>

#include "core/net/http.h"
#include "core/net/http_server.h"
#include "core/otlp/otlp.h"

namespace {

using namespace naru;

struct Counts {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> records{0};
  std::atomic<std::uint64_t> bytes{0};
};

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
    return take_bulk(counts, request);
  }
  if (path == "/counts") {
    return net::json_response(200, R"({"requests":)" + std::to_string(counts.requests) + R"(,"records":)" +
                                       std::to_string(counts.records) + R"(,"bytes":)" +
                                       std::to_string(counts.bytes) + "}");
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

  Counts counts;
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
