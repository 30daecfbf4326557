// `naru test`: runs the golden cases of pipelines.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace naru {

struct TestOptions {
  std::vector<std::string> paths;  // pipelines, their cases, or directories of them
  bool update = false;
  std::string mappings_dir;
};
void add_flags(CLI::App& app, TestOptions& options);
// Exit 0: every case passed. 1: some failed. 2: a file is wrong, or there is no case at all.
int run_test(const TestOptions& options);

}  // namespace naru
