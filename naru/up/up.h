// `naru up`: starts the platform, shows its live line, drains on a signal.
#pragma once

#include "core/program/stop_signals.h"
#include "naru/up/options.h"

namespace naru {

// Returns the exit code.
int run_up(UpOptions options, const program::StopSignals& signals);

}  // namespace naru
