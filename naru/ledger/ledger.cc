#include "naru/ledger/ledger.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <thread>

#include "core/base/address.h"
#include "core/base/clock.h"
#include "core/net/http_client.h"
#include "core/program/service.h"
#include "core/telemetry/exposition.h"
#include "core/telemetry/ledger_judge.h"
#include "naru/ledger/report.h"
#include "naru/up/endpoints.h"
#include "naru/up/options.h"

namespace naru {
namespace {

constexpr std::chrono::milliseconds kAnswerTimeout{5'000};
constexpr std::chrono::milliseconds kBetweenLooks{250};
constexpr std::size_t kPageBytesMax = 16u << 20;

// One program whose admin listener is asked again and again.
struct Target {
  std::string name;
  std::unique_ptr<net::HttpTransport> transport;
};

Result<std::vector<Target>> connect(const std::vector<std::string>& names) {
  std::vector<Target> out;
  for (const std::string& name : names) {
    net::HttpClientConfig config;
    config.url = name;
    if (name.find("://") == std::string::npos) {
      NARU_TRY(const Address address, parse_address(name));
      config.url = "http://" + address.text();
    }
    config.response_bytes_max = kPageBytesMax;
    config.connect_timeout = kAnswerTimeout;
    NARU_TRY(auto transport, net::make_http_client(config));
    out.push_back({name, std::move(transport)});
  }
  return out;
}

Result<telemetry::Exposition> ask(const Target& target) {
  net::HttpRequest request;
  request.target = "/metrics";
  NARU_TRY(net::HttpResponse response, target.transport->exchange(std::move(request), kAnswerTimeout));
  NARU_TRY(const std::string page,
           metrics_page({response.status, std::string(response.headers.get("Content-Type")),
                         std::move(response.body)}));
  return telemetry::parse_exposition(page, "naru_records_");
}

Result<telemetry::LedgerSample> look(const std::vector<Target>& targets) {
  telemetry::LedgerSample out;
  for (const Target& target : targets) {
    const auto page = ask(target);
    if (!page) {
      return fail(
          ErrorCode::kUnavailable,
          fmt::format("target {} does not answer with its metrics: {}; start that program, or name the "
                      "admin listeners that there are with --targets",
                      target.name, page.error().message()));
    }
    add_to_ledger(out, *page);
  }
  if (out.empty()) {
    return fail(ErrorCode::kNotFound,
                "no target has a ledger (naru_records_*): name the admin listeners of naru-agent, "
                "naru-collector and naru-prepper, or that of naru up, with --targets");
  }
  return out;
}

Result<std::vector<LedgerJudge::Row>> judge(const LedgerOptions& options) {
  const std::vector<std::string> names =
      options.targets.empty() ? default_targets(options.data) : options.targets;
  NARU_TRY(const std::vector<Target> targets, connect(names));
  telemetry::JudgeConfig config;
  config.settle_ns =
      static_cast<std::uint64_t>(options.settle_seconds * static_cast<double>(kNanosPerSecond));
  config.quiet_ns = std::min(config.quiet_ns, config.settle_ns);
  LedgerJudge ledger(config);
  while (true) {
    NARU_TRY(const telemetry::LedgerSample sample, look(targets));
    ledger.look(sample, monotonic_now());
    if (ledger.decided()) {
      return ledger.verdict();
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace

void add_flags(CLI::App& app, LedgerOptions& options) {
  app.add_option("--targets", options.targets,
                 "admin listeners, host:port or URL, separated by commas (default: that of `naru up`, else "
                 "127.0.0.1:8084,8081,8082,8083)")
      ->delimiter(',');
  app.add_option("--data", options.data,
                 "directory of the `naru up` to ask (default: $XDG_STATE_HOME/naru or ~/.local/state/naru)");
  app.add_option("--output", options.output, "table, or json: one object a line")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.add_option("--settle", options.settle_seconds,
                 "seconds for which a difference has to stay before a working stage is called unbalanced")
      ->check(CLI::Range(0.5, 600.0))
      ->capture_default_str();
}

std::vector<std::string> default_targets(const std::string& data) {
  std::string directory = data;
  if (directory.empty()) {
    directory = default_data_directory().value_or("");
  }
  if (const auto admin = read_endpoint(endpoints_path(directory), "admin")) {
    return {*admin};
  }
  return {"127.0.0.1:8084", "127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"};
}

Result<std::string> metrics_page(MetricsAnswer answer) {
  if (answer.status != 200) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("it answers {} to /metrics", answer.status));
  }
  const std::string_view type = answer.content_type;
  if (!type.starts_with("text/plain") && !type.starts_with("application/openmetrics-text")) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("its /metrics is '{}' and not the Prometheus text format", type));
  }
  return std::move(answer.body);
}

int run_ledger(const LedgerOptions& options) {
  const auto rows = judge(options);
  if (!rows) {
    fmt::print(stderr, "naru ledger: {}\n", rows.error().message());
    return program::exit_code(rows.error());
  }
  fmt::print("{}", options.output == "json" ? ledger_json(*rows) : ledger_table(*rows));
  if (const std::string sentence = explain(*rows); !sentence.empty()) {
    std::fflush(stdout);
    fmt::print(stderr, "naru ledger: {}\n", sentence);
    return program::kExitFailure;
  }
  return program::kExitDone;
}

}  // namespace naru
