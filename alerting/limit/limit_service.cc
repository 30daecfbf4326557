#include "alerting/limit/limit_service.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/clock.h"

namespace naru::alerting {
namespace {

constexpr std::chrono::milliseconds kLook{5};

net::HttpResponse error_response(int status, std::string_view sentence) {
  return net::json_response(status, fmt::format("{{\"error\":\"{}\"}}\n", sentence));
}

net::HttpResponse granted_response(std::uint64_t granted) {
  return net::json_response(
      200, fmt::format("{{\"granted\":{},\"leaseMs\":{}}}\n", granted, LimitService::kLease.count()));
}

}  // namespace

LimitService::LimitService(std::size_t waiting_max, telemetry::Registry& registry)
    : waiting_max_(waiting_max), registry_(registry), thread_([this] { run(); }) {}

LimitService::~LimitService() {
  resign();
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

LimitService::Limit LimitService::make(const std::string& name, double per_second, std::uint64_t full_at) {
  const telemetry::Labels labels = {{"limit", name}};
  return {Limiter(per_second, full_at),
          {},
          registry_.counter("naru_limit_granted_total", "Permits that were granted.", labels),
          registry_.counter("naru_limit_refused_total", "Requests for permits that timed out.", labels)};
}

void LimitService::lead(const std::map<std::string, double>& rates) {
  const std::lock_guard lock(mutex_);
  limits_.clear();
  for (const auto& [name, per_second] : rates) {
    limits_.emplace(name, make(name, per_second, monotonic_now()));
  }
  leading_ = true;
}

void LimitService::resign() {
  std::vector<Waiter> left;
  {
    const std::lock_guard lock(mutex_);
    leading_ = false;
    for (auto& [name, limit] : limits_) {
      for (Waiter& waiter : limit.waiting) {
        left.push_back(std::move(waiter));
      }
      limit.waiting.clear();
    }
    waiting_ = 0;
  }
  for (Waiter& waiter : left) {
    waiter.respond(error_response(503, "this instance leads no more; ask another"));
  }
}

void LimitService::set_rate(const std::string& name, double per_second) {
  const std::lock_guard lock(mutex_);
  if (const auto found = limits_.find(name); found != limits_.end()) {
    found->second.limiter.set_rate(per_second);
  } else {
    limits_.emplace(name, make(name, per_second, 0));
  }
  wake_.notify_all();
}

std::map<std::string, double> LimitService::rates() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, double> out;
  for (const auto& [name, limit] : limits_) {
    out.emplace(name, limit.limiter.rate());
  }
  return out;
}

void LimitService::acquire(const std::string& name, const std::string& body, net::Responder respond) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  std::uint64_t permits = 1, wait_ms = 0;
  if (!body.empty() && parser.parse(body.data(), body.size()).get(object) != simdjson::SUCCESS) {
    respond(error_response(400, "the body is no JSON object"));
    return;
  }
  if (!body.empty()) {
    const auto permits_read = object["permits"].get(permits);
    const auto wait_read = object["waitMs"].get(wait_ms);
    const auto bad = [](simdjson::error_code code) {
      return code != simdjson::SUCCESS && code != simdjson::NO_SUCH_FIELD;
    };
    if (bad(permits_read) || bad(wait_read) || permits == 0 ||
        wait_ms > static_cast<std::uint64_t>(kWaitMax.count())) {
      respond(error_response(400, "permits is a whole number from 1 on, waitMs one up to 5000"));
      return;
    }
  }
  std::unique_lock lock(mutex_);
  const auto found = limits_.find(name);
  const int refused = !leading_ || waiting_ >= waiting_max_ ? 503 : found == limits_.end() ? 404 : 0;
  if (refused != 0) {
    const bool full = leading_ && refused == 503;
    lock.unlock();
    respond(error_response(refused, refused == 404 ? "there is no such limit"
                                    : full         ? "too many wait for permits"
                                                   : "this instance does not lead; ask another"));
    return;
  }
  Limit& limit = found->second;
  const std::uint64_t now = monotonic_now();
  const std::uint64_t granted = limit.waiting.empty() ? limit.limiter.take(permits, now) : 0;
  if (granted > 0 || wait_ms == 0) {
    if (granted > 0) {
      limit.granted.add(granted);
    } else {
      limit.refused.add();
    }
    lock.unlock();
    respond(granted > 0 ? granted_response(granted) : error_response(429, "no permit now"));
    return;
  }
  ++waiting_;
  limit.waiting.push_back({permits, now + wait_ms * kNanosPerMilli, std::move(respond)});
  wake_.notify_all();
}

bool LimitService::try_acquire(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = limits_.find(name);
  if (found == limits_.end()) {
    return true;
  }
  const bool granted = found->second.waiting.empty() && found->second.limiter.take(1, monotonic_now()) > 0;
  if (granted) {
    found->second.granted.add();
  }
  return granted;
}

void LimitService::serve(Limit& limit, std::uint64_t now,
                         std::vector<std::pair<net::Responder, net::HttpResponse>>& answers) {
  while (!limit.waiting.empty()) {
    Waiter& first = limit.waiting.front();
    if (const std::uint64_t granted = limit.limiter.take(first.permits, now); granted > 0) {
      limit.granted.add(granted);
      answers.emplace_back(std::move(first.respond), granted_response(granted));
    } else if (now >= first.deadline) {
      limit.refused.add();
      answers.emplace_back(std::move(first.respond), error_response(429, "no permit in time"));
    } else {
      break;
    }
    limit.waiting.pop_front();
    --waiting_;
  }
  // Those behind the first may have less time than it has.
  for (auto at = limit.waiting.begin(); at != limit.waiting.end();) {
    if (now < at->deadline) {
      ++at;
      continue;
    }
    limit.refused.add();
    answers.emplace_back(std::move(at->respond), error_response(429, "no permit in time"));
    at = limit.waiting.erase(at);
    --waiting_;
  }
}

void LimitService::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (waiting_ == 0) {
      wake_.wait(lock, [this] { return stop_ || waiting_ > 0; });
      continue;
    }
    std::vector<std::pair<net::Responder, net::HttpResponse>> answers;
    const std::uint64_t now = monotonic_now();
    for (auto& [name, limit] : limits_) {
      serve(limit, now, answers);
    }
    lock.unlock();
    for (auto& [respond, response] : answers) {
      respond(std::move(response));
    }
    lock.lock();
    wake_.wait_for(lock, kLook, [this] { return stop_; });
  }
}

}  // namespace naru::alerting
