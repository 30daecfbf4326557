#include "alerting/leader/settled.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json_text.h"

namespace naru::alerting {
namespace {

net::HttpResponse not_leading() {
  return net::json_response(503, "{\"error\":\"this instance does not lead; ask another\"}\n");
}

}  // namespace

std::string Settled::etag_of(const Version& version) {
  return fmt::format("\"{}.{}\"", version.epoch, version.sequence);
}

net::HttpResponse Settled::route_response(const Route& route) const {
  net::HttpResponse response = net::json_response(200, route.json + "\n");
  response.headers.set("ETag", etag_of(route.version));
  response.headers.set("Cache-Control", "no-cache");
  return response;
}

void Settled::lead(const Decider& decider, std::uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  epoch_ = epoch;
  routes_.clear();
  for (const auto& [name, plan] : decider.plans()) {
    routes_[name] = {decider.route_json(name), plan.state().version};
  }
  statuses_ = decider.board().targets();
  history_ = decider.history();
  beat_ = monotonic_now();
}

void Settled::update(const Decider& decider, const Decisions& decisions) {
  std::vector<std::pair<net::Responder, net::HttpResponse>> answers;
  {
    const std::lock_guard lock(mutex_);
    for (const StatusEvent& event : decisions.events) {
      statuses_[event.target] = decider.board().targets().at(event.target);
    }
    history_ = decider.history();
    for (const std::string& name : decisions.routes) {
      routes_[name] = {decider.route_json(name), decider.plan(name)->state().version};
    }
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      if (decisions.routes.contains(at->target)) {
        answers.emplace_back(std::move(at->respond), route_response(routes_.at(at->target)));
        at = waiting_.erase(at);
      } else {
        ++at;
      }
    }
  }
  for (auto& [respond, response] : answers) {
    respond(std::move(response));
  }
}

void Settled::resign() {
  std::list<Waiter> left;
  {
    const std::lock_guard lock(mutex_);
    beat_ = 0;
    left.swap(waiting_);
  }
  for (Waiter& waiter : left) {
    waiter.respond(not_leading());
  }
}

void Settled::beat(std::string blind) {
  std::vector<net::Responder> over;
  const std::uint64_t now = monotonic_now();
  {
    const std::lock_guard lock(mutex_);
    beat_ = now;
    blind_ = std::move(blind);
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      if (now >= at->deadline) {
        over.push_back(std::move(at->respond));
        at = waiting_.erase(at);
      } else {
        ++at;
      }
    }
  }
  for (net::Responder& respond : over) {
    net::HttpResponse response;
    response.status = 304;
    respond(std::move(response));
  }
}

bool Settled::leads() const {
  const std::uint64_t beat = beat_;
  return beat != 0 && monotonic_now() < beat + kFresh;
}

void Settled::route(const std::string& target, std::string_view etag, std::chrono::milliseconds wait,
                    net::Responder respond) {
  std::unique_lock lock(mutex_);
  net::HttpResponse response;
  if (!leads()) {
    response = not_leading();
  } else if (const auto found = routes_.find(target); found == routes_.end()) {
    response = net::json_response(404, "{\"error\":\"there is no such target with routes\"}\n");
  } else if (etag.empty() || etag != etag_of(found->second.version)) {
    response = route_response(found->second);
  } else if (wait.count() > 0 && waiting_.size() < waiting_max_) {
    waiting_.push_back({target, monotonic_now() + to_nanos(wait), std::move(respond)});
    return;
  } else {
    response.status = wait.count() > 0 ? 503 : 304;
  }
  lock.unlock();
  respond(std::move(response));
}

std::string Settled::status_json(const std::string& target, const TargetState& state) const {
  std::string out = "{\"target\":";
  append_json_string(out, target);
  out += fmt::format(R"(,"status":"{}","since":"{}","epoch":{},"sequence":{},"reason":)",
                     to_string(state.status), format_rfc3339(state.since), state.version.epoch,
                     state.version.sequence);
  append_json_string(out, state.reason);
  out += ",\"source\":";
  append_json_string(out, state.source);
  // Of a status that rules hold up nobody knows now whether it still is so.
  const bool blind = !blind_.empty() && state.source.starts_with("rule/");
  return out + fmt::format(R"(,"blind":{}}})", blind);
}

std::optional<std::string> Settled::statuses() const {
  const std::lock_guard lock(mutex_);
  if (!leads()) {
    return std::nullopt;
  }
  std::string out = "{\"targets\":[";
  for (bool first = true; const auto& [target, state] : statuses_) {
    out += std::exchange(first, false) ? "" : ",";
    out += status_json(target, state);
  }
  out += "],\"blind\":";
  append_json_string(out, blind_);
  return out + fmt::format(",\"epoch\":{}}}", epoch_);
}

std::optional<std::string> Settled::status(std::string_view target) const {
  const std::lock_guard lock(mutex_);
  if (!leads()) {
    return std::nullopt;
  }
  const auto found = statuses_.find(target);
  return status_json(std::string(target), found == statuses_.end() ? TargetState() : found->second);
}

std::optional<std::string> Settled::overview() const {
  std::optional<std::string> out = statuses();
  if (!out) {
    return out;
  }
  out->pop_back();
  const std::lock_guard lock(mutex_);
  *out += ",\"routes\":[";
  for (bool first = true; const auto& [target, route] : routes_) {
    *out += std::exchange(first, false) ? "" : ",";
    *out += route.json;
  }
  *out += "],\"history\":[";
  for (bool first = true; const HistoryEntry& entry : history_) {
    *out += std::exchange(first, false) ? "" : ",";
    *out += entry.json;
  }
  *out += "]}";
  return out;
}

}  // namespace naru::alerting
