// The shared limiters behind /v1/limits: who asks waits in line, at most five seconds, for its permits.
//
// Thread-safe; one thread of its own grants. Only the leader grants: the sum over all callers keeps the rate.
#pragma once

#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "alerting/limit/limiter.h"
#include "core/net/http.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class LimitService {
 public:
  static constexpr std::chrono::milliseconds kWaitMax{5'000};
  static constexpr std::chrono::milliseconds kLease{1'000};

  LimitService(std::size_t waiting_max, telemetry::Registry& registry);
  ~LimitService();

  // Serves from now on with these rates. What a leader before granted in the last second counts.
  void lead(const std::map<std::string, double>& rates);
  // Answers everything that waits with 503.
  void resign();
  void set_rate(const std::string& name, double per_second);
  std::map<std::string, double> rates() const;

  // POST /v1/limits/{name}/acquire {"permits":n,"waitMs":m}: 200 {"granted":g,"leaseMs":1000}, g at least 1
  // and at most n; 429 when nothing could be granted in time; 404; 503: not the leader, or too many wait.
  void acquire(const std::string& name, const std::string& body, net::Responder respond);
  // For our own destinations: takes one if there is one now. True also for a limit that there is not.
  bool try_acquire(const std::string& name);

 private:
  struct Waiter {
    std::uint64_t permits;
    std::uint64_t deadline;  // monotonic
    net::Responder respond;
  };
  struct Limit {
    Limiter limiter;
    std::list<Waiter> waiting;
    telemetry::Counter granted, refused;
  };
  void run();
  // Answers who can be answered now; with mutex_ held. What is answered goes to `answers`.
  void serve(Limit& limit, std::uint64_t now,
             std::vector<std::pair<net::Responder, net::HttpResponse>>& answers);
  Limit make(const std::string& name, double per_second, std::uint64_t full_at);

  const std::size_t waiting_max_;
  telemetry::Registry& registry_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Limit> limits_;
  std::size_t waiting_ = 0;
  bool leading_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace naru::alerting
