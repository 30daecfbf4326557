// `naru bootstrap`: shows or applies what OpenSearch and Kafka need before the first record.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace naru {

struct BootstrapOptions {
  std::string config;  // the prepper's configuration: its clusters are the ones to prepare
  bool plan = false;
  bool apply = false;
  bool accept_loss = false;
};
void add_flags(CLI::App& app, BootstrapOptions& options);

// Without --apply prints the difference only. 0: done, or nothing to do; 1: a cluster is away or refuses, or
// data would be lost; 2: usage.
int run_bootstrap(const BootstrapOptions& options);

}  // namespace naru
