#include "alerting/alerting.h"

#include <utility>

#include "alerting/api/api.h"
#include "alerting/failover/prober.h"
#include "alerting/leader/leader.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

constexpr std::chrono::milliseconds kStepWait{20};
constexpr std::chrono::milliseconds kPauseAfterError{500};
constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;

}  // namespace

// In the order of construction; destroyed in reverse.
struct Alerting::Parts {
  Parts(const AlertingConfig& config_in, std::vector<ControlCluster> clusters, telemetry::Registry& registry,
        telemetry::Health& health)
      : config(config_in),
        settled(config.control.long_polls_max),
        limits(config.control.permits_waiting_max, registry),
        notifier(config.notices, &limits, registry),
        leader(config, std::move(clusters), settled, limits, notifier, registry, health),
        api(config, leader, settled, limits, registry) {}

  const AlertingConfig config;
  Settled settled;
  LimitService limits;
  Notifier notifier;
  Leader leader;
  Api api;
  std::unique_ptr<Prober> prober;
};

Alerting::Alerting(AlertingConfig config, std::vector<ControlCluster> clusters, telemetry::Registry& registry,
                   telemetry::Health& health)
    : health_(health), parts_(std::make_unique<Parts>(config, std::move(clusters), registry, health)) {}

Alerting::~Alerting() {
  stop();
}

Result<void> Alerting::start() {
  NARU_CHECK(!thread_.joinable(), "started once");
  NARU_TRY_VOID(parts_->leader.load());
  health_.set_dependency("bus", false, "has not answered yet");
  parts_->prober = std::make_unique<Prober>(
      parts_->config.targets, [this](const std::string& target, std::size_t route, bool well,
                                     const std::string&) { parts_->leader.probed(target, route, well); });
  thread_ = std::thread([this] { run(); });
  return {};
}

void Alerting::stop() {
  stopping_ = true;
  {
    const std::lock_guard lock(mutex_);  // a thread that is about to wait sees the flag or the wake-up
  }
  wake_.notify_all();
  parts_->prober.reset();
  if (thread_.joinable()) {
    thread_.join();
  }
}

bool Alerting::leads() const {
  return parts_->settled.leads();
}

bool Alerting::answer(net::HttpRequest& request, net::Responder& respond) {
  return parts_->api.answer(request, respond);
}

void Alerting::run() {
  std::uint64_t complain_at = 0;
  while (!stopping_) {
    const Result<void> stepped = parts_->leader.step(kStepWait);
    if (stepped) {
      continue;
    }
    health_.set_dependency("bus", false, stepped.error().message());
    if (const std::uint64_t now = monotonic_now(); now >= complain_at) {
      complain_at = now + kComplainEvery;
      telemetry::log_warn("alerting", "the bus cannot be used now, trying on: {}", stepped.error().message());
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kPauseAfterError, [this] { return stopping_.load(); });
  }
  parts_->leader.close();
}

}  // namespace naru::alerting
