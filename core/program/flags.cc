#include "core/program/flags.h"

#include <fmt/format.h>

#include <cctype>
#include <string>

#include "core/program/service.h"

namespace naru::program {
namespace {

std::string what_is_wrong(const CLI::App* app, const CLI::Error& error) {
  std::string text = error.what();
  if (!text.empty()) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  std::string name = app->get_name();  // with the verbs that were given
  for (auto verbs = app->get_subcommands(); !verbs.empty(); verbs = verbs.front()->get_subcommands()) {
    name += " " + verbs.front()->get_name();
  }
  return fmt::format("{}: {}; {} --help explains what there is\n", name, text, name);
}

}  // namespace

std::optional<int> parse_flags(CLI::App& app, int argc, char** argv) {
  app.set_version_flag("--version", std::string("naru ") + NARU_VERSION);
  app.failure_message(what_is_wrong);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  return std::nullopt;
}

}  // namespace naru::program
