// `naru doctor`: what is not as it should be in OpenSearch and Kafka, and how to mend it.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace naru {

struct DoctorOptions {
  std::string config;  // the prepper's configuration: its clusters are looked at
  std::string output = "text";
};
void add_flags(CLI::App& app, DoctorOptions& options);

// Changes nothing. 0: nothing found; 1: findings, or a cluster that is away or refuses; 2: usage.
int run_doctor(const DoctorOptions& options);

}  // namespace naru
