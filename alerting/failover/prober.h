// Asks the routes of all targets whether they are well, each on its own schedule, on threads of its own: one
// that does not answer holds up its own target only.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "alerting/failover/route_plan.h"
#include "core/base/periodic.h"
#include "core/base/result.h"

namespace naru::alerting {

// http(s)://: answered with 2xx or 3xx. tcp://host:port: a connection is taken.
Result<void> probe(const std::string& address, std::chrono::milliseconds timeout);
Result<void> check_probe_address(const std::string& address);

class Prober {
 public:
  // Called on any of its threads, once for each probe.
  using Told = std::function<void(const std::string& target, std::size_t route, bool well, std::string why)>;
  Prober(const std::vector<TargetConfig>& targets, Told told);
  ~Prober();

 private:
  void look_at(const TargetConfig& target) const;
  const std::vector<TargetConfig> targets_;
  const Told told_;
  std::deque<Periodic> looks_;  // one for each target with a probe
};

}  // namespace naru::alerting
