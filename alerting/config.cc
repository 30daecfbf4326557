#include "alerting/config.h"

#include <fmt/format.h>

#include <set>

#include "alerting/failover/prober.h"
#include "alerting/http_call.h"

namespace naru::alerting {

using namespace std::chrono_literals;

namespace {

Result<void> check_optional_url(const std::string& url) {
  return url.empty() ? Result<void>() : check_url(url);
}

Result<void> check_optional_probe(const std::string& address) {
  return address.empty() ? Result<void>() : check_probe_address(address);
}

}  // namespace

void describe(config::Schema<RulesConfig>& s) {
  s.field("directory", &RulesConfig::directory,
          "Directory of rule files (*.yaml), the same that the preppers count by; empty: no rules.");
  s.field("look_every", &RulesConfig::look_every, "How often changed rules are looked for.")
      .min(100ms)
      .max(1h);
  s.field("lateness", &RulesConfig::lateness,
          "How late a record of its own time may come; nothing is known to be quiet before. As "
          "count.lateness of "
          "the preppers.")
      .max(10min);
  s.field("blind_after", &RulesConfig::blind_after,
          "When a partition is counted up to so long ago only, rules are blind: nothing goes down, and "
          "naru.detection is CAUTION.")
      .min(1s);
  s.field("groups_max", &RulesConfig::groups_max, "Most groups of all rules; further ones are not watched.")
      .min(1)
      .max(10'000'000);
}

void describe(config::Schema<ControlConfig>& s) {
  s.field("group", &ControlConfig::group, "Consumer group in which the instances agree on who leads.").min(1);
  s.field("leader_topic", &ControlConfig::leader_topic, "Topic of one partition: who has it leads.").min(1);
  s.field("counts_topic", &ControlConfig::counts_topic, "Topic with what the preppers count.").min(1);
  s.field("status_topic", &ControlConfig::status_topic, "Compacted topic of status events.").min(1);
  s.field("routes_topic", &ControlConfig::routes_topic, "Compacted topic of active routes.").min(1);
  s.field("state_topic", &ControlConfig::state_topic, "Compacted topic of what a leader needs to know.")
      .min(1);
  s.field("logs_topic", &ControlConfig::logs_topic, "Topic of logs that is counted.").min(1);
  s.field("metrics_topic", &ControlConfig::metrics_topic, "Topic of metrics that is counted.").min(1);
  s.field("traces_topic", &ControlConfig::traces_topic, "Topic of traces that is counted.").min(1);
  s.field("replication", &ControlConfig::replication, "Replicas of topics when they have to be created.")
      .min(1)
      .max(100);
  s.field("session_timeout", &ControlConfig::session_timeout,
          "After this a killed leader is replaced. Kafka's brokers take 6 s and more unless they are told "
          "otherwise.")
      .min(1s)
      .max(5min);
  s.field("position_every", &ControlConfig::position_every,
          "How often it is stored up to where counts were decided on; a new leader reads the rest again.")
      .min(100ms)
      .max(1min);
  s.field("quorum", &ControlConfig::quorum,
          "Of several clusters: an instance leads on at least so many. With more than half of them, two "
          "instances that reach different clusters cannot both lead; with 1, the last cluster is enough.")
      .min(1)
      .max(9);
  s.field("copy_wait", &ControlConfig::copy_wait,
          "Of several clusters: one that has not taken a decision so long after its beginning, while another "
          "did, is gone on without.")
      .min(50ms)
      .max(1min);
  s.field("lost_after", &ControlConfig::lost_after,
          "Of several clusters: one that did not answer for so long is gone on without.")
      .min(1s)
      .max(1min);
  s.field("rejoin_after", &ControlConfig::rejoin_after,
          "And is taken in again when it has answered for so long.")
      .min(1s)
      .max(1h);
  s.field("commands_max", &ControlConfig::commands_max, "Requests that wait for the leader; beyond, 503.")
      .min(1);
  s.field("long_polls_max", &ControlConfig::long_polls_max,
          "Callers that wait for a route to change; beyond, 503.")
      .min(1);
  s.field("permits_waiting_max", &ControlConfig::permits_waiting_max,
          "Callers that wait for permits of a limit; beyond, 503.")
      .min(1);
}

void describe(config::Schema<WebhookAuth>& s) {
  s.secret("hmac_secret", &WebhookAuth::hmac_secret, "Secret that calls are signed with, as Grafana does.");
  s.field("hmac_header", &WebhookAuth::hmac_header, "Header with the signature.").min(1);
  s.field("hmac_timestamp_header", &WebhookAuth::hmac_timestamp_header,
          "Header with the time that is signed too; needed, or a captured call could be repeated.");
  s.field("hmac_skew_max", &WebhookAuth::hmac_skew_max, "How far that time may be from now.").min(1s).max(1h);
  s.secret("bearer_token", &WebhookAuth::bearer_token, "Token of Authorization: Bearer.");
  s.field("basic_user", &WebhookAuth::basic_user, "User of Authorization: Basic.");
  s.secret("basic_password", &WebhookAuth::basic_password, "Password of Authorization: Basic.");
  s.field(
      "tls_identities", &WebhookAuth::tls_identities,
      "Names of client certificates (subject alternative names) that may call; the listener verifies them.");
}

void validate(const WebhookAuth& auth, config::Errors& errors) {
  if (!auth.hmac_secret.empty() && auth.hmac_timestamp_header.empty()) {
    errors.add(
        "hmac_timestamp_header",
        "is missing: a signature without a time lets whoever saw a call repeat it; name the header here and "
        "at the contact point, such as X-Grafana-Alerting-Timestamp");
  }
  if (auth.basic_user.empty() != auth.basic_password.empty()) {
    errors.add("basic_password", "give basic_user and basic_password together");
  }
}

void describe(config::Schema<MappingConfig>& s) {
  s.field("match", &MappingConfig::match,
          "Labels and the text that each must be, or an expression between slashes; empty: every alert.");
  s.field(
      "target", &MappingConfig::target,
      "What the status is about: text with {{ $labels.NAME }}; empty: the label `target`, else `alertname`.");
  s.choice("level", &MappingConfig::level, "What a firing alert means; empty: `level_label` says it.",
           {{"CAUTION", Status::kCaution}, {"CRITICAL", Status::kCritical}});
  s.field("level_label", &MappingConfig::level_label, "Label that says how bad it is.");
  s.field("levels", &MappingConfig::levels,
          "What its texts mean; any other means CAUTION, HEALTHY moves nothing.");
  s.field("ignore", &MappingConfig::ignore, "Such alerts move nothing.");
}

void validate(const MappingConfig& mapping, config::Errors& errors) {
  if (const Result<void> checked = check_mapping(mapping); !checked) {
    errors.add("", checked.error().message());
  }
}

void describe(config::Schema<WebhooksConfig>& s) {
  s.field("auth", &WebhooksConfig::auth, "Who may call; nothing: this machine only.");
  s.field(
       "mappings", &WebhooksConfig::mappings,
       "Which target and level an alert means; the first that fits. None: the target is the alertname, the "
       "level by the label `severity`.")
      .max(1'000);
  s.bytes("body_bytes_max", &WebhooksConfig::body_bytes_max, "Largest call.").min(1024).max(64u << 20);
  s.field("alerts_max", &WebhooksConfig::alerts_max,
          "Alerts remembered, so that repeated and late ones change nothing.")
      .min(1)
      .max(10'000'000);
}

void describe(config::Schema<RouteConfig>& s) {
  s.field("name", &RouteConfig::name, "Name of the route.").required().min(1).max(100).example("main");
  s.field("url", &RouteConfig::url, "Where it leads; told to who follows the route.");
  s.field(
      "watch", &RouteConfig::watch,
      "Target whose status is this route's; empty: the first route watches the target itself, others none.");
  s.field(
       "probe", &RouteConfig::probe,
       "Address that answers while the route is well: http://, https:// or tcp://host:port; empty: no probe.")
      .check(check_optional_probe);
}

void describe(config::Schema<EffectConfig>& s) {
  s.field("file", &EffectConfig::file,
          "File that always holds the active route as JSON, replaced atomically.");
  s.field("webhook", &EffectConfig::webhook, "URL that the same JSON is posted to.")
      .check(check_optional_url);
  s.field("webhook_limit", &EffectConfig::webhook_limit,
          "Name of a shared limit that calls of the webhook keep; empty: none.");
  s.field("command", &EffectConfig::command,
          "Program and arguments to run at a switch; what it is about is in NARU_* variables.");
  s.field("timeout", &EffectConfig::timeout, "After this a command is killed, a webhook given up.")
      .min(100ms)
      .max(10min);
}

void describe(config::Schema<TargetConfig>& s) {
  s.field("name", &TargetConfig::name, "Name of the target.").required().min(1).max(200).example("broker");
  s.field("routes", &TargetConfig::routes, "Its routes, the preferred first.").required().min(1).max(32);
  s.field("minimum_evidence", &TargetConfig::minimum_evidence,
          "Records that a rule must have seen before its CRITICAL switches.");
  s.field("hold", &TargetConfig::hold, "Least time between two switches.").max(24h);
  s.field("switches_per_hour_max", &TargetConfig::switches_per_hour_max, "Most switches in one hour.").min(1);
  s.choice(
      "fail_back", &TargetConfig::fail_back,
      "How a preferred route comes back: never by itself until the other fails, by a person, or by itself.",
      {{"never", FailBack::kNever}, {"manual", FailBack::kManual}, {"automatic", FailBack::kAutomatic}});
  s.field("fail_back_after", &TargetConfig::fail_back_after,
          "automatic: how long the preferred route must have been well.")
      .max(24h * 7);
  s.field("probe_every", &TargetConfig::probe_every, "Pause between probes, and the time for an answer.")
      .min(50ms);
  s.field("probe_healthy_after", &TargetConfig::probe_healthy_after, "Answers in a row that mean well.")
      .min(1);
  s.field("probe_failed_after", &TargetConfig::probe_failed_after, "Failures in a row that mean not well.")
      .min(1);
  s.field("dry_run", &TargetConfig::dry_run, "Decide and tell, switch nothing.");
  s.field("effects", &TargetConfig::effects, "What happens outside at a switch.");
}

void validate(const TargetConfig& target, config::Errors& errors) {
  std::set<std::string> names;
  for (const RouteConfig& route : target.routes) {
    if (!names.insert(route.name).second) {
      errors.add("routes", fmt::format("two are named \"{}\"; give each its own name", route.name));
    }
  }
}

void describe(config::Schema<NoticeConfig>& s) {
  s.field("group_wait", &NoticeConfig::group_wait, "What happens within it is one message.").max(1min);
  s.field("repeat_after", &NoticeConfig::repeat_after,
          "The same status is told again after this at the earliest.");
  s.field("messages_per_minute_max", &NoticeConfig::messages_per_minute_max,
          "Beyond, changes wait and come as one message.")
      .min(1);
  s.field("lines_max", &NoticeConfig::lines_max, "Lines of one message; the rest is counted.")
      .min(1)
      .max(1'000);
  s.field("pending_max", &NoticeConfig::pending_max, "Lines that wait; beyond, the oldest go.").min(1);
  s.field("mention", &NoticeConfig::mention, "Stands before a message with CRITICAL, such as \"<!here>\".");
  s.field("console_url", &NoticeConfig::console_url, "Link to the console.");
  s.field("runbooks", &NoticeConfig::runbooks, "Links by target; the one of \"\" is for all others.");
}

void describe(config::Schema<DestinationConfig>& s) {
  s.field("name", &DestinationConfig::name, "Name of the destination in metrics.").required().min(1).max(100);
  s.choice("kind", &DestinationConfig::kind, "Form of its messages.",
           {{"slack", NoticeKind::kSlack}, {"webhook", NoticeKind::kWebhook}, {"smtp", NoticeKind::kSmtp}});
  s.secret("url", &DestinationConfig::url, "slack, webhook: where messages are posted.");
  s.field("smtp", &DestinationConfig::smtp, "smtp: host:port of the mail relay.");
  s.field("from", &DestinationConfig::from, "smtp: sender.");
  s.field("to", &DestinationConfig::to, "smtp: receivers.");
  s.field("limit", &DestinationConfig::limit, "Name of a limit that its messages keep; empty: none.");
  s.field("notices", &DestinationConfig::notices, "Which messages, and how many.");
  s.field("timeout", &DestinationConfig::timeout, "After this a try is given up.").min(100ms).max(5min);
  s.field("tries_max", &DestinationConfig::tries_max, "Tries of one message.").min(1).max(100);
}

void validate(const DestinationConfig& destination, config::Errors& errors) {
  if (destination.kind == NoticeKind::kSmtp) {
    if (destination.smtp.empty() || destination.from.empty() || destination.to.empty()) {
      errors.add("smtp", "mail needs smtp, from and to");
    }
  } else if (destination.url.empty()) {
    errors.add("url", "is missing: where are messages posted?");
  } else if (!check_url(destination.url)) {
    errors.add("url", "is no http:// or https:// address");  // not shown: it holds a secret
  }
}

void describe(config::Schema<LimitConfig>& s) {
  s.field("per_second", &LimitConfig::per_second, "Permits in any one second.").min(0).max(1e9);
}

void validate(const AlertingConfig& alerting, config::Errors& errors) {
  std::set<std::string> targets, destinations;
  for (const TargetConfig& target : alerting.targets) {
    if (!targets.insert(target.name).second) {
      errors.add("targets", fmt::format("two are named \"{}\"; give each its own name", target.name));
    }
  }
  for (const DestinationConfig& destination : alerting.notices) {
    if (!destinations.insert(destination.name).second) {
      errors.add("notices", fmt::format("two are named \"{}\"; give each its own name", destination.name));
    }
    if (!destination.limit.empty() && !alerting.limits.contains(destination.limit)) {
      errors.add("notices", fmt::format("\"{}\" keeps the limit \"{}\", which there is none of",
                                        destination.name, destination.limit));
    }
  }
  if (const auto rules = rules::RuleSet::load(alerting.rules.directory); !rules) {
    errors.add("rules.directory", "\n" + rules.error().message());
  }
}

}  // namespace naru::alerting
