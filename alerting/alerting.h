// naru-alerting as a library: the leader on a thread of its own, and the HTTP API in front of it.
//
// A bus that is away is no error here: it is tried again, with a log line every 30 s,
// naru_dependency_up{name="bus"} 0 and /readyz red.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "alerting/config.h"
#include "alerting/leader/control_cluster.h"
#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/net/http.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class Alerting {
 public:
  // `clusters` carry the control topics, the preferred one first. What is referred to must outlive this.
  Alerting(AlertingConfig config, std::vector<ControlCluster> clusters, telemetry::Registry& registry,
           telemetry::Health& health);
  ~Alerting();  // stop()
  Alerting(const Alerting&) = delete;
  Alerting& operator=(const Alerting&) = delete;

  // Once. Does not wait for the bus. kInvalidArgument: rules or mappings that no checked configuration holds.
  Result<void> start();
  // Ends the term, leaves the group. Idempotent.
  void stop();
  bool leads() const;

  // The API (api/api.h). False: another target. Thread-safe.
  bool answer(net::HttpRequest& request, net::Responder& respond);

 private:
  struct Parts;
  void run();

  telemetry::Health& health_;
  std::unique_ptr<Parts> parts_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace naru::alerting
