#include "alerting/alerting.h"

#include <utility>

#include "alerting/rule_service.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

constexpr std::chrono::milliseconds kPollWait{100};
constexpr std::chrono::milliseconds kPauseAfterError{1'000};
constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;
constexpr std::uint64_t kPublishAtStop = 10 * kNanosPerSecond;

}  // namespace

Alerting::Alerting(AlertingConfig config, bus::Bus& bus, telemetry::Registry& registry,
                   telemetry::Health& health)
    : config_(std::move(config)), bus_(bus), registry_(registry), health_(health) {}

Alerting::~Alerting() {
  stop();
}

Result<void> Alerting::start() {
  NARU_CHECK(service_ == nullptr, "started once");
  NARU_TRY(service_, RuleService::make(config_, bus_, registry_, health_));
  health_.set_dependency("bus", false, "has not answered yet");
  const auto lag = [service = service_.get(), started = wall_now()] {
    const UnixNanos read_to = std::max(service->caught_up_to(), started);
    const UnixNanos now = wall_now();
    return now <= read_to ? 0.0 : static_cast<double>(now - read_to) / static_cast<double>(kNanosPerSecond);
  };
  tokens_.push_back(registry_.sampled_gauge(
      "naru_rules_lag_seconds", "Age of the time up to which the rules have counted everything.", {}, lag));
  tokens_.push_back(health_.watch_age("rules-blind",
                                      std::chrono::duration<double>(config_.counting.blind_after).count(),
                                      [lag] { return std::optional(lag()); }));
  thread_ = std::thread([this] { run(); });
  return {};
}

void Alerting::stop() {
  stopping_ = true;
  {
    const std::lock_guard lock(mutex_);  // a thread that is about to wait sees the flag or the wake-up
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
  tokens_.clear();
}

std::size_t Alerting::unpublished() const {
  return service_ == nullptr ? 0 : service_->pending_events();
}

void Alerting::run() {
  std::uint64_t complain_again_at = 0;
  std::uint64_t give_up_at = 0;
  for (;;) {
    if (stopping_) {
      give_up_at = give_up_at == 0 ? monotonic_now() + kPublishAtStop : give_up_at;
      if (!service_->running() || service_->pending_events() == 0 || monotonic_now() >= give_up_at) {
        break;
      }
    }
    const Result<void> stepped = service_->step(wall_now(), kPollWait);
    if (stepped) {
      health_.set_dependency("bus", true);
      continue;
    }
    health_.set_dependency("bus", false, stepped.error().message());
    if (const std::uint64_t now = monotonic_now(); now >= complain_again_at) {
      complain_again_at = now + kComplainEvery;
      telemetry::log_warn("alerting", "the bus cannot be used now, trying on: {}", stepped.error().message());
    }
    pause_after_error();
  }
  service_->close(wall_now());
}

void Alerting::pause_after_error() {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, kPauseAfterError, [this] { return stopping_.load(); });
}

}  // namespace naru::alerting
