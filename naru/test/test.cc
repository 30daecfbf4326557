#include "naru/test/test.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/program/service.h"
#include "naru/test/golden.h"

namespace naru {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCases = ".test.yaml";

Result<std::vector<std::string>> case_files(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      const bool cases = path.ends_with(kCases);
      out.push_back(cases ? path : path.substr(0, path.rfind(".yaml")) + std::string(kCases));
      if (!fs::exists(out.back(), error)) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} does not exist: cases stand beside their pipeline as NAME.test.yaml",
                                out.back()));
      }
      continue;
    }
    std::vector<std::string> found;
    for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
      if (at->path().string().ends_with(kCases)) {
        found.push_back(at->path().string());
      }
    }
    if (error) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", path, error.message()));
    }
    std::ranges::sort(found);
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

struct Totals {
  std::size_t cases = 0, failed = 0;
  bool broken = false;
};

Result<void> run_file(const std::string& path, bool update, const prepper::Mappings& mappings,
                      Totals& totals) {
  NARU_TRY(golden::Cases cases, config::load_file<golden::Cases>(path));
  const std::string pipeline = path.substr(0, path.size() - kCases.size()) + ".yaml";
  NARU_TRY(const std::string text, config::read_config_file(pipeline));
  std::vector<golden::Outcome> outcomes;
  for (const golden::Case& one : cases.cases) {
    NARU_TRY(golden::Outcome outcome, golden::run_case(pipeline, text, one, mappings));
    ++totals.cases;
    if (const std::string differs = golden::differences(one, outcome); !differs.empty() && !update) {
      ++totals.failed;
      fmt::print("{}: {}: failed (- expected, + got)\n{}", path, one.name, differs);
    }
    outcomes.push_back(std::move(outcome));
  }
  if (update) {
    std::ofstream out(path, std::ios::trunc);
    out << golden::to_yaml(cases, outcomes);
    if (!out.flush()) {
      return fail(ErrorCode::kIo, fmt::format("{} cannot be written", path));
    }
    fmt::print("{}: {} cases written; look at them before you keep them\n", path, cases.cases.size());
  }
  return {};
}

}  // namespace

void add_flags(CLI::App& app, TestOptions& options) {
  app.add_option("paths", options.paths, "directories of pipelines, pipelines, or their .test.yaml files")
      ->required();
  app.add_flag("--update", options.update, "write what comes out as what is expected");
  app.add_option("--mappings", options.mappings_dir,
                 "directory of index templates (default: those of the program)");
}

int run_test(const TestOptions& options) {
  const auto mappings = prepper::load_mappings(options.mappings_dir);
  const auto files = case_files(options.paths);
  if (!mappings || !files) {
    fmt::print(stderr, "naru test: {}\n", mappings ? files.error().message() : mappings.error().message());
    return program::kExitUsage;
  }
  Totals totals;
  for (const std::string& path : *files) {
    if (const Result<void> ran = run_file(path, options.update, *mappings, totals); !ran) {
      fmt::print(stderr, "naru test: {}: {}\n", path, ran.error().message());
      totals.broken = true;
    }
  }
  if (totals.cases == 0 && !totals.broken) {
    fmt::print(stderr, "naru test: there is no NAME.test.yaml in there\n");
    totals.broken = true;
  }
  fmt::print("{} cases, {} failed\n", totals.cases, totals.failed);
  return totals.broken ? program::kExitUsage : totals.failed > 0 ? program::kExitFailure : program::kExitDone;
}

}  // namespace naru
