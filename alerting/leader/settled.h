// What is true now, for those who ask: written by the leader after each commit, read by HTTP threads.
//
// Thread-safe. A standby, or a leader that has not moved for kFresh, answers nothing: it may have been
// replaced.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "alerting/decide/decider.h"
#include "core/net/http.h"

namespace naru::alerting {

class Settled {
 public:
  static constexpr std::uint64_t kFresh = 3 * kNanosPerSecond;

  explicit Settled(std::size_t waiting_max) : waiting_max_(waiting_max) {}
  ~Settled() { resign(); }

  struct Route {
    std::string json;
    Version version;
  };
  // Everything anew, at the beginning of a term.
  void lead(const Decider& decider, std::uint64_t epoch);
  // What changed; answers who waits for it.
  void update(const Decider& decider, const Decisions& decisions);
  void resign();
  // The leader is alive; answers whose time to wait is over.
  void beat(std::string blind);
  bool leads() const;

  // GET /v1/routes/{target}?wait=30s, If-None-Match: 200 with ETag, 304, 404, 503.
  void route(const std::string& target, std::string_view etag, std::chrono::milliseconds wait,
             net::Responder respond);
  // {"targets":[{"target","status","since","reason","source","blind"}]}; nullopt: not the leader.
  std::optional<std::string> statuses() const;
  std::optional<std::string> status(std::string_view target) const;
  // {"targets":[...],"routes":[...],"history":[...],"blind":"...","epoch":n}: for the console.
  std::optional<std::string> overview() const;

 private:
  struct Waiter {
    std::string target;
    std::uint64_t deadline;  // monotonic
    net::Responder respond;
  };
  static std::string etag_of(const Version& version);
  net::HttpResponse route_response(const Route& route) const;
  std::string status_json(const std::string& target, const TargetState& state) const;

  const std::size_t waiting_max_;
  mutable std::mutex mutex_;
  std::atomic<std::uint64_t> beat_{0};  // monotonic; 0: does not lead
  std::uint64_t epoch_ = 0;
  std::map<std::string, Route, std::less<>> routes_;
  std::map<std::string, TargetState, std::less<>> statuses_;
  std::deque<HistoryEntry> history_;
  std::string blind_;
  std::list<Waiter> waiting_;
};

}  // namespace naru::alerting
