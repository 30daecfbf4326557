#include "alerting/webhook/payload.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "core/base/bytes.h"
#include "core/base/hash.h"

namespace naru::alerting {
namespace {

namespace dom = simdjson::dom;

constexpr std::array kProviders = {Provider::kGrafana, Provider::kAlertmanager, Provider::kKibana,
                                   Provider::kGeneric};
constexpr std::size_t kLabelsMax = 100;

std::unexpected<Error> refuse(std::string sentence) {
  return fail(ErrorCode::kInvalidArgument, std::move(sentence));
}

std::string_view text_of(const dom::object& object, const char* field) {
  std::string_view text;
  return object[field].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

// Values that are no text count as their JSON.
rules::Labels labels_of(const dom::object& object, const char* field) {
  rules::Labels out;
  dom::object labels;
  if (object[field].get(labels) != simdjson::SUCCESS) {
    return out;
  }
  for (const auto [key, value] : labels) {
    if (out.size() >= kLabelsMax) {
      break;
    }
    std::string_view text;
    out.emplace(std::string(key),
                value.get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::minify(value));
  }
  return out;
}

std::string hash_labels(const rules::Labels& labels) {
  std::string key;
  for (const auto& [name, value] : labels) {
    append_le(key, static_cast<std::uint32_t>(name.size()));
    key += name;
    append_le(key, static_cast<std::uint32_t>(value.size()));
    key += value;
  }
  std::string bytes;
  append_le(bytes, xxh3_64(key));
  return to_hex(bytes);
}

Result<Alert::State> state_of(std::string_view text, std::string_view firing, std::string_view resolved) {
  if (text == firing) {
    return Alert::State::kFiring;
  }
  if (text == resolved) {
    return Alert::State::kResolved;
  }
  return refuse(fmt::format("status is \"{}\"; it must be \"{}\" or \"{}\"", text, firing, resolved));
}

// Grafana and Alertmanager agree in what matters here (formats.md 2.8 and 2.9).
Result<Payload> parse_group(Provider provider, const dom::object& body) {
  dom::array alerts;
  if (body["alerts"].get(alerts) != simdjson::SUCCESS) {
    return refuse("the payload has no list \"alerts\"; only the default body is read, not one of a template");
  }
  Payload out;
  if (std::uint64_t truncated = 0; body["truncatedAlerts"].get(truncated) == simdjson::SUCCESS) {
    out.truncated = truncated;
  }
  std::size_t number = 0;
  for (const dom::element element : alerts) {
    const std::string where = fmt::format("alerts[{}]", number++);
    dom::object object;
    if (number > kAlertsMax) {
      return fail(ErrorCode::kTooLarge, fmt::format("the payload has more than {} alerts", kAlertsMax));
    }
    if (element.get(object) != simdjson::SUCCESS) {
      return refuse(where + " is no object");
    }
    Alert alert;
    alert.source = to_string(provider);
    Result<Alert::State> state = state_of(text_of(object, "status"), "firing", "resolved");
    if (!state) {
      return fail(state.error().with_context(where));
    }
    alert.state = *state;
    alert.labels = labels_of(object, "labels");
    alert.annotations = labels_of(object, "annotations");
    Result<UnixNanos> starts_at = parse_rfc3339(text_of(object, "startsAt"));
    if (!starts_at) {
      return fail(starts_at.error().with_context(where + ".startsAt"));
    }
    alert.starts_at = *starts_at;
    alert.fingerprint = text_of(object, "fingerprint");
    if (alert.fingerprint.empty()) {
      alert.fingerprint = hash_labels(alert.labels);
    }
    alert.url = text_of(object, "dashboardURL");
    if (alert.url.empty()) {
      alert.url = text_of(object, "generatorURL");
    }
    const auto name = alert.labels.find("alertname");
    const auto why = alert.annotations.find("grafana_state_reason");
    alert.unknown =
        (name != alert.labels.end() && (name->second == "DatasourceError" ||
                                        name->second == "DatasourceNoData" || name->second == "NoData")) ||
        (why != alert.annotations.end() && !why->second.empty());
    out.alerts.push_back(std::move(alert));
  }
  return out;
}

// The action body that docs/webhooks.md gives: {"rule","ruleId","alertId","status":"active|recovered","at",
// "labels"}.
Result<Payload> parse_kibana(const dom::object& body) {
  Alert alert;
  alert.source = to_string(Provider::kKibana);
  NARU_TRY(alert.state, state_of(text_of(body, "status"), "active", "recovered"));
  const std::string_view rule_id = text_of(body, "ruleId");
  const std::string_view alert_id = text_of(body, "alertId");
  if (rule_id.empty() || alert_id.empty()) {
    return refuse("\"ruleId\" and \"alertId\" are needed to tell alerts apart");
  }
  alert.fingerprint = fmt::format("{}/{}", rule_id, alert_id);
  alert.labels = labels_of(body, "labels");
  alert.labels.insert_or_assign("alertname", std::string(text_of(body, "rule")));
  Result<UnixNanos> at = parse_rfc3339(text_of(body, "at"));
  if (!at) {
    return fail(at.error().with_context("at"));
  }
  alert.starts_at = *at;  // an alert of Kibana has no beginning: each action is one, in the order of time
  Payload out;
  out.alerts.push_back(std::move(alert));
  return out;
}

// {"target","level","status":"firing|resolved","fingerprint","startsAt"}, and labels, annotations.
Result<Payload> parse_generic(const dom::object& body) {
  Alert alert;
  alert.source = to_string(Provider::kGeneric);
  alert.target = text_of(body, "target");
  alert.level = text_of(body, "level");
  if (alert.target.empty() || alert.target.size() > 249) {
    return refuse("\"target\" is needed: 1 to 249 characters, what the status is about");
  }
  NARU_TRY(alert.state, state_of(text_of(body, "status"), "firing", "resolved"));
  if (alert.state == Alert::State::kFiring && alert.level != "CRITICAL" && alert.level != "CAUTION") {
    return refuse(fmt::format("level is \"{}\"; it must be CAUTION or CRITICAL", alert.level));
  }
  alert.labels = labels_of(body, "labels");
  alert.annotations = labels_of(body, "annotations");
  alert.fingerprint = text_of(body, "fingerprint");
  if (alert.fingerprint.empty()) {
    return refuse("\"fingerprint\" is needed: the same text for the same alert");
  }
  Result<UnixNanos> starts_at = parse_rfc3339(text_of(body, "startsAt"));
  if (!starts_at) {
    return fail(starts_at.error().with_context("startsAt"));
  }
  alert.starts_at = *starts_at;
  Payload out;
  out.alerts.push_back(std::move(alert));
  return out;
}

}  // namespace

std::string_view to_string(Provider provider) {
  switch (provider) {
    case Provider::kGrafana: return "grafana";
    case Provider::kAlertmanager: return "alertmanager";
    case Provider::kKibana: return "kibana";
    case Provider::kGeneric: return "generic";
  }
  return "generic";
}

std::optional<Provider> parse_provider(std::string_view name) {
  for (const Provider provider : kProviders) {
    if (name == to_string(provider)) {
      return provider;
    }
  }
  return std::nullopt;
}

Result<Payload> parse_payload(Provider provider, std::string_view body, UnixNanos now) {
  dom::parser parser;
  dom::object object;
  if (parser.parse(body.data(), body.size()).get(object) != simdjson::SUCCESS) {
    return refuse("the body is no JSON object");
  }
  Result<Payload> parsed = provider == Provider::kKibana    ? parse_kibana(object)
                           : provider == Provider::kGeneric ? parse_generic(object)
                                                            : parse_group(provider, object);
  if (!parsed) {
    return parsed;
  }
  for (const Alert& alert : parsed->alerts) {
    // A beginning in the future would make every later alert of the same name stale.
    constexpr UnixNanos kAheadMax = 3600 * kNanosPerSecond;
    if (alert.starts_at > now + kAheadMax) {
      return refuse(fmt::format("an alert begins at {}, more than an hour from now; check the sender's clock",
                                format_rfc3339(alert.starts_at)));
    }
    if (alert.fingerprint.size() > 200) {
      return refuse("a fingerprint is longer than 200 characters");
    }
  }
  return parsed;
}

}  // namespace naru::alerting
