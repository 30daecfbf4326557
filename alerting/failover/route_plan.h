// Which route of a target is in use: a pure state machine, step(event, now) -> what changes.
//
// A target has ordered routes; each may watch a status (a target of the status board) and an active probe.
// The route in use is left when its watched status is CRITICAL, for the first other route that is eligible,
// unless a guard holds. It is level-triggered on states and edge-triggered in effect: nothing repeated, late
// or stopped in between makes a second switch for the same cause. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/status/status.h"
#include "core/base/clock.h"

namespace naru::alerting {

enum class FailBack : std::uint8_t { kNever, kManual, kAutomatic };

struct RouteConfig {
  std::string name;
  std::string url;
  std::string watch;  // target whose status is this route's; empty: the first route watches the target itself
  std::string probe;  // http://, https:// or tcp:// address that answers while the route is well; empty: none
};

struct EffectConfig {
  std::string file;                  // the active route as JSON, replaced atomically
  std::string webhook;               // the same JSON posted
  std::string webhook_limit;         // name of a limit that its calls keep; empty: none
  std::vector<std::string> command;  // argv; labels are in its environment only
  std::chrono::milliseconds timeout{5'000};
};

struct TargetConfig {
  std::string name;
  std::vector<RouteConfig> routes;
  std::uint64_t minimum_evidence =
      0;                          // records that a rule must have seen; others' alerts have no such number
  std::chrono::seconds hold{30};  // least time between two switches
  std::uint32_t switches_per_hour_max = 4;
  FailBack fail_back = FailBack::kManual;
  std::chrono::seconds fail_back_after{300};  // automatic: a better route must be well for so long
  std::chrono::milliseconds probe_every{1'000};
  std::uint32_t probe_healthy_after = 3;  // answers in a row
  std::uint32_t probe_failed_after = 2;
  bool dry_run = false;  // decides and tells, changes nothing
  EffectConfig effects;
};

struct RouteHealth {
  bool probed = false;  // there is a probe
  bool healthy = true;  // by the probe; without one: true
  std::uint32_t in_a_row = 0;
};

// What is kept of a target.
struct RouteState {
  std::string target;
  std::size_t active = 0;  // into routes
  bool locked = false;     // by a person
  std::string locked_by;
  UnixNanos at = 0;  // of the last switch
  std::string reason;
  Version version;
  std::deque<UnixNanos> switches;  // of the last hour, oldest first
  std::set<std::string> acted;     // routes that were left because of a CRITICAL that still lasts
  // A planned move: so much of the traffic goes to another route already. 0: none; a switch ends it.
  std::size_t shift_to = 0;
  unsigned shift_percent = 0;
};

struct RouteChange {
  std::string target;
  std::string from, to;
  bool dry_run = false;
  std::string reason;
  UnixNanos at = 0;
};

class RoutePlan {
 public:
  explicit RoutePlan(TargetConfig config);

  const TargetConfig& config() const { return config_; }
  const RouteState& state() const { return state_; }
  // `active`: the name of a route; one that there is none of any more means the first.
  void restore(RouteState state, std::string_view active, std::string_view shift_to = {});

  // Whether this target looks at that status.
  bool watches(std::string_view target) const;
  // `records`: of the evidence; 0: not known.
  void status_changed(std::string_view target, Status status, std::uint64_t records, UnixNanos at);
  // Outcome of one probe. True: the route's health changed.
  bool probed(std::size_t route, bool well, UnixNanos now);

  // What is due now. Called after every event, and once a second. Changes the state.
  std::optional<RouteChange> step(UnixNanos now);
  // Why a switch that is wanted does not happen; empty: none is wanted or it happened.
  const std::string& held() const { return held_; }

  // A person's word. The error names what is not there, or why it is refused.
  std::optional<std::string> set(std::string_view route, std::string_view reason, UnixNanos now,
                                 std::optional<RouteChange>& out);
  // So much of the traffic to another route; 0 takes it back, 100 is set(). The error as there.
  std::optional<std::string> shift(std::string_view route, unsigned percent, std::string_view reason,
                                   UnixNanos now, std::optional<RouteChange>& out);
  // Why a planned move was taken back since the last call; empty: it was not.
  std::string take_back();
  void lock(bool locked, std::string_view who) {
    state_.locked = locked;
    state_.locked_by = who;
  }
  void published(const Version& version) { state_.version = version; }

  // The target whose status is that of the route; empty: none.
  const std::string& watched(std::size_t route) const { return watched_[route].target; }
  Status status_of(std::size_t route) const { return watched_[route].status; }
  const RouteHealth& health_of(std::size_t route) const { return health_[route]; }

 private:
  struct Watched {
    std::string target;
    Status status = Status::kHealthy;
    std::uint64_t records = 0;
    UnixNanos well_since = 0;  // HEALTHY, and its probe answers; 0: not so
  };
  bool eligible(std::size_t route) const;
  // The number of a route; otherwise a sentence in `problem`.
  std::optional<std::size_t> find(std::string_view route, std::optional<std::string>& problem) const;
  void note_well(std::size_t route, UnixNanos now);
  std::optional<std::string> guard(UnixNanos now) const;
  RouteChange move(std::size_t to, std::string reason, UnixNanos now);

  const TargetConfig config_;
  RouteState state_;
  std::vector<Watched> watched_;
  std::vector<RouteHealth> health_;
  std::string held_;
  std::string told_dry_run_;  // what a dry run told last
};

// {"target","active","routes":[{"name","url","healthy"}],"status","epoch","sequence","reason","at", ...}
std::string to_json(const RoutePlan& plan, Status status);

}  // namespace naru::alerting
