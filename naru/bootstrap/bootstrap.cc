#include "naru/bootstrap/bootstrap.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "core/bus/kafka/kafka_bus.h"
#include "core/config/config.h"
#include "core/program/service.h"
#include "prepper/bootstrap/bootstrap.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

Result<std::vector<prepper::Change>> bootstrap(const prepper::ProgramConfig& config, bool apply) {
  NARU_TRY(const auto transports, prepper::opensearch_transports(config.opensearch));
  NARU_TRY(const auto bus, bus::make_kafka_bus(config.kafka));
  const auto opensearch = transports();
  const prepper::BootstrapTargets targets{.opensearch = opensearch.get(), .bus = bus.get()};
  return apply ? prepper::apply(config.bootstrap, config, targets)
               : prepper::plan(config.bootstrap, config, targets);
}

}  // namespace

void add_flags(CLI::App& app, BootstrapOptions& options) {
  app.add_option("--config", options.config, "configuration of the prepper (YAML)")->required();
  auto* plan = app.add_flag("--plan", options.plan, "show what would change, change nothing (default)");
  app.add_flag("--apply", options.apply, "make the changes")->excludes(plan);
}

int run_bootstrap(const BootstrapOptions& options) {
  const auto config = config::load_file<prepper::ProgramConfig>(options.config);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message());
    return program::kExitUsage;
  }
  const auto changes = bootstrap(*config, options.apply);
  if (!changes) {
    fmt::print(stderr, "naru bootstrap: {}\n", changes.error().message());
    return program::exit_code(changes.error());
  }
  fmt::print("{}", prepper::to_text(*changes));
  return program::kExitDone;
}

}  // namespace naru
