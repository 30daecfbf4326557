// Rules and status events on a thread of their own, on any bus.
//
// The rules are RuleService's (rule_service.h); this adds the thread, the clock and the pauses after errors.
// A bus that is away is no error here: it is tried again, with a log line every 30 s,
// naru_dependency_up{name="bus"} 0 and /readyz red.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "alerting/config.h"
#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class RuleService;

class Alerting {
 public:
  // `bus`, `registry` and `health` must outlive this.
  Alerting(AlertingConfig config, bus::Bus& bus, telemetry::Registry& registry, telemetry::Health& health);
  ~Alerting();  // stop()
  Alerting(const Alerting&) = delete;
  Alerting& operator=(const Alerting&) = delete;

  // Once. Does not wait for the bus. kInvalidArgument: a rule that no loaded configuration could hold.
  Result<void> start();
  // Publishes what was decided (for at most 10 s), stores positions, leaves the group. Idempotent.
  void stop();
  // Status events that wait for the bus. Only after stop().
  std::size_t unpublished() const;

 private:
  void run();
  void pause_after_error();

  const AlertingConfig config_;
  bus::Bus& bus_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;
  std::unique_ptr<RuleService> service_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
  std::vector<std::shared_ptr<void>> tokens_;
};

}  // namespace naru::alerting
