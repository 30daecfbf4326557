// How every program of Naru reads its command line: one way to say the version and what is wrong.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

namespace naru::program {

// Adds --version, and reads the flags into what `app` binds them to. An exit code when the program ends here:
// help or the version was printed, or what is wrong was said to stderr.
std::optional<int> parse_flags(CLI::App& app, int argc, char** argv);

}  // namespace naru::program
