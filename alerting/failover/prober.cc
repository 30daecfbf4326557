#include "alerting/failover/prober.h"

#include <fmt/format.h>

#include <algorithm>

#include "alerting/http_call.h"
#include "core/base/address.h"
#include "core/net/tcp_connect.h"

namespace naru::alerting {
namespace {

constexpr std::string_view kTcp = "tcp://";

}  // namespace

Result<void> probe(const std::string& address, std::chrono::milliseconds timeout) {
  if (address.starts_with(kTcp)) {
    NARU_TRY(const Address parsed, parse_address(address.substr(kTcp.size())));
    NARU_TRY(const net::TcpSocket connected, net::tcp_connect(parsed, timeout));
    return {};
  }
  NARU_TRY(const net::HttpResponse response, call_url(address, {}, {}, timeout));
  return response.status >= 200 && response.status < 400
             ? Result<void>()
             : fail(ErrorCode::kUnavailable, fmt::format("answered {}", response.status));
}

Result<void> check_probe_address(const std::string& address) {
  if (address.starts_with(kTcp)) {
    NARU_TRY(const Address parsed, parse_address(address.substr(kTcp.size())));
    return {};
  }
  return check_url(address);
}

Prober::Prober(const std::vector<TargetConfig>& targets, Told told)
    : targets_(targets), told_(std::move(told)) {
  for (const TargetConfig& target : targets_) {
    if (std::ranges::any_of(target.routes, [](const RouteConfig& route) { return !route.probe.empty(); })) {
      looks_.emplace_back(target.probe_every, [this, &target] { look_at(target); }, Periodic::First::kAtOnce);
    }
  }
}

Prober::~Prober() {
  std::ranges::for_each(looks_, &Periodic::ask_to_stop);
}

void Prober::look_at(const TargetConfig& target) const {
  for (std::size_t i = 0; i < target.routes.size(); ++i) {
    if (!target.routes[i].probe.empty()) {
      const Result<void> answer = probe(target.routes[i].probe, target.probe_every);
      told_(target.name, i, answer.has_value(), answer ? std::string() : answer.error().message());
    }
  }
}

}  // namespace naru::alerting
