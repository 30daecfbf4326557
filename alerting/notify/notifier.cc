#include "alerting/notify/notifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "alerting/http_call.h"
#include "alerting/limit/limit_service.h"
#include "alerting/notify/smtp.h"
#include "core/base/clock.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

constexpr std::string_view kComponent = "notify";
constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::milliseconds kPauseMin{500};
constexpr std::chrono::milliseconds kPauseMax{30'000};

}  // namespace

class Notifier::Destination {
 public:
  Destination(DestinationConfig config, LimitService* limits, telemetry::Registry& registry)
      : config_(std::move(config)),
        limits_(limits),
        notices_(config_.notices),
        sent_(registry.counter("naru_notices_sent_total", "Messages that a destination took.",
                               {{"destination", config_.name}})),
        failed_(registry.counter("naru_notices_failed_total", "Messages given up after all tries.",
                                 {{"destination", config_.name}})),
        dropped_(registry.counter("naru_notices_dropped_total",
                                  "Lines left out because the destination took none for too long.",
                                  {{"destination", config_.name}})),
        thread_([this] { run(); }) {}

  ~Destination() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  void tell(const Decisions& decisions, UnixNanos now) {
    const std::lock_guard lock(mutex_);
    for (const StatusEvent& event : decisions.events) {
      notices_.tell(event, now);
    }
    for (const RouteChange& change : decisions.changes) {
      notices_.tell(change, now);
    }
    wake_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      std::optional<Notice> notice;
      if (notices_.due(wall_now()) &&
          (limits_ == nullptr || config_.limit.empty() || limits_->try_acquire(config_.limit))) {
        notice = notices_.take(wall_now());
        dropped_.add(notices_.dropped() - dropped_.value());
      }
      if (notice) {
        deliver(*notice, lock);
      } else {
        wake_.wait_for(lock, notices_.pending() > 0 ? kLook : std::chrono::milliseconds(1'000),
                       [this] { return stop_; });
      }
    }
  }

  // Tries, with pauses in between.
  void deliver(const Notice& notice, std::unique_lock<std::mutex>& lock) {
    std::chrono::milliseconds pause = kPauseMin;
    for (std::uint32_t tried = 1; !stop_; ++tried) {
      lock.unlock();
      const Result<void> sent = send(notice);
      lock.lock();
      if (sent) {
        sent_.add();
        return;
      }
      const bool again = disposition(sent.error().code()) == Disposition::kRetry && tried < config_.tries_max;
      telemetry::log_warn(kComponent, "{} did not take a message{}: {}", config_.name,
                          again ? "" : ", given up", sent.error().message());
      if (!again) {
        failed_.add();
        return;
      }
      wake_.wait_for(lock, pause, [this] { return stop_; });
      pause = std::min(2 * pause, kPauseMax);
    }
  }

  Result<void> send(const Notice& notice) const {
    if (config_.kind == NoticeKind::kSmtp) {
      return send_mail(config_.smtp, {config_.from, config_.to, notice.subject(), notice.plain()},
                       config_.timeout);
    }
    Result<net::HttpResponse> response = call_url(
        config_.url, "application/json",
        config_.kind == NoticeKind::kSlack ? slack_json(notice) : generic_json(notice), config_.timeout);
    if (!response) {
      return fail(response.error().code(), redacted_url(config_.url) + " cannot be reached");
    }
    if (response->status / 100 == 2) {
      return {};
    }
    // 429 and 5xx pass; the rest is a mistake in the address or the message.
    const bool passes = response->status == 429 || response->status >= 500;
    return fail(passes ? ErrorCode::kUnavailable : ErrorCode::kInvalidArgument,
                fmt::format("{} answered {}: {}", redacted_url(config_.url), response->status,
                            response->body.substr(0, 100)));
  }

  const DestinationConfig config_;
  LimitService* const limits_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Notices notices_;
  bool stop_ = false;
  telemetry::Counter sent_, failed_, dropped_;
  std::thread thread_;
};

Notifier::Notifier(const std::vector<DestinationConfig>& destinations, LimitService* limits,
                   telemetry::Registry& registry) {
  for (const DestinationConfig& destination : destinations) {
    destinations_.push_back(std::make_unique<Destination>(destination, limits, registry));
  }
}

Notifier::~Notifier() = default;

void Notifier::tell(const Decisions& decisions, UnixNanos now) {
  for (const auto& destination : destinations_) {
    destination->tell(decisions, now);
  }
}

}  // namespace naru::alerting
