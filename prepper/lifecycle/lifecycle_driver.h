// Carries out the lifecycle of our indices: looks at the cluster every so often, plans (lifecycle_plan.h),
// acts, logs and counts.
//
// Every prepper runs one; the one that the bus assigns the partition of `naru.leader` to acts, the others
// wait. A leader that was stopped and goes on beside its successor does no harm: steps follow from names and
// states alone. Where ISM is installed (and `driver` allows it) it only creates indices ahead. Threads: one
// of its own.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "core/base/clock.h"
#include "core/bus/bus.h"
#include "core/net/http.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"
#include "prepper/declaration/datasets.h"
#include "prepper/lifecycle/lifecycle_plan.h"

namespace naru::prepper {

inline constexpr std::string_view kLeaderTopic = "naru.leader";

// What is there already, or gone already, is done. Other errors: OpenSearch did not answer, or refuses.
Result<void> carry_out(net::HttpTransport& opensearch, const LifecycleStep& step);

class LifecycleDriver {
 public:
  // The references must outlive this. `group`: drivers of one cluster share it.
  LifecycleDriver(Datasets declared, std::string group, bus::Bus& bus,
                  std::unique_ptr<net::HttpTransport> opensearch, telemetry::Registry& registry,
                  telemetry::Health& health, std::function<UnixNanos()> now = wall_now);
  ~LifecycleDriver();  // stops

  void start();
  void stop();

 private:
  class Leadership;
  void run();
  Result<void> join();
  // Also keeps the group's membership. False: the rest of a plan waits, this is not the leader any more or it
  // stops.
  bool leads(std::chrono::milliseconds wait);
  void look();
  void carry_out_and_count(const LifecycleStep& step);
  void say(const std::string& warning);
  telemetry::Counter looks(const char* outcome) const;
  telemetry::Counter steps(LifecycleAction action, const char* outcome) const;

  Datasets declared_;
  std::string group_;
  bus::Bus& bus_;
  std::unique_ptr<net::HttpTransport> opensearch_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;
  std::function<UnixNanos()> now_;
  telemetry::Gauge leader_, blocked_;
  std::map<LifecyclePhase, telemetry::Gauge> phases_;

  // On the driver's thread, all of these.
  std::unique_ptr<Leadership> leadership_;
  std::unique_ptr<bus::Consumer> consumer_;
  std::uint64_t succeeded_at_ = 0;             // the last look that was not blocked
  std::map<std::string, std::uint64_t> said_;  // warnings, and when they were logged

  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace naru::prepper
