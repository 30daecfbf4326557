#include "naru/check/check.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <memory>

#include "agent/program_config.h"
#include "alerting/program_config.h"
#include "collector/program_config.h"
#include "core/config/config.h"
#include "core/program/service.h"
#include "core/rules/rule.h"
#include "prepper/count/record_counter.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/processors/enrichment.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

template <class Config>
Result<void> load(const std::string& path) {
  NARU_TRY(const Config config, config::load_file<Config>(path));
  return {};
}

Result<void> load_pipeline(const std::string& path) {
  NARU_TRY(std::string text, config::read_config_file(path));
  const prepper::PipelineSet::File file{path, std::move(text)};
  NARU_TRY(const auto set,
           prepper::PipelineSet::compile({&file, 1}, std::make_shared<prepper::EnrichmentStore>()));
  return {};
}

// Without the pipelines that rules may name: those are checked with the prepper's configuration.
Result<void> load_rules(const std::string& path) {
  NARU_TRY(std::string text, config::read_config_file(path));
  NARU_TRY(auto rules, rules::RuleSet::compile({{path, std::move(text)}}));
  std::vector<rules::Rule> alone;
  for (rules::Rule rule : rules->rules()) {
    if (rule.pipeline.empty()) {
      alone.push_back(std::move(rule));
    }
  }
  NARU_TRY(rules, rules::RuleSet::of(std::move(alone)));
  prepper::Repeats repeats(1);
  NARU_TRY(const auto counter, prepper::RecordCounter::compile(rules, nullptr, {}, repeats));
  return {};
}

struct Kind {
  std::string_view program;
  Result<void> (*load)(const std::string&);
};
constexpr std::array<Kind, 7> kKinds = {{{"agent", load<agent::ProgramConfig>},
                                         {"collector", load<collector::ProgramConfig>},
                                         {"prepper", load<prepper::ProgramConfig>},
                                         {"alerting", load<alerting::ProgramConfig>},
                                         {"datasets", load<prepper::Datasets>},
                                         {"pipeline", load_pipeline},
                                         {"rules", load_rules}}};

Result<void> check_file(const std::string& path, std::string_view program) {
  for (const Kind& kind : kKinds) {
    if (kind.program == program) {
      return kind.load(path);
    }
  }
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format(
          "{}: which program is it for? Name the file after it (agent.yaml), or say --as agent, "
          "collector, prepper, alerting, datasets, pipeline or rules (files in directories `pipelines` and "
          "`rules` are those)",
          path));
}

}  // namespace

void add_flags(CLI::App& app, CheckOptions& options) {
  app.add_option("files", options.files, "configuration files (YAML)")->required();
  app.add_option("--as", options.program, "program that the files are for (default: by file name)")
      ->check(CLI::IsMember({"agent", "collector", "prepper", "alerting", "datasets", "pipeline", "rules"}));
}

std::optional<std::string_view> program_of_file(std::string_view path) {
  if (path.find("pipelines/") != std::string_view::npos) {
    return "pipeline";
  }
  if (path.find("rules/") != std::string_view::npos && !path.ends_with(".test.yaml")) {
    return "rules";
  }
  const std::string_view name = path.substr(path.find_last_of('/') + 1);
  for (const Kind& kind : kKinds) {
    if (name.find(kind.program) != std::string_view::npos) {
      return kind.program;
    }
  }
  return std::nullopt;
}

int run_check(const CheckOptions& options) {
  bool valid = true;
  for (const std::string& path : options.files) {
    const auto checked =
        check_file(path, options.program.empty() ? program_of_file(path).value_or("") : options.program);
    if (checked) {
      fmt::print("{}: valid\n", path);
    } else {
      fmt::print(stderr, "{}\n", checked.error().message());
      valid = false;
    }
  }
  return valid ? program::kExitDone : program::kExitUsage;
}

}  // namespace naru
