// Configuration of rules, webhooks, targets, notices and limits. The reference is written from describe().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alerting/failover/route_plan.h"
#include "alerting/notify/notifier.h"
#include "alerting/webhook/authentication.h"
#include "alerting/webhook/mapping.h"
#include "core/config/config.h"
#include "core/rules/rule.h"

namespace naru::alerting {

struct RulesConfig {
  std::string directory;  // empty: `builtin`
  std::shared_ptr<const rules::RuleSet> builtin;
  std::chrono::milliseconds look_every{1'000};
  std::chrono::seconds lateness{10};
  std::chrono::milliseconds blind_after{5'000};
  std::size_t groups_max = 100'000;
};

// Topics and how the instances agree on who leads.
struct ControlConfig {
  std::string group = "naru-alerting";
  std::string leader_topic = "naru.leader";
  std::string counts_topic = "naru.rule-counts";
  std::string status_topic = "naru.system-status";
  std::string routes_topic = "naru.routes";
  std::string state_topic = "naru.rule-state";
  std::string logs_topic = "otlp_logs";
  std::string metrics_topic = "otlp_metrics";
  std::string traces_topic = "otlp_spans";
  std::int16_t replication = 1;
  std::chrono::milliseconds session_timeout{6'000};
  std::chrono::milliseconds position_every{5'000};
  // With several clusters.
  std::size_t quorum = 1;
  std::chrono::milliseconds copy_wait{1'000};
  std::chrono::milliseconds lost_after{3'000};
  std::chrono::milliseconds rejoin_after{10'000};
  std::size_t commands_max = 1'000;          // requests that wait for the leader
  std::size_t long_polls_max = 2'000;        // callers that wait for a route to change
  std::size_t permits_waiting_max = 10'000;  // callers that wait for permits of a limit
};

struct WebhooksConfig {
  WebhookAuth auth;
  std::vector<MappingConfig> mappings;
  std::size_t body_bytes_max = 4u << 20;
  std::size_t alerts_max = 10'000;  // remembered, so that what is repeated or late is told
};

struct LimitConfig {
  double per_second = 100;
};

struct AlertingConfig {
  RulesConfig rules;
  ControlConfig control;
  WebhooksConfig webhooks;
  std::vector<TargetConfig> targets;
  std::vector<DestinationConfig> notices;
  std::map<std::string, LimitConfig> limits;
  std::string api_token;  // for people and programs that are not on this machine
};

void describe(config::Schema<RulesConfig>& schema);
void describe(config::Schema<ControlConfig>& schema);
void describe(config::Schema<WebhookAuth>& schema);
void validate(const WebhookAuth& auth, config::Errors& errors);
void describe(config::Schema<MappingConfig>& schema);
void validate(const MappingConfig& mapping, config::Errors& errors);
void describe(config::Schema<WebhooksConfig>& schema);
void describe(config::Schema<RouteConfig>& schema);
void describe(config::Schema<EffectConfig>& schema);
void describe(config::Schema<TargetConfig>& schema);
void validate(const TargetConfig& target, config::Errors& errors);
void describe(config::Schema<NoticeConfig>& schema);
void describe(config::Schema<DestinationConfig>& schema);
void validate(const DestinationConfig& destination, config::Errors& errors);
void describe(config::Schema<LimitConfig>& schema);
// The keys of an AlertingConfig, also where it is a part of something larger.
template <class T>
void describe_decisions(config::Schema<T>& s) {
  const auto own = []<class M>(M AlertingConfig::* member) { return static_cast<M T::*>(member); };
  s.field("rules", own(&AlertingConfig::rules), "The rules, and when they are believed.");
  s.field("control", own(&AlertingConfig::control), "Topics, and how the instances agree on who leads.");
  s.field("webhooks", own(&AlertingConfig::webhooks), "Alerts of Grafana, Alertmanager, Kibana and others.");
  s.field("targets", own(&AlertingConfig::targets), "Targets with routes.").max(1'000);
  s.field("notices", own(&AlertingConfig::notices), "Chats, webhooks and mail for people.").max(100);
  s.field("limits", own(&AlertingConfig::limits),
          "Shared limiters by name; a rate that `naru limit set` changed goes before the one here.")
      .max(10'000);
  s.secret("api_token", own(&AlertingConfig::api_token),
           "Token of Authorization: Bearer for /v1/status, /v1/routes and /v1/limits from other machines.");
}
inline void describe(config::Schema<AlertingConfig>& schema) {
  describe_decisions(schema);
}
void validate(const AlertingConfig& alerting, config::Errors& errors);

}  // namespace naru::alerting
