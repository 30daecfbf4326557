// `naru lifecycle`: where each index stands and what is done with it next; with --run, does it once.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace naru {

struct LifecycleOptions {
  std::string config;  // the prepper's configuration
  bool run = false;
};
void add_flags(CLI::App& app, LifecycleOptions& options);

// Without --run changes nothing. 0: done; 1: a cluster is away or refuses, or nothing may be done now; 2:
// usage.
int run_lifecycle(const LifecycleOptions& options);

}  // namespace naru
