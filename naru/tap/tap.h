// `naru tap`: live records before and after a step of a running pipeline.
#pragma once

#include <cstdint>
#include <string>

#include "core/program/stop_signals.h"

namespace CLI {
class App;
}

namespace naru {

struct TapOptions {
  std::string target;  // PIPELINE or PIPELINE.STEP
  std::string admin = "127.0.0.1:8082";
  std::string when;
  std::uint64_t count = 0;  // 0: until a signal
};
void add_flags(CLI::App& app, TapOptions& options);
// A JSON line for each record on the output. Exit 0: `count` were shown, or a signal. 1: the prepper is away.
// 2: usage.
int run_tap(const TapOptions& options, const program::StopSignals& signals);

}  // namespace naru
