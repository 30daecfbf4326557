// What happens outside when a route changed: a file, a command, a webhook. Each on a thread of its own, so
// that one that hangs holds up nothing else.
//
// Told only after the change is durable, with its epoch and sequence. Only the newest change of a target
// counts: one that was superseded before it ran is left out. An effect that fails is tried again, with a
// pause, until it succeeds or is superseded. Runs at least once: after a change of leaders it may run again
// for the same version, and the file and the command can refuse that by the version (docs/failover.md).
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "alerting/failover/route_plan.h"
#include "core/base/result.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

struct RouteTold {
  std::string target;
  std::string from;  // empty: not a switch, the route is only stated again
  std::string to;
  std::string url = {};  // of `to`
  std::string reason;
  std::string json = {};
  Version version = {};
};

// Replaces the file unless it holds a newer version. kConflict: it does.
Result<void> write_route_file(const std::string& path, const RouteTold& told);
// Executes argv with NARU_TARGET, NARU_ROUTE, NARU_URL, NARU_FROM, NARU_REASON, NARU_EPOCH and NARU_SEQUENCE
// in its environment; never a shell. kTimeout: it was killed after `timeout`. kIo: it ended with another code
// than 0, or could not be started.
Result<void> run_command(const std::vector<std::string>& argv, const RouteTold& told,
                         std::chrono::milliseconds timeout);

// One effect with its thread and its newest task.
class Effect {
 public:
  using Run = std::function<Result<void>(const RouteTold&)>;
  // `may_run`: asked right before each try; false drops the task.
  Effect(std::string kind, std::string target, Run run, std::function<bool()> may_run,
         telemetry::Registry& registry);
  ~Effect();

  void tell(RouteTold told);

 private:
  void work();

  const std::string kind_, target_;
  const Run run_;
  const std::function<bool()> may_run_;
  telemetry::Counter done_, failed_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<RouteTold> next_;
  bool stop_ = false;
  std::thread thread_;
};

// Those of a target. `permits`: takes one of a named limit if there is one now.
std::vector<std::unique_ptr<Effect>> make_effects(const TargetConfig& target, std::function<bool()> may_run,
                                                  std::function<bool(const std::string&)> permits,
                                                  telemetry::Registry& registry);

}  // namespace naru::alerting
