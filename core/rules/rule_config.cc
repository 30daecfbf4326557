#include "core/rules/rule_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/rules/label_text.h"

namespace naru::rules {
namespace {

using namespace std::chrono_literals;

bool is_label(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }) && !(name.front() >= '0' && name.front() <= '9');
}

std::vector<std::string> known_labels(const Rule& rule) {
  std::vector<std::string> out = {"alertname"};
  for (const auto& [name, expression] : rule.by) {
    out.push_back(name);
  }
  for (const auto& [name, text] : rule.labels) {
    out.push_back(name);
  }
  return out;
}

}  // namespace

void describe(config::Schema<Rule>& s) {
  s.field("alert", &Rule::name, "Name of the rule, in events, metrics and notices.")
      .required()
      .min(1)
      .max(100)
      .example("ApiFailures");
  s.choice("signal", &Rule::signal, "Which records: of the topic of logs, metrics or traces.",
           {{"logs", otlp::Signal::kLogs},
            {"metrics", otlp::Signal::kMetrics},
            {"traces", otlp::Signal::kTraces}});
  s.field("pipeline", &Rule::pipeline,
          "Count what this pipeline of the preppers makes of a record; empty: the record as it came.");
  s.field("where", &Rule::where, "Only records for which this expression is true; empty: all.")
      .example("severity.number >= 17");
  s.field("by", &Rule::by,
          "Labels and their expressions: each combination of values has a window of its own.")
      .max(static_cast<double>(kLabelsMax))
      .example("{service: resource.attributes.service.name}");
  s.choice("measure", &Rule::measure, "What is measured in each window.",
           {{"count", Measure::kCount},
            {"rate", Measure::kRate},
            {"ratio", Measure::kRatio},
            {"percentile", Measure::kPercentile},
            {"distinct", Measure::kDistinct},
            {"max", Measure::kMax},
            {"absence", Measure::kAbsence}});
  s.field("of", &Rule::of, "Ratio: the condition that the counted share fulfils.");
  s.field("value", &Rule::value, "Percentile, max: the number; distinct: the value.");
  s.field("quantile", &Rule::quantile, "Percentile: which, between 0 and 1.").min(0).max(1);
  s.field("window", &Rule::window, "Length of the sliding window.").min(1s).max(kWindowMax);
  s.field("caution_above", &Rule::caution_above, "Above this the target is CAUTION.");
  s.field("critical_above", &Rule::critical_above, "Above this the target is CRITICAL.");
  s.choice("absent", &Rule::absent, "Absence: what the target is while nothing comes.",
           {{"CAUTION", Level::kCaution}, {"CRITICAL", Level::kCritical}});
  s.field("minimum", &Rule::minimum,
          "Records that a window must hold for its ratio, percentile or maximum to count.");
  s.field("for", &Rule::pending, "How long the threshold must stay exceeded before it counts.").max(24h);
  s.field("keep_firing_for", &Rule::keep_firing_for,
          "How long after the last window over a threshold the level is kept.")
      .max(24h);
  s.field("forget_after", &Rule::forget_after,
          "Absence: a group that is silent for so long is gone for good.")
      .min(1min)
      .max(24h * 30);
  s.field("target", &Rule::target, "What the status is about: text with {{ $labels.NAME }}.")
      .required()
      .min(1)
      .max(200)
      .example("\"service.{{ $labels.service }}\"");
  s.field("labels", &Rule::labels, "Labels of the alert, beside those of `by`.");
  s.field("annotations", &Rule::annotations,
          "Texts for people with {{ $labels.NAME }} and {{ $value }}: summary, description, runbook_url.");
}

void validate(const Rule& rule, config::Errors& errors) {
  const bool needs_value = rule.measure == Measure::kPercentile || rule.measure == Measure::kDistinct ||
                           rule.measure == Measure::kMax;
  if (needs_value && rule.value.empty()) {
    errors.add("value",
               fmt::format("is missing: a {} needs the expression to take it of", to_string(rule.measure)));
  }
  if (!needs_value && !rule.value.empty()) {
    errors.add("value", fmt::format("means nothing to a {}; remove it", to_string(rule.measure)));
  }
  if ((rule.measure == Measure::kRatio) != !rule.of.empty()) {
    errors.add("of", rule.of.empty() ? "is missing: a ratio needs the condition of the share"
                                     : "means something to a ratio only; remove it, or set measure: ratio");
  }
  if (rule.measure == Measure::kAbsence) {
    if (rule.caution_above || rule.critical_above) {
      errors.add("critical_above", "an absence has no threshold; `absent` says the level");
    }
  } else if (!rule.caution_above && !rule.critical_above) {
    errors.add("critical_above", "give critical_above, caution_above or both, or the rule can never fire");
  } else if (rule.caution_above && rule.critical_above && *rule.caution_above >= *rule.critical_above) {
    errors.add("caution_above",
               fmt::format("is {}, so CAUTION would not come before CRITICAL; make it lower than "
                           "critical_above ({})",
                           *rule.caution_above, *rule.critical_above));
  }
  for (const auto& [name, expression] : rule.by) {
    if (!is_label(name)) {
      errors.add("by", fmt::format("'{}' is no label name: letters, digits and _ only", name));
    }
  }
  const std::vector<std::string> known = known_labels(rule);
  const auto check = [&](std::string_view key, const std::string& text) {
    if (const auto parsed = LabelText::parse(text, known); !parsed) {
      errors.add(key, parsed.error().message());
    }
  };
  check("target", rule.target);
  for (const auto& [name, text] : rule.annotations) {
    check("annotations", text);
  }
}

void describe(config::Schema<RuleGroup>& s) {
  s.field("name", &RuleGroup::name, "Name of the group.").required().min(1).max(100);
  s.field("rules", &RuleGroup::rules, "Its rules.").required();
}

void describe(config::Schema<RuleFile>& s) {
  s.field("groups", &RuleFile::groups, "Groups of rules.").required();
}

}  // namespace naru::rules
