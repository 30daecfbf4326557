#include "naru/lifecycle/lifecycle.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "core/base/clock.h"
#include "core/program/service.h"
#include "prepper/lifecycle/ism_policy.h"
#include "prepper/lifecycle/lifecycle_driver.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

// False: the plan is blocked, or a step failed.
Result<bool> look_and_act(const prepper::ProgramConfig& config, bool act) {
  NARU_TRY(const auto access, prepper::opensearch_access(config.opensearch));
  const auto opensearch = access.any();
  NARU_TRY(const prepper::ClusterState cluster, prepper::read_cluster(*opensearch, {}));
  if (cluster.embedded) {
    fmt::print("this is the store of `naru up`: it looks after its indices itself\n");
    return true;
  }
  const bool ism = prepper::left_to_ism(config.datasets.lifecycle, cluster);
  const prepper::LifecyclePlan plan = prepper::plan_lifecycle(config.datasets, cluster, wall_now(), ism);
  if (ism) {
    fmt::print("index state management moves and deletes here; Naru only creates indices ahead\n");
  }
  for (const auto& [index, phase] : plan.phases) {
    fmt::print("{:8} {}\n", prepper::to_string(phase), index);
  }
  for (const std::string& warning : plan.warnings) {
    fmt::print("note: {}\n", warning);
  }
  if (!plan.blocked.empty()) {
    fmt::print("nothing is done: {}\n", plan.blocked);
    return false;
  }
  bool good = true;
  for (const prepper::LifecycleStep& step : plan.steps) {
    fmt::print("{} {} {}: {}\n", act ? "now" : "next", prepper::to_string(step.action), step.index, step.why);
    if (!act) {
      continue;
    }
    if (const auto done = prepper::carry_out(*opensearch, step); !done) {
      fmt::print(stderr, "naru lifecycle: {}\n", done.error().message());
      good = false;
    }
  }
  if (plan.steps.empty()) {
    fmt::print("nothing to do now\n");
  }
  return good;
}

}  // namespace

void add_flags(CLI::App& app, LifecycleOptions& options) {
  app.add_option("--config", options.config, "configuration of the prepper (YAML)")->required();
  app.add_flag("--run", options.run, "do it, once; the leading prepper does it by itself all the time");
}

int run_lifecycle(const LifecycleOptions& options) {
  const auto config = prepper::load_program_config(options.config);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message());
    return program::kExitUsage;
  }
  const auto good = look_and_act(*config, options.run);
  if (!good) {
    fmt::print(stderr, "naru lifecycle: {}\n", good.error().message());
    return program::exit_code(good.error());
  }
  return *good ? program::kExitDone : program::kExitFailure;
}

}  // namespace naru
