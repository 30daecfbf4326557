// `naru ledger`: asks the programs for what they count and says whether every record is accounted for.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"

namespace CLI {
class App;
}

namespace naru {

struct LedgerOptions {
  std::vector<std::string> targets;  // admin listeners, host:port or URL; empty: default_targets()
  std::string data;                  // of `naru up`; empty: default_data_directory()
  std::string output = "table";      // or json
  double settle_seconds = 5;
};
void add_flags(CLI::App& app, LedgerOptions& options);

// The admin port of the `naru up` on `data` when there is one, else the admin ports that the four programs
// have by default.
std::vector<std::string> default_targets(const std::string& data);

// What one program answered to GET /metrics, as text. kInvalidArgument: the answer is no page of metrics.
struct MetricsAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
};
Result<std::string> metrics_page(MetricsAnswer answer);

// Prints the ledger. 0: it balances; 1: it does not, the stages are named on stderr, or a target does not
// answer; 2: usage.
int run_ledger(const LedgerOptions& options);

}  // namespace naru
