#include "core/program/stop_signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace naru::program {
namespace {

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_set();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool StopSignals::wait(std::chrono::milliseconds limit) const {
  const sigset_t set = stop_set();
  const timespec timeout{.tv_sec = limit.count() / 1000, .tv_nsec = limit.count() % 1000 * 1'000'000};
  return sigtimedwait(&set, nullptr, &timeout) > 0;
}

void StopSignals::exit_on_next() const {
  std::thread([] {
    const sigset_t set = stop_set();
    int signal = 0;
    sigwait(&set, &signal);
    _exit(1);
  }).detach();
}

}  // namespace naru::program
