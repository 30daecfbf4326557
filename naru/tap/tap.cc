#include "naru/tap/tap.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/base/address.h"
#include "core/net/http_client.h"
#include "core/program/service.h"
#include "prepper/pipeline/tap.h"

namespace naru {
namespace {

constexpr std::chrono::milliseconds kAnswerTimeout{5'000};
constexpr std::chrono::milliseconds kBetweenLooks{250};

Result<std::uint64_t> tap(const TapOptions& options, const program::StopSignals& signals) {
  net::HttpClientConfig config;
  config.url = options.admin;
  if (options.admin.find("://") == std::string::npos) {
    NARU_TRY(const Address address, parse_address(options.admin));
    config.url = "http://" + address.text();
  }
  config.connect_timeout = kAnswerTimeout;
  NARU_TRY(const auto transport, net::make_http_client(config));
  const std::size_t dot = options.target.find('.');
  std::string query = fmt::format("{}?pipeline={}", prepper::Tap::kTarget,
                                  net::percent_encoded(options.target.substr(0, dot)));
  if (dot != std::string::npos) {
    query += "&step=" + net::percent_encoded(options.target.substr(dot + 1));
  }
  if (!options.when.empty()) {
    query += "&when=" + net::percent_encoded(options.when);
  }
  std::uint64_t next = 0, shown = 0;
  simdjson::dom::parser parser;
  while (true) {
    net::HttpRequest request;
    request.target = fmt::format("{}&after={}", query, next);
    NARU_TRY(const net::HttpResponse answer, transport->exchange(std::move(request), kAnswerTimeout));
    simdjson::dom::element root;
    std::string_view error;
    if (parser.parse(answer.body).get(root) != simdjson::SUCCESS) {
      return fail(ErrorCode::kUnsupported,
                  fmt::format("{} is no prepper: it answered {}", options.admin, answer.status));
    }
    if (root["error"].get(error) == simdjson::SUCCESS) {
      return fail(ErrorCode::kInvalidArgument, std::string(error));
    }
    simdjson::dom::array records;
    if (root["next"].get(next) != simdjson::SUCCESS || root["records"].get(records) != simdjson::SUCCESS) {
      return fail(ErrorCode::kUnsupported, fmt::format("{} answered in an unknown form", options.admin));
    }
    for (const simdjson::dom::element record : records) {
      fmt::print("{}\n", std::string(simdjson::minify(record)));
      if (++shown == options.count) {
        return shown;
      }
    }
    std::fflush(stdout);
    if (signals.wait(kBetweenLooks)) {
      return shown;
    }
  }
}

}  // namespace

void add_flags(CLI::App& app, TapOptions& options) {
  app.add_option("pipeline", options.target, "PIPELINE, or PIPELINE.STEP")->required();
  app.add_option("--admin", options.admin, "admin listener of the prepper, or of `naru up`")
      ->capture_default_str();
  app.add_option("--when", options.when, "only records for which this expression is true before the step");
  app.add_option("--count", options.count, "end after so many records (default: at a signal)");
}

int run_tap(const TapOptions& options, const program::StopSignals& signals) {
  const auto shown = tap(options, signals);
  if (!shown) {
    std::fflush(stdout);
    fmt::print(stderr, "naru tap: {}\n", shown.error().message());
    return program::exit_code(shown.error());
  }
  return program::kExitDone;
}

}  // namespace naru
