// `naru contract`: what the mapping contract makes of records, and whether mappings are as declared.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace naru {

struct ContractOptions {
  enum class Action { kExplain, kCheck };
  Action action = Action::kExplain;
  std::string file;                 // explain: an index template or a live mapping
  std::string signal = "logs";      // explain: of the samples
  std::string mappings_dir;         // check
  std::vector<std::string> corpus;  // check
  std::string config;               // check: of the prepper; its cluster is compared
};
void add_flags(CLI::App& app, ContractOptions& options);
// Exit 0: nothing to object to. 1: a document would be refused, or a mapping differs or is forbidden. 2:
// usage.
int run_contract(const ContractOptions& options);

}  // namespace naru
