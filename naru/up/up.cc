#include "naru/up/up.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "core/program/service.h"
#include "naru/up/platform.h"
#include "naru/up/progress.h"

namespace naru {
namespace {

constexpr std::chrono::milliseconds kRefresh{1'000};
constexpr int kLinesApart = 10;  // refreshes between two lines when stderr is no terminal

// One line that is rewritten in place on a terminal, and an occasional plain line elsewhere.
class LiveLine {
 public:
  void show(const std::string& text) {
    if (terminal_) {
      fmt::print(stderr, "\r\033[K{}", text);
    } else if (++skipped_ >= kLinesApart || first_) {
      fmt::print(stderr, "{}\n", text);
      skipped_ = 0;
      first_ = false;
    }
    std::fflush(stderr);
  }
  void end() const {
    if (terminal_) {
      fmt::print(stderr, "\n");
    }
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  int skipped_ = 0;
  bool first_ = true;
};

}  // namespace

int run_up(UpOptions given, const program::StopSignals& signals) {
  const auto fail_with = [](const Error& error) {
    fmt::print(stderr, "naru up: {}\n", error.message());
    return program::exit_code(error);
  };
  auto options = resolve(std::move(given));
  if (!options) {
    return fail_with(options.error());
  }
  auto platform = Platform::start(*options);
  if (!platform) {
    return fail_with(platform.error());
  }
  for (const Endpoint& endpoint : (*platform)->endpoints()) {
    fmt::print("listening {} {}\n", endpoint.what, endpoint.address);
  }
  fmt::print("ready\n");
  std::fflush(stdout);

  LiveLine line;
  ProgressSample before = (*platform)->progress();
  while (!signals.wait(kRefresh)) {
    const ProgressSample now = (*platform)->progress();
    line.show(format_progress(before, now));
    before = now;
  }
  signals.exit_on_next();
  line.end();
  fmt::print(stderr,
             "stopping: finishing what is in flight, at most {} s; press Ctrl-C again to end at once\n",
             program::kDrainLimit.count() / 1000);
  const std::string left = (*platform)->stop(program::kDrainLimit);
  fmt::print(stderr, "stopped: {}\n", left);
  return program::kExitDone;
}

}  // namespace naru
