// `naru processors`: the reference of the processors of pipelines, from the tables that check them.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace naru {

struct ProcessorsOptions {
  std::string name;  // empty: all
};
void add_flags(CLI::App& app, ProcessorsOptions& options);
// Markdown on the output; docs/processors.md is the whole of it. Exit 2: there is no such processor.
int run_processors(const ProcessorsOptions& options);

}  // namespace naru
