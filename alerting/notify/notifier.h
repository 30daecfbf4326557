// Sends notices to chats, webhooks and mail, each destination on a thread of its own with its own notices:
// one that is dead delays no other and never a decision.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "alerting/notify/notices.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class LimitService;

enum class NoticeKind : std::uint8_t { kSlack, kWebhook, kSmtp };

struct DestinationConfig {
  std::string name;
  NoticeKind kind = NoticeKind::kSlack;
  std::string url;   // slack, webhook; a secret: never shown
  std::string smtp;  // host:port of the mail relay
  std::string from;
  std::vector<std::string> to;
  std::string limit;  // name of a limit that its messages keep; empty: none
  NoticeConfig notices;
  std::chrono::milliseconds timeout{5'000};
  std::uint32_t tries_max = 5;
};

class Notifier {
 public:
  // `limits` may be nullptr; what is given must outlive this.
  Notifier(const std::vector<DestinationConfig>& destinations, LimitService* limits,
           telemetry::Registry& registry);
  ~Notifier();

  // Never waits.
  void tell(const Decisions& decisions, UnixNanos now);

 private:
  class Destination;
  std::vector<std::unique_ptr<Destination>> destinations_;
};

}  // namespace naru::alerting
