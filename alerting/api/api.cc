#include "alerting/api/api.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "alerting/webhook/payload.h"
#include "core/base/clock.h"
#include "core/base/json_text.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

constexpr std::string_view kComponent = "webhook";
constexpr std::string_view kWebhooks = "/webhooks/";
constexpr std::string_view kStatus = "/v1/status";
constexpr std::string_view kRoutes = "/v1/routes/";
constexpr std::string_view kLimits = "/v1/limits";
constexpr std::string_view kOverview = "/v1/overview";
constexpr std::chrono::milliseconds kLongPollMax{60'000};
constexpr std::size_t kBodyMax = 64u << 10;

net::HttpResponse error_response(int status, std::string_view sentence) {
  std::string body = "{\"error\":";
  append_json_string(body, sentence);
  return net::json_response(status, body + "}\n");
}

int status_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument: return 400;
    case ErrorCode::kUnauthenticated: return 401;
    case ErrorCode::kPermissionDenied: return 403;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kTooLarge: return 413;
    default: return 503;
  }
}

// "30s", "500ms" or seconds.
std::chrono::milliseconds parse_wait(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || !(number > 0)) {
    return std::chrono::milliseconds(0);
  }
  const double ms = std::min(number, 1e6) * (unit == "ms" ? 1 : 1'000);
  return std::min(std::chrono::milliseconds(static_cast<std::int64_t>(ms)), kLongPollMax);
}

struct Body {
  simdjson::dom::parser parser;
  simdjson::dom::object object;

  Result<void> read(const std::string& text) {
    if (text.size() > kBodyMax) {
      return fail(ErrorCode::kTooLarge, "the body is larger than 64 KiB");
    }
    if (parser.parse(text).get(object) != simdjson::SUCCESS) {
      return fail(ErrorCode::kInvalidArgument, "the body is no JSON object");
    }
    return {};
  }
  std::string text(std::string_view field) {
    std::string_view out;
    return object.at_key(field).get(out) == simdjson::SUCCESS ? std::string(out) : std::string();
  }
};

std::string who_is(const net::HttpRequest& request, const std::string& by) {
  if (!request.peer.tls_identity.empty()) {
    return request.peer.tls_identity;
  }
  return by.empty() ? request.peer.address : by;
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

net::HttpResponse not_leading() {
  return error_response(503, "this instance does not lead; ask another");
}

}  // namespace

Api::Api(const AlertingConfig& config, Leader& leader, Settled& settled, LimitService& limits,
         telemetry::Registry& registry)
    : config_(config), leader_(leader), settled_(settled), limits_(limits), registry_(registry) {}

bool Api::answer(net::HttpRequest& request, net::Responder& respond) {
  const std::string path(request.path());
  if (path.starts_with(kWebhooks)) {
    webhook(path.substr(kWebhooks.size()), request, std::move(respond));
  } else if (path == kStatus || path.starts_with(std::string(kStatus) + "/")) {
    status(net::percent_decoded(std::string_view(path).substr(std::min(path.size(), kStatus.size() + 1))),
           request, std::move(respond));
  } else if (path.starts_with(kRoutes)) {
    routes(net::percent_decoded(std::string_view(path).substr(kRoutes.size())), request, std::move(respond));
  } else if (path == kLimits || path.starts_with(std::string(kLimits) + "/")) {
    limits(path.substr(std::min(path.size(), kLimits.size() + 1)), request, std::move(respond));
  } else if (path == kOverview) {
    if (admits(request, respond)) {
      const std::optional<std::string> all = settled_.overview();
      respond(all ? net::json_response(200, *all + "\n") : not_leading());
    }
  } else {
    return false;
  }
  return true;
}

bool Api::admits(const net::HttpRequest& request, net::Responder& respond) const {
  const bool allowed = request.peer.loopback || !request.peer.tls_identity.empty() ||
                       (!config_.api_token.empty() &&
                        same(request.headers.get("Authorization"), "Bearer " + config_.api_token));
  if (!allowed) {
    respond(error_response(401, "give Authorization: Bearer with api_token, or a client certificate"));
  }
  return allowed;
}

telemetry::Counter Api::count(std::string_view provider, std::string_view outcome) const {
  return registry_.counter("naru_webhook_alerts_total",
                           "Alerts that came over webhooks, by what became of them.",
                           {{"provider", std::string(provider)}, {"outcome", std::string(outcome)}});
}

void Api::webhook(const std::string& name, net::HttpRequest& request, net::Responder respond) {
  const std::optional<Provider> provider = parse_provider(name);
  if (!provider) {
    respond(error_response(404, "there are /webhooks/grafana, alertmanager, kibana and generic"));
    return;
  }
  if (request.method != "POST" && request.method != "PUT") {
    net::HttpResponse response = error_response(405, "alerts are posted");
    response.headers.set("Allow", "POST, PUT");
    respond(std::move(response));
    return;
  }
  const UnixNanos now = wall_now();
  const auto refuse = [&](const Error& error) {
    count(name, "refused").add();
    telemetry::log_warn(kComponent, "a call of {} from {} is refused: {}", name, request.peer.address,
                        error.message());
    respond(error_response(status_of(error), error.message()));
  };
  if (request.body.size() > config_.webhooks.body_bytes_max) {
    refuse(Error(ErrorCode::kTooLarge,
                 fmt::format("the body is larger than {} bytes", config_.webhooks.body_bytes_max)));
    return;
  }
  if (const Result<void> admitted = authenticate(config_.webhooks.auth, request, now); !admitted) {
    refuse(admitted.error());
    return;
  }
  Result<Payload> payload = parse_payload(*provider, request.body, now);
  if (!payload) {
    refuse(payload.error());
    return;
  }
  if (payload->truncated > 0) {
    count(name, "truncated").add(payload->truncated);
    telemetry::log_warn(kComponent, "{} left {} alerts out of its call; raise its max_alerts", name,
                        payload->truncated);
  }
  struct Seen {
    std::uint64_t fresh = 0, duplicate = 0, stale = 0, unknown = 0;
  };
  auto seen = std::make_shared<Seen>();
  leader_.submit(
      [alerts = std::move(payload->alerts), seen](Decider& decider, UnixNanos at,
                                                  Decisions& out) -> Result<void> {
        for (const Alert& alert : alerts) {
          const AlertOrder::Verdict verdict = decider.alert(alert, at, out);
          ++(alert.unknown                                ? seen->unknown
             : verdict == AlertOrder::Verdict::kNew       ? seen->fresh
             : verdict == AlertOrder::Verdict::kDuplicate ? seen->duplicate
                                                          : seen->stale);
        }
        return {};
      },
      [this, name, seen, respond = std::move(respond)](const Result<void>& result) mutable {
        if (!result) {
          count(name, "unavailable").add();
          respond(error_response(503, result.error().message()));
          return;
        }
        count(name, "taken").add(seen->fresh);
        count(name, "duplicate").add(seen->duplicate);
        count(name, "stale").add(seen->stale);
        count(name, "unknown").add(seen->unknown);
        respond(net::json_response(
            200, fmt::format("{{\"taken\":{},\"duplicate\":{},\"stale\":{},\"unknown\":{}}}\n", seen->fresh,
                             seen->duplicate, seen->stale, seen->unknown)));
      });
}

void Api::status(const std::string& target, net::HttpRequest& request, net::Responder respond) {
  if (!admits(request, respond)) {
    return;
  }
  if (request.method == "GET") {
    const std::optional<std::string> json = target.empty() ? settled_.statuses() : settled_.status(target);
    respond(json ? net::json_response(200, *json + "\n") : not_leading());
    return;
  }
  Body body;
  const Result<void> read = body.read(request.body);
  if (!read || request.method != "PUT" || target.empty()) {
    respond(read ? error_response(405, "GET a status, or PUT one of a target")
                 : error_response(status_of(read.error()), read.error().message()));
    return;
  }
  const auto level = rules::parse_level(body.text("status"));
  if (!level) {
    respond(error_response(400, "status must be HEALTHY, CAUTION or CRITICAL"));
    return;
  }
  leader_.submit(
      [target, level = *level, reason = body.text("reason"), who = who_is(request, body.text("by"))](
          Decider& decider, UnixNanos now, Decisions& out) {
        return decider.set_status(target, level, reason, who, now, out);
      },
      [this, target, respond = std::move(respond)](const Result<void>& result) mutable {
        respond(result ? net::json_response(200, settled_.status(target).value_or("{}") + "\n")
                       : error_response(status_of(result.error()), result.error().message()));
      });
}

void Api::routes(const std::string& target, net::HttpRequest& request, net::Responder respond) {
  if (!admits(request, respond)) {
    return;
  }
  if (request.method == "GET") {
    settled_.route(target, request.headers.get("If-None-Match"), parse_wait(request.query_parameter("wait")),
                   std::move(respond));
    return;
  }
  Body body;
  const Result<void> read = body.read(request.body);
  if (!read || request.method != "PUT") {
    respond(read ? error_response(405, "GET a route, or PUT one")
                 : error_response(status_of(read.error()), read.error().message()));
    return;
  }
  Decider::RouteOrder order{.route = body.text("route"), .percent = {}, .lock = {}};
  if (bool wanted = false; body.object["lock"].get(wanted) == simdjson::SUCCESS) {
    order.lock = wanted;
  }
  if (simdjson::dom::element percent; body.object["percent"].get(percent) == simdjson::SUCCESS) {
    std::uint64_t number = 0;
    if (percent.get(number) != simdjson::SUCCESS || number > 100 || order.route.empty()) {
      respond(error_response(400, "give \"percent\" as a whole number from 0 to 100, with \"route\""));
      return;
    }
    order.percent = static_cast<unsigned>(number);
  }
  if (order.route.empty() && !order.lock) {
    respond(error_response(400, "give \"route\", \"lock\" or both"));
    return;
  }
  leader_.submit([target, order, reason = body.text("reason"), who = who_is(request, body.text("by"))](
                     Decider& decider, UnixNanos now,
                     Decisions& out) { return decider.set_route(target, order, reason, who, now, out); },
                 [this, target, respond = std::move(respond)](const Result<void>& result) mutable {
                   if (result) {
                     settled_.route(target, {}, std::chrono::milliseconds(0), std::move(respond));
                   } else {
                     respond(error_response(status_of(result.error()), result.error().message()));
                   }
                 });
}

void Api::limits(const std::string& rest, net::HttpRequest& request, net::Responder respond) {
  if (!admits(request, respond)) {
    return;
  }
  constexpr std::string_view kAcquire = "/acquire";
  if (rest.ends_with(kAcquire) && request.method == "POST") {
    limits_.acquire(net::percent_decoded(std::string_view(rest).substr(0, rest.size() - kAcquire.size())),
                    request.body, std::move(respond));
    return;
  }
  const std::string name = net::percent_decoded(rest);
  if (request.method == "GET") {
    if (!settled_.leads()) {
      respond(not_leading());
      return;
    }
    std::string out = "{\"limits\":[";
    bool any = false;
    for (const auto& [limit, rate] : limits_.rates()) {
      if (name.empty() || limit == name) {
        out += any ? ",{\"name\":" : "{\"name\":";
        append_json_string(out, limit);
        out += fmt::format(",\"perSecond\":{}}}", rate);
        any = true;
      }
    }
    respond(any || name.empty() ? net::json_response(200, out + "]}\n")
                                : error_response(404, "there is no such limit"));
    return;
  }
  Body body;
  const Result<void> read = body.read(request.body);
  double rate = -1;
  if (read && body.object["perSecond"].get(rate) != simdjson::SUCCESS) {
    rate = -1;
  }
  if (!read || request.method != "PUT" || name.empty() || name.size() > 200 || !(rate >= 0) || rate > 1e9) {
    respond(error_response(400, "PUT {\"perSecond\":r} with r from 0 to 1e9, or POST to .../acquire"));
    return;
  }
  leader_.set_limit(name, rate, who_is(request, body.text("by")),
                    [rate, name, respond = std::move(respond)](const Result<void>& result) mutable {
                      if (!result) {
                        respond(error_response(status_of(result.error()), result.error().message()));
                        return;
                      }
                      std::string out = "{\"name\":";
                      append_json_string(out, name);
                      respond(net::json_response(200, fmt::format("{},\"perSecond\":{}}}\n", out, rate)));
                    });
}

}  // namespace naru::alerting
