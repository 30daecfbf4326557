// SIGINT and SIGTERM as a thing to wait for.
#pragma once

#include <chrono>

namespace naru::program {

// Construct first in main, before any thread: blocks the signals for the whole process and ignores SIGPIPE.
// One object a process.
class StopSignals {
 public:
  StopSignals();
  // True when a signal arrived within `limit`.
  bool wait(std::chrono::milliseconds limit) const;
  // From now on the next signal ends the process at once with exit code 1: the person does not want to wait
  // for the drain.
  void exit_on_next() const;
};

}  // namespace naru::program
