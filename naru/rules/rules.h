// `naru rules test`: runs the golden time lines beside the rules. `naru rules backtest`: what a rule would
// have decided on what is stored.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace naru {

struct RulesOptions {
  enum class Action { kNone, kTest, kBacktest } action = Action::kNone;
  std::string directory = "config/rules";
  std::string pipelines;  // directory; empty: none
  std::string rule;       // backtest: name; empty: all
  std::string from, to;   // RFC 3339, or "-2h"
  std::string opensearch = "http://127.0.0.1:9200";
  std::string user, password_file;
  std::string output = "text";
};
void add_flags(CLI::App& app, RulesOptions& options);

// 0: as expected; 1: a test differs, or the store does not answer; 2: usage, rules that cannot be used.
int run_rules(const RulesOptions& options);

}  // namespace naru
