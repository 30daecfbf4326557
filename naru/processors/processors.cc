#include "naru/processors/processors.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "core/program/service.h"
#include "prepper/pipeline/pipeline_config.h"
#include "prepper/processors/registry.h"

namespace naru {
namespace {

void print_kind(const prepper::ProcessorKind& kind) {
  fmt::print("\n## {}\n{}\n\n```yaml\n- {}\n```\n", kind.name, kind.summary, kind.example);
  if (!kind.table().fields.empty()) {
    fmt::print("\n{}", kind.reference());
  }
}

}  // namespace

void add_flags(CLI::App& app, ProcessorsOptions& options) {
  app.add_option("name", options.name, "one processor (default: all)");
}

int run_processors(const ProcessorsOptions& options) {
  if (!options.name.empty()) {
    const prepper::ProcessorKind* const kind = prepper::find_processor_kind(options.name);
    if (kind == nullptr) {
      fmt::print(stderr, "naru processors: there is no processor '{}'; `naru processors` shows all\n",
                 options.name);
      return program::kExitUsage;
    }
    print_kind(*kind);
    return program::kExitDone;
  }
  fmt::print(
      "# Processors\nWritten by `naru processors` from the tables that check a pipeline; a test keeps this "
      "page true. How "
      "pipelines work is in [pipelines.md](pipelines.md), the language of conditions in "
      "[expressions.md](expressions.md).\n\n"
      "Every processor takes these options beside its own:\n\n{}\n## The pipeline itself\n\n{}",
      prepper::step_reference(), config::reference_markdown<prepper::PipelineConfig>());
  for (const prepper::ProcessorKind& kind : prepper::processor_kinds()) {
    print_kind(kind);
  }
  return program::kExitDone;
}

}  // namespace naru
