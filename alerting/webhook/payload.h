// Reads what Grafana, Alertmanager, Kibana and others post (docs/webhooks.md). Pure, lenient: fields that are
// not needed may be missing, new ones are ignored.
#pragma once

#include <string_view>
#include <vector>

#include "alerting/webhook/alert.h"
#include "core/base/result.h"

namespace naru::alerting {

enum class Provider : std::uint8_t { kGrafana, kAlertmanager, kKibana, kGeneric };
std::optional<Provider> parse_provider(std::string_view name);
std::string_view to_string(Provider provider);

struct Payload {
  std::vector<Alert> alerts;
  std::uint64_t truncated = 0;  // alerts that the sender left out; nothing follows from their absence
};

inline constexpr std::size_t kAlertsMax = 10'000;  // of one payload

// kInvalidArgument: what is missing or malformed, and where. kTooLarge: kAlertsMax.
Result<Payload> parse_payload(Provider provider, std::string_view body, UnixNanos now);

}  // namespace naru::alerting
