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
  const auto work = [&](const prepper::BootstrapTargets& on) {
    return options.apply ? prepper::apply(config, on, wall_now()) : prepper::plan(config, on, wall_now());
  };
  NARU_TRY(std::vector<prepper::Change> changes, work(targets));
  // Each further cluster has the same topics: keys keep to their partitions when records go there.
  for (const program::ClusterEntry& entry : config.clusters.more) {
    NARU_TRY(const auto other, bus::make_kafka_bus(entry.kafka));
    auto made = work({.opensearch = nullptr, .bus = other.get(), .accept_loss = options.accept_loss});
    if (!made) {
      return fail(made.error().with_context("cluster " + entry.name));
    }
    for (prepper::Change& change : *made) {
      change.subject += " on cluster " + entry.name;
      changes.push_back(std::move(change));
    }
  }
  return changes;
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
