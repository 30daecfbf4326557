// `naru check FILE...`: validates configuration files without starting anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace naru {

struct CheckOptions {
  std::vector<std::string> files;
  std::string program;  // agent, collector, prepper, alerting; empty: by each file's name
};
void add_flags(CLI::App& app, CheckOptions& options);

// The program whose name stands in the file's name ("agent", "naru-agent", "agent-prod" .yaml).
std::optional<std::string_view> program_of_file(std::string_view path);

// Prints one line per valid file, every error of the others. 0: all valid, 2 otherwise.
int run_check(const CheckOptions& options);

}  // namespace naru
