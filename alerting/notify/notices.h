// Which messages people get: CRITICAL, and HEALTHY after CRITICAL, and every switch; grouped, each once, no
// more than they can read. A pure state machine: events and time in, messages out.
//
// Never in the way of a decision: it is told after the fact, and what it holds is bounded. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "alerting/decide/decider.h"

namespace naru::alerting {

struct NoticeConfig {
  std::chrono::milliseconds group_wait{500};   // what happens within it is one message
  std::chrono::seconds repeat_after{3600};     // the same status of the same target is told again after this
  std::uint32_t messages_per_minute_max = 20;  // beyond, changes wait and come as one message
  std::size_t lines_max = 20;                  // of one message; the rest is counted
  std::size_t pending_max = 1'000;
  std::string mention;                          // before CRITICAL: "<!here>", "@oncall"
  std::string console_url;                      // link in each message
  std::map<std::string, std::string> runbooks;  // by target; "" is for all others
};

struct NoticeLine {
  Status status = Status::kHealthy;
  std::string target;
  std::string text;     // one line
  std::string runbook;  // may be empty
  UnixNanos at = 0;
};

struct Notice {
  Status worst = Status::kHealthy;
  std::string mention;  // empty when nothing is CRITICAL
  std::vector<NoticeLine> lines;
  std::uint64_t left_out = 0;
  std::string console_url;

  std::string plain() const;  // for mail and generic webhooks
  std::string subject() const;
};

class Notices {
 public:
  explicit Notices(NoticeConfig config) : config_(std::move(config)) {}

  void tell(const StatusEvent& event, UnixNanos now);
  void tell(const RouteChange& change, UnixNanos now);
  bool due(UnixNanos now) const;
  // A message, when one is due.
  std::optional<Notice> take(UnixNanos now);
  std::size_t pending() const { return pending_.size(); }
  std::uint64_t dropped() const { return dropped_; }

 private:
  void add(NoticeLine line, UnixNanos now);

  const NoticeConfig config_;
  std::deque<NoticeLine> pending_;
  UnixNanos oldest_pending_ = 0;
  std::map<std::string, std::pair<Status, UnixNanos>> told_;  // by target
  std::deque<UnixNanos> sent_;                                // within the last minute
  std::uint64_t dropped_ = 0;
};

// {"text":...,"blocks":[...]} of a Slack-compatible incoming webhook (formats.md 2.11).
std::string slack_json(const Notice& notice);
// {"status","subject","text","lines":[{"target","status","text","at"}]}
std::string generic_json(const Notice& notice);

}  // namespace naru::alerting
