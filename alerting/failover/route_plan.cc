#include "alerting/failover/route_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/json_text.h"

namespace naru::alerting {
namespace {

constexpr UnixNanos kHour = 3600 * kNanosPerSecond;

}  // namespace

RoutePlan::RoutePlan(TargetConfig config)
    : config_(std::move(config)), watched_(config_.routes.size()), health_(config_.routes.size()) {
  state_.target = config_.name;
  for (std::size_t i = 0; i < config_.routes.size(); ++i) {
    watched_[i].target = i == 0 && config_.routes[i].watch.empty() ? config_.name : config_.routes[i].watch;
    health_[i].probed = !config_.routes[i].probe.empty();
    // Not known before it was probed: a route that nobody saw well takes no traffic over.
    health_[i].healthy = !health_[i].probed;
  }
}

void RoutePlan::restore(RouteState state, std::string_view active, std::string_view shift_to) {
  state_ = std::move(state);
  std::optional<std::string> gone;
  state_.active = find(active, gone).value_or(0);
  const std::optional<std::size_t> shifted = find(shift_to, gone);
  if (!shifted || *shifted == state_.active) {
    state_.shift_percent = 0;
  }
  state_.shift_to = shifted.value_or(0);
}

bool RoutePlan::watches(std::string_view target) const {
  return std::ranges::any_of(watched_, [&](const Watched& one) { return one.target == target; });
}

void RoutePlan::status_changed(std::string_view target, Status status, std::uint64_t records, UnixNanos at) {
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    if (watched_[i].target == target && !target.empty()) {
      watched_[i].status = status;
      watched_[i].records = records;
      if (status != Status::kCritical) {
        state_.acted.erase(config_.routes[i].name);
      }
      note_well(i, at);
    }
  }
}

bool RoutePlan::probed(std::size_t route, bool well, UnixNanos now) {
  RouteHealth& health = health_[route];
  if (well == health.healthy) {
    health.in_a_row = 0;
    return false;
  }
  if (++health.in_a_row < (well ? config_.probe_healthy_after : config_.probe_failed_after)) {
    return false;
  }
  health.healthy = well;
  health.in_a_row = 0;
  note_well(route, now);
  return true;
}

void RoutePlan::note_well(std::size_t route, UnixNanos now) {
  if (!eligible(route) || watched_[route].status != Status::kHealthy) {
    watched_[route].well_since = 0;
  } else if (watched_[route].well_since == 0) {
    watched_[route].well_since = now;
  }
}

bool RoutePlan::eligible(std::size_t route) const {
  return watched_[route].status != Status::kCritical && health_[route].healthy;
}

std::optional<std::string> RoutePlan::guard(UnixNanos now) const {
  if (state_.locked) {
    return fmt::format("locked by {}", state_.locked_by.empty() ? "a person" : state_.locked_by);
  }
  if (state_.at != 0 && now < state_.at + to_nanos(config_.hold)) {
    return fmt::format("the last switch is {} s old, hold is {} s", (now - state_.at) / kNanosPerSecond,
                       config_.hold.count());
  }
  const auto recent = std::ranges::count_if(state_.switches, [&](UnixNanos at) { return at + kHour > now; });
  if (static_cast<std::uint64_t>(recent) >= config_.switches_per_hour_max) {
    return fmt::format("{} switches in the last hour, the limit is {}", recent,
                       config_.switches_per_hour_max);
  }
  return std::nullopt;
}

RouteChange RoutePlan::move(std::size_t to, std::string reason, UnixNanos now) {
  RouteChange change{.target = config_.name,
                     .from = config_.routes[state_.active].name,
                     .to = config_.routes[to].name,
                     .dry_run = config_.dry_run,
                     .reason = std::move(reason),
                     .at = now};
  if (!config_.dry_run) {
    state_.active = to;
    state_.shift_percent = 0;
    state_.at = now;
    state_.reason = change.reason;
    std::erase_if(state_.switches, [&](UnixNanos at) { return at + kHour <= now; });
    state_.switches.push_back(now);
  }
  return change;
}

std::optional<RouteChange> RoutePlan::step(UnixNanos now) {
  held_.clear();
  const Watched& active = watched_[state_.active];
  const bool bad = active.status == Status::kCritical;
  std::optional<std::size_t> to;
  std::string reason;
  if (bad && state_.acted.contains(config_.routes[state_.active].name)) {
    held_ = "the route was left for this trouble before and a person took it back; it is not left twice";
    return std::nullopt;
  }
  if (bad) {
    for (std::size_t i = 0; i < config_.routes.size() && !to; ++i) {
      if (i != state_.active && eligible(i)) {
        to = i;
      }
    }
    reason = fmt::format("{} is CRITICAL", active.target);
    if (!to) {
      held_ = "no other route is well";
      return std::nullopt;
    }
    if (active.records != 0 && active.records < config_.minimum_evidence) {
      held_ = fmt::format("{} records are less evidence than the {} that are wanted", active.records,
                          config_.minimum_evidence);
      return std::nullopt;
    }
  } else if (config_.fail_back == FailBack::kAutomatic) {
    for (std::size_t i = 0; i < state_.active && !to; ++i) {
      if (watched_[i].well_since == 0 && eligible(i)) {
        note_well(i, now);  // after a restart: its time begins now
      }
      if (eligible(i) && watched_[i].status == Status::kHealthy &&
          now >= std::max(watched_[i].well_since, state_.at) + to_nanos(config_.fail_back_after)) {
        to = i;
      }
    }
    reason = fmt::format("well again for {} s", config_.fail_back_after.count());
  }
  if (!to) {
    told_dry_run_.clear();
    return std::nullopt;
  }
  if (const std::optional<std::string> why = guard(now)) {
    held_ = *why;
    return std::nullopt;
  }
  if (config_.dry_run) {
    const std::string tell = config_.routes[*to].name + reason;
    if (std::exchange(told_dry_run_, tell) == tell) {
      return std::nullopt;
    }
  }
  if (bad && !config_.dry_run) {
    state_.acted.insert(config_.routes[state_.active].name);
  }
  return move(*to, std::move(reason), now);
}

std::optional<std::size_t> RoutePlan::find(std::string_view route,
                                           std::optional<std::string>& problem) const {
  const auto found = std::ranges::find(config_.routes, route, &RouteConfig::name);
  if (found != config_.routes.end()) {
    return static_cast<std::size_t>(found - config_.routes.begin());
  }
  std::string names;
  for (const RouteConfig& one : config_.routes) {
    names += (names.empty() ? "" : ", ") + one.name;
  }
  problem = fmt::format("target {} has no route '{}'; there are {}", config_.name, route, names);
  return std::nullopt;
}

std::optional<std::string> RoutePlan::set(std::string_view route, std::string_view reason, UnixNanos now,
                                          std::optional<RouteChange>& out) {
  std::optional<std::string> problem;
  const std::optional<std::size_t> to = find(route, problem);
  if (!to) {
    return problem;
  }
  state_.shift_percent = 0;
  if (*to != state_.active) {
    out = move(*to, std::string(reason), now);
  }
  return std::nullopt;
}

std::optional<std::string> RoutePlan::shift(std::string_view route, unsigned percent, std::string_view reason,
                                            UnixNanos now, std::optional<RouteChange>& out) {
  std::optional<std::string> problem;
  const std::optional<std::size_t> to = find(route, problem);
  if (!to) {
    return problem;
  }
  if (percent > 100) {
    return fmt::format("{} % is more than all; give 0 to 100", percent);
  }
  if (percent == 100) {
    return set(route, reason, now, out);
  }
  if (*to == state_.active && percent > 0) {
    return fmt::format("{} is the active route of {} already; give the route to move to", route,
                       config_.name);
  }
  if (percent > 0 && !eligible(*to)) {
    return fmt::format("route {} is not well: its status is {}{}", route, to_string(status_of(*to)),
                       health_[*to].healthy ? "" : ", and its probe does not answer");
  }
  if (!config_.dry_run) {
    state_.shift_to = *to;
    state_.shift_percent = percent;
    state_.reason = reason;
  }
  return std::nullopt;
}

std::string RoutePlan::take_back() {
  if (state_.shift_percent == 0 || eligible(state_.shift_to)) {
    return {};
  }
  state_.shift_percent = 0;
  state_.reason = fmt::format("the planned move to {} is taken back: it is not well",
                              config_.routes[state_.shift_to].name);
  return state_.reason;
}

std::string to_json(const RoutePlan& plan, Status status) {
  const TargetConfig& config = plan.config();
  const RouteState& state = plan.state();
  std::string out = "{\"target\":";
  append_json_string(out, config.name);
  out += ",\"active\":";
  append_json_string(out, config.routes[state.active].name);
  out += ",\"routes\":[";
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    out += i == 0 ? "{\"name\":" : ",{\"name\":";
    append_json_string(out, config.routes[i].name);
    out += ",\"url\":";
    append_json_string(out, config.routes[i].url);
    const bool healthy = plan.health_of(i).healthy && plan.status_of(i) != Status::kCritical;
    out += fmt::format(R"(,"healthy":{}}})", healthy);
  }
  out += fmt::format(R"(],"status":"{}","epoch":{},"sequence":{},"reason":)", to_string(status),
                     state.version.epoch, state.version.sequence);
  append_json_string(out, state.reason);
  out += fmt::format(R"(,"at":"{}","locked":{},"dryRun":{})", format_rfc3339(state.at), state.locked,
                     config.dry_run);
  if (state.shift_percent > 0) {
    out += ",\"shift\":{\"to\":";
    append_json_string(out, config.routes[state.shift_to].name);
    out += fmt::format(",\"percent\":{}}}", state.shift_percent);
  }
  if (!plan.held().empty()) {
    out += ",\"held\":";
    append_json_string(out, plan.held());
  }
  out += ",\"switches\":[";
  for (std::size_t i = 0; i < state.switches.size(); ++i) {
    out += fmt::format("{}{}", i == 0 ? "" : ",", state.switches[i]);
  }
  out += "],\"acted\":[";
  for (bool first = true; const std::string& route : state.acted) {
    out += std::exchange(first, false) ? "" : ",";
    append_json_string(out, route);
  }
  return out + "]}";
}

}  // namespace naru::alerting
