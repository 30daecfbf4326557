#include "naru/bootstrap/bootstrap.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "core/base/clock.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/program/service.h"
#include "prepper/bootstrap/bootstrap.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

Result<std::vector<prepper::Change>> bootstrap(const prepper::ProgramConfig& config,
                                               const BootstrapOptions& options) {
  NARU_TRY(const auto access, prepper::opensearch_access(config.opensearch));
  NARU_TRY(const auto bus, bus::make_kafka_bus(config.kafka));
  const auto opensearch = access.any();
  const prepper::BootstrapTargets targets{
      .opensearch = opensearch.get(), .bus = bus.get(), .accept_loss = options.accept_loss};
  return options.apply ? prepper::apply(config, targets, wall_now())
                       : prepper::plan(config, targets, wall_now());
}

}  // namespace

void add_flags(CLI::App& app, BootstrapOptions& options) {
  app.add_option("--config", options.config, "configuration of the prepper (YAML)")->required();
  auto* plan = app.add_flag("--plan", options.plan, "show what would change, change nothing (default)");
  app.add_flag("--apply", options.apply, "make the changes")->excludes(plan);
  app.add_flag("--accept-loss", options.accept_loss, "also what loses data, such as a shorter delete_after");
}

int run_bootstrap(const BootstrapOptions& options) {
  const auto config = prepper::load_program_config(options.config);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message());
    return program::kExitUsage;
  }
  const auto changes = bootstrap(*config, options);
  if (!changes) {
    fmt::print(stderr, "naru bootstrap: {}\n", changes.error().message());
    return program::exit_code(changes.error());
  }
  fmt::print("{}", prepper::to_text(*changes));
  return program::kExitDone;
}

}  // namespace naru
