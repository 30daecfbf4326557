// The flags of `naru up` (contracts.md 6).
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"

namespace CLI {
class App;
}

namespace naru {

struct UpOptions {
  std::string data;                // --data; empty: default_data_directory()
  std::vector<std::string> files;  // --file; empty: the machine's own logs
  bool from_start = false;
  std::string pipelines;     // --pipelines; empty: none
  std::string rules;         // --rules; empty: the built-in ones
  std::string alerting;      // --alerting; empty: no targets, webhooks from this machine only
  bool own_metrics = false;  // --own-metrics: the platform's metrics are records, too
  bool insecure = false;     // accept listeners that other machines reach, without TLS and authentication
  std::string http = "127.0.0.1:8080";
  std::string store = "127.0.0.1:9200";
  std::string otlp_grpc = "127.0.0.1:4317";
  std::string otlp_http = "127.0.0.1:4318";
  std::string syslog = "127.0.0.1:5514";  // UDP and TCP
  std::string admin = "127.0.0.1:8081";
};

void add_flags(CLI::App& app, UpOptions& options);

// ${XDG_STATE_HOME:-$HOME/.local/state}/naru. kInvalidArgument: neither variable is set.
Result<std::string> default_data_directory();

// Fills in defaults, makes file patterns absolute, and checks all of it before anything starts: addresses,
// open binds, directories of patterns. kInvalidArgument: every problem, one line each.
Result<UpOptions> resolve(UpOptions options);

// Patterns of what a Linux machine writes under /var/log. Files that cannot be read are counted by the agent.
std::vector<std::string> machine_log_patterns();

}  // namespace naru
