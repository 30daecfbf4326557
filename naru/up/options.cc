#include "naru/up/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "agent/tail/glob.h"
#include "core/base/address.h"

namespace naru {
namespace {

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

void check_address(const char* flag, const std::string& text, bool insecure, std::string& problems) {
  const auto address = parse_address(text);
  if (!address) {
    problems += fmt::format("{}: {}\n", flag, address.error().message());
  } else if (!insecure && !address->loopback()) {
    problems += fmt::format(
        "{} {}: other machines could reach this listener, which has neither TLS nor authentication; bind "
        "127.0.0.1, "
        "or say --insecure\n",
        flag, text);
  }
}

}  // namespace

void add_flags(CLI::App& app, UpOptions& options) {
  app.add_option("--data", options.data,
                 "directory of all state (default: $XDG_STATE_HOME/naru or ~/.local/state/naru)");
  app.add_option("--file", options.files,
                 "files to read, with *, ?, [] and ** (default: this machine's own logs)");
  app.add_flag("--from-start", options.from_start,
               "read files that are there at the first start from their beginning");
  app.add_option("--pipelines", options.pipelines,
                 "directory of pipelines that records go through (default: none)");
  app.add_option("--rules", options.rules, "directory of alert rules (default: those of config/rules)");
  app.add_option("--alerting", options.alerting, "file with targets, webhooks, notices and limits");
  app.add_flag("--own-metrics", options.own_metrics,
               "take in the platform's own metrics every 10 s, for the rules of config/rules/naru.yaml");
  app.add_option("--http", options.http, "console")->capture_default_str();
  app.add_option("--store", options.store, "OpenSearch-compatible API")->capture_default_str();
  app.add_option("--otlp-grpc", options.otlp_grpc, "OTLP over gRPC")->capture_default_str();
  app.add_option("--otlp-http", options.otlp_http, "OTLP over HTTP")->capture_default_str();
  app.add_option("--syslog", options.syslog, "syslog over UDP and TCP")->capture_default_str();
  app.add_option("--admin", options.admin, "/metrics, /livez, /readyz")->capture_default_str();
  app.add_flag("--insecure", options.insecure,
               "accept listeners that other machines reach, without TLS or passwords");
}

Result<std::string> default_data_directory() {
  if (const char* state = environment("XDG_STATE_HOME")) {
    return std::string(state) + "/naru";
  }
  if (const char* home = environment("HOME")) {
    return std::string(home) + "/.local/state/naru";
  }
  return fail(ErrorCode::kInvalidArgument,
              "--data is not given and neither XDG_STATE_HOME nor HOME is set: say --data DIR");
}

Result<UpOptions> resolve(UpOptions options) {
  std::string problems;
  if (options.data.empty()) {
    auto data = default_data_directory();
    if (data) {
      options.data = std::move(*data);
    } else {
      problems += data.error().message() + "\n";
    }
  }
  check_address("--http", options.http, options.insecure, problems);
  check_address("--store", options.store, options.insecure, problems);
  check_address("--otlp-grpc", options.otlp_grpc, options.insecure, problems);
  check_address("--otlp-http", options.otlp_http, options.insecure, problems);
  check_address("--syslog", options.syslog, options.insecure, problems);
  check_address("--admin", options.admin, options.insecure, problems);
  for (std::string& pattern : options.files) {
    std::error_code error;
    const auto absolute = std::filesystem::absolute(pattern, error);
    if (pattern.empty() || error) {
      problems += fmt::format("--file '{}': no usable path\n", pattern);
    } else {
      pattern = absolute.string();
      const std::string directory = agent::fixed_directory(pattern);
      if (!std::filesystem::is_directory(directory, error)) {
        problems +=
            fmt::format("--file {}: the directory {} does not exist: make it or correct the pattern\n",
                        pattern, directory);
      }
    }
  }
  if (!problems.empty()) {
    problems.pop_back();
    return fail(ErrorCode::kInvalidArgument, problems);
  }
  return options;
}

std::vector<std::string> machine_log_patterns() {
  return {"/var/log/*.log",  "/var/log/*/*.log", "/var/log/*/*/*.log", "/var/log/syslog", "/var/log/messages",
          "/var/log/secure", "/var/log/cron",    "/var/log/maillog",   "/var/log/dmesg"};
}

}  // namespace naru
