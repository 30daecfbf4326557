#include "alerting/config.h"

#include <fmt/format.h>

#include <set>

#include "alerting/rules/match.h"

namespace naru::alerting {
namespace {

Result<void> check_conditions(const std::map<std::string, std::string>& conditions) {
  for (const auto& [key, text] : conditions) {
    if (const Result<ValueCondition> parsed = ValueCondition::parse(text); !parsed) {
      return fail(parsed.error().with_context(key));
    }
  }
  return {};
}

}  // namespace

void describe(config::Schema<MatchConfig>& schema) {
  schema
      .choice("severity_at_least", &MatchConfig::severity_at_least,
              "Severity that a record must have at least; records without one do not match.",
              {{"trace", Severity::kTrace},
               {"debug", Severity::kDebug},
               {"info", Severity::kInfo},
               {"warn", Severity::kWarn},
               {"error", Severity::kError},
               {"fatal", Severity::kFatal}})
      .example("error");
  schema.field("body_contains", &MatchConfig::body_contains,
               "Text that the body must contain, case as given.");
  schema
      .field("body_regex", &MatchConfig::body_regex, "RE2 expression that must match somewhere in the body.")
      .check(check_regex);
  schema
      .field("attributes", &MatchConfig::attributes,
             "Record attributes and the text that each must equal, or \">=NUMBER\".")
      .check(check_conditions);
  schema
      .field("resource", &MatchConfig::resource,
             "Resource attributes and the text that each must equal, or \">=NUMBER\".")
      .check(check_conditions);
}

void validate(const MatchConfig& match, config::Errors& errors) {
  if (!match.severity_at_least && match.body_contains.empty() && match.body_regex.empty() &&
      match.attributes.empty() && match.resource.empty()) {
    errors.add("", "has no condition, so it would count every record; give at least one");
  }
}

void describe(config::Schema<RuleConfig>& schema) {
  schema.field("name", &RuleConfig::name, "Name of the rule, in events and metrics.")
      .required()
      .min(1)
      .max(100)
      .example("failures");
  schema
      .field("target", &RuleConfig::target,
             "What the status is about; {resource.KEY} and {attributes.KEY} make one target per value.")
      .required()
      .min(1)
      .max(200)
      .check(check_target)
      .example("\"service.{resource.service.name}\"");
  schema.field("match", &RuleConfig::match, "Which records count; all conditions must hold.");
  schema.field("more_than", &RuleConfig::more_than,
               "More records than this in one window make the target CRITICAL.");
  schema.field("caution_more_than", &RuleConfig::caution_more_than,
               "More records than this in one window make the target CAUTION.");
  schema.field("window", &RuleConfig::window, "Length of the sliding window.")
      .min(std::chrono::seconds{1})
      .max(std::chrono::hours{1});
  schema
      .field("hold", &RuleConfig::hold,
             "How long after the last window over a threshold the status is kept before it goes down.")
      .max(std::chrono::hours{24});
}

void validate(const RuleConfig& rule, config::Errors& errors) {
  if (rule.caution_more_than && *rule.caution_more_than >= rule.more_than) {
    errors.add(
        "caution_more_than",
        fmt::format("is {}, so CAUTION would not come before CRITICAL; make it lower than more_than ({})",
                    *rule.caution_more_than, rule.more_than));
  }
}

void describe(config::Schema<CountingConfig>& schema) {
  schema.field("group", &CountingConfig::group, "Consumer group that reads the records.").min(1);
  schema.field("logs_topic", &CountingConfig::logs_topic, "Topic with the OTLP logs.").min(1);
  schema
      .field("lateness", &CountingConfig::lateness,
             "How far a record's own time may differ from its receive time to be believed; else it counts at "
             "receive time.")
      .max(std::chrono::minutes{10});
  schema
      .field("commit_interval", &CountingConfig::commit_interval,
             "How often read positions are stored; a restart reads what is younger than window + hold again.")
      .min(std::chrono::milliseconds{100})
      .max(std::chrono::minutes{5});
  schema
      .field("blind_after", &CountingConfig::blind_after,
             "How far reading may lag behind before /readyz turns red.")
      .min(std::chrono::seconds{1});
  schema
      .field("targets_max", &CountingConfig::targets_max,
             "Most targets at a time; further ones are not counted.")
      .min(1)
      .max(1'000'000);
  schema
      .field("sources_max", &CountingConfig::sources_max,
             "Most sources whose repeats are known at a time; the longest silent one is forgotten first.")
      .min(1)
      .max(10'000'000);
  schema.field("poll_records_max", &CountingConfig::poll_records_max, "Most bus records handled at a time.")
      .min(1)
      .max(100'000);
}

void describe(config::Schema<StatusConfig>& schema) {
  schema.field("topic", &StatusConfig::topic, "Compacted topic with the status events.").min(1);
  schema.field("replication", &StatusConfig::replication, "Replicas of the topic when it has to be created.")
      .min(1)
      .max(100);
  schema
      .field("pending_events_max", &StatusConfig::pending_events_max,
             "Most status events that wait for the bus; at that bound reading pauses.")
      .min(1);
}

void describe(config::Schema<AlertingConfig>& schema) {
  schema.field("rules", &AlertingConfig::rules, "The counting rules.").max(kRulesMax);
  schema.field("counting", &AlertingConfig::counting, "How records are read and counted.");
  schema.field("status", &AlertingConfig::status, "Where status events go.");
}

void validate(const AlertingConfig& alerting, config::Errors& errors) {
  std::set<std::string> names;
  for (const RuleConfig& rule : alerting.rules) {
    if (!rule.name.empty() && !names.insert(rule.name).second) {
      errors.add("rules", fmt::format("has two rules named \"{}\"; give each its own name", rule.name));
    }
  }
}

}  // namespace naru::alerting
