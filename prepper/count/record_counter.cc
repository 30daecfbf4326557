#include "prepper/count/record_counter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/hash.h"
#include "core/rules/sketch.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kEventBytesMax = 1u << 20;

// A label's value as text: numbers and truths as they would be written.
void append_label(std::string& out, const expr::Value& value) {
  using Kind = expr::Value::Kind;
  std::string text;
  switch (value.kind) {
    case Kind::kMissing: break;
    case Kind::kBool: text = value.boolean ? "true" : "false"; break;
    case Kind::kInt: text = fmt::format("{}", value.integer); break;
    case Kind::kDouble: text = fmt::format("{}", value.real); break;
    case Kind::kText: text = value.text.substr(0, rules::kLabelBytesMax); break;
  }
  out.append(text);
}

}  // namespace

std::vector<rules::RuleCount> CountTally::take(const rules::RuleSet& rules) {
  std::map<std::uint32_t, rules::RuleCount> by_rule;
  for (auto& [key, group] : groups_) {
    rules::GroupCount out;
    out.labels = std::move(group.labels);
    for (auto& [second, count] : group.seconds) {
      out.seconds.push_back(std::move(count));
    }
    for (const auto& [at, n] : group.sketch) {
      const auto second = std::ranges::lower_bound(out.seconds, at.first, {}, &rules::SecondCount::second);
      second->sketch.emplace_back(at.second, n);
    }
    rules::RuleCount& rule = by_rule[group.rule];
    rule.rule = rules.rules()[group.rule].fingerprint();
    rule.groups.push_back(std::move(out));
  }
  groups_.clear();
  groups_of_rule_.clear();
  std::vector<rules::RuleCount> out;
  for (auto& [number, rule] : by_rule) {
    out.push_back(std::move(rule));
  }
  return out;
}

RecordCounter::RecordCounter(std::shared_ptr<const rules::RuleSet> rules,
                             std::shared_ptr<const PipelineSet> pipelines, const CountLimits& limits,
                             Repeats& repeats)
    : rules_(std::move(rules)),
      pipelines_(std::move(pipelines)),
      limits_(limits),
      repeats_(repeats),
      event_(std::max(kEventBytesMax, pipelines_ != nullptr ? pipelines_->record_bytes_max() : 0)) {
  scratch_.identities = this;
}

Result<std::unique_ptr<RecordCounter>> RecordCounter::compile(std::shared_ptr<const rules::RuleSet> rules,
                                                              std::shared_ptr<const PipelineSet> pipelines,
                                                              const CountLimits& limits, Repeats& repeats) {
  std::unique_ptr<RecordCounter> counter(
      new RecordCounter(std::move(rules), std::move(pipelines), limits, repeats));
  std::string errors;
  std::uint32_t index = 0;
  for (const rules::Rule& rule : counter->rules_->rules()) {
    const auto problem = [&](std::string_view key, std::string_view sentence) {
      errors += fmt::format("{}rule {}: {}: {}", errors.empty() ? "" : "\n", rule.name, key, sentence);
    };
    const expr::Vocabulary vocabulary = counter->fields_.vocabulary(rule.signal);
    const auto compile_one = [&](std::string_view key, const std::string& text,
                                 bool condition) -> std::optional<expr::Expression> {
      if (text.empty()) {
        return std::nullopt;
      }
      Result<expr::Expression> made = condition ? expr::Expression::compile_condition(text, vocabulary)
                                                : expr::Expression::compile(text, vocabulary);
      if (!made) {
        problem(key, made.error().message());
        return std::nullopt;
      }
      return std::move(*made);
    };
    Compiled compiled;
    compiled.index = index++;
    compiled.rule = &rule;
    compiled.where = compile_one("where", rule.where, true);
    compiled.of = compile_one("of", rule.of, true);
    compiled.value = compile_one("value", rule.value, false);
    for (const auto& [label, text] : rule.by) {
      if (auto made = compile_one("by." + label, text, false)) {
        compiled.by.push_back(std::move(*made));
      }
    }
    const Pipeline* pipeline = nullptr;
    if (!rule.pipeline.empty()) {
      pipeline = counter->pipelines_ != nullptr ? counter->pipelines_->find(rule.pipeline) : nullptr;
      if (pipeline == nullptr) {
        problem("pipeline",
                fmt::format("there is no pipeline '{}'; there are {}", rule.pipeline,
                            counter->pipelines_ != nullptr ? counter->pipelines_->names() : "none"));
      } else if (pipeline->signal() != rule.signal) {
        problem("pipeline",
                fmt::format("'{}' works on {}", rule.pipeline, otlp::to_string(pipeline->signal())));
      }
    }
    auto& forms = counter->forms_[static_cast<std::size_t>(rule.signal)];
    auto form = std::ranges::find(forms, pipeline, &Form::pipeline);
    if (form == forms.end()) {
      // The record as it came is looked at first.
      form = forms.insert(pipeline == nullptr ? forms.begin() : forms.end(), Form{pipeline, {}});
    }
    form->rules.push_back(std::move(compiled));
  }
  if (!errors.empty()) {
    return fail(ErrorCode::kInvalidArgument, errors);
  }
  if (counter->pipelines_ != nullptr) {
    counter->pipeline_tally_.assign(counter->pipelines_->counters().size(), 0);
  }
  return counter;
}

std::uint64_t RecordCounter::record_identity() {
  std::string key(reinterpret_cast<const char*>(identity_.source.data()), identity_.source.size());
  append_le(key, position_.value_or(identity_.base + index_));
  return xxh3_64(key) ^ xxh3_64(raw_);
}

void RecordCounter::count(const Message& message, CountTally& tally) {
  if (forms_[static_cast<std::size_t>(message.signal)].empty()) {
    return;
  }
  message_ = &message;
  tally_ = &tally;
  scratch_.tables.refresh();
  scratch_.now = message.received;
  scratch_.readable = message.value;
  otlp::Messages resources = otlp::resource_groups(message.value);
  bool ok = true;
  while (resources.next()) {
    ok = count_resource(resources.bytes()) && ok;
  }
  stats_.undecodable += ok && resources.ok() ? 0 : 1;
}

bool RecordCounter::count_resource(std::string_view encoded) {
  otlp::ResourceGroup resource;
  if (!otlp::parse(encoded, resource) || !event_.begin_resource(resource)) {
    return false;
  }
  bool ok = true;
  otlp::Messages scopes = otlp::scope_groups(resource);
  while (scopes.next()) {
    ok = count_scope(scopes.bytes()) && ok;
  }
  scratch_.metrics.clear();
  return ok && scopes.ok();
}

bool RecordCounter::count_scope(std::string_view encoded) {
  otlp::ScopeGroup group;
  if (!otlp::parse(encoded, group) || !otlp::parse(group.scope, scope_)) {
    return false;
  }
  identity_ = otlp::scope_identity(group.scope);
  event_.begin_scope(scope_);
  index_ = 0;
  bool ok = true;
  otlp::Messages records = otlp::records(group);
  for (; records.next(); ++index_) {
    switch (message_->signal) {
      case otlp::Signal::kLogs: {
        otlp::LogRecord record;
        if (!otlp::parse(records.bytes(), record)) {
          ok = false;
          break;
        }
        count_record(record.time != 0 ? record.time : record.observed_time, records.bytes(),
                     [&] { return event_.load(record); });
        break;
      }
      case otlp::Signal::kTraces: {
        otlp::Span span;
        if (!otlp::parse(records.bytes(), span)) {
          ok = false;
          break;
        }
        count_record(span.end != 0 ? span.end : span.start, records.bytes(),
                     [&] { return event_.load(span); });
        break;
      }
      case otlp::Signal::kMetrics: {
        otlp::Metric metric;
        if (!otlp::parse(records.bytes(), metric)) {
          ok = false;
          break;
        }
        otlp::Messages points = metric.points();
        --index_;
        while (points.next()) {
          ++index_;
          otlp::DataPoint point;
          if (!otlp::parse(metric.kind, points.bytes(), point)) {
            ok = false;
            continue;
          }
          count_record(point.time, points.bytes(), [&] { return event_.load(metric, point); });
        }
        break;
      }
    }
  }
  return ok && records.ok();
}

template <class Load>
void RecordCounter::count_record(UnixNanos time, std::string_view raw, Load&& load) {
  ++stats_.records;
  raw_ = raw;
  time_ = time;
  known_ = Known::kNotAsked;
  for (const Form& form : forms_[static_cast<std::size_t>(message_->signal)]) {
    if (!load()) {
      ++stats_.undecodable;
      return;
    }
    position_ = event_.position();
    if (form.pipeline != nullptr) {
      event_.use(pipelines_->fields());
      if (!form.pipeline->takes(event_)) {
        continue;
      }
      scratch_.json.begin_record();
      scratch_.ordinal = static_cast<std::uint32_t>(index_);
      const RunOutcome outcome = form.pipeline->run(event_, scratch_, pipeline_tally_);
      if (outcome == RunOutcome::kDropped || outcome == RunOutcome::kDeadLetter) {
        continue;
      }
    }
    event_.use(fields_);
    for (const Compiled& rule : form.rules) {
      if (rule.where && !rule.where->matches(event_)) {
        continue;
      }
      if (!is_new()) {
        return;
      }
      if (!message_->counted) {
        count_match(rule);
      }
    }
  }
}

// Asked once for each record that any rule counts.
bool RecordCounter::is_new() {
  if (known_ == Known::kNotAsked) {
    const bool fresh =
        !identity_.present ||
        repeats_.admit(identity_.source, position_.value_or(identity_.base + index_), message_->origin);
    known_ = fresh ? Known::kNew : Known::kRepeat;
    stats_.repeats += fresh || message_->counted ? 0 : 1;
  }
  return known_ == Known::kNew;
}

void RecordCounter::count_match(const Compiled& rule) {
  using rules::Measure;
  expr::Value value;
  if (rule.value) {
    value = rule.value->evaluate(event_);
    const bool number = rule.rule->measure != Measure::kDistinct;
    if (value.missing() || (number && (!value.is_number() || !std::isfinite(value.as_double())))) {
      return;
    }
  }
  key_.clear();
  append_le(key_, rule.index);
  std::vector<std::string> labels;
  labels.reserve(rule.by.size());
  for (const expr::Expression& label : rule.by) {
    std::string& text = labels.emplace_back();
    append_label(text, label.evaluate(event_));
    append_le(key_, static_cast<std::uint16_t>(text.size()));
    key_ += text;
  }
  auto found = tally_->groups_.find(key_);
  if (found == tally_->groups_.end()) {
    std::size_t& groups = tally_->groups_of_rule_[rule.index];
    if (groups >= limits_.groups_max) {
      ++stats_.refused;
      return;
    }
    ++groups;
    found = tally_->groups_.emplace(key_, CountTally::Group{rule.index, std::move(labels), {}, {}}).first;
  }
  const UnixNanos apart =
      time_ > message_->received ? time_ - message_->received : message_->received - time_;
  const UnixNanos at = time_ != 0 && apart <= limits_.lateness ? time_ : message_->received;
  const auto second = static_cast<std::int64_t>(at / kNanosPerSecond);
  CountTally::Group& group = found->second;
  rules::SecondCount& count = group.seconds[second];
  count.second = second;
  ++(message_->certain ? count.certain : count.possible);
  if (rule.of && message_->certain && rule.of->matches(event_)) {
    ++count.share;
  }
  if (rule.value && rule.rule->measure == Measure::kDistinct) {
    count_distinct(group, second, value);
  } else if (rule.value) {
    ++group.sketch[{second, rules::QuantileSketch::bucket_of(value.as_double())}];
  }
  ++stats_.matches;
}

void RecordCounter::count_distinct(CountTally::Group& group, std::int64_t second, const expr::Value& value) {
  std::string text;
  append_label(text, value);
  const rules::DistinctSketch::Mark mark = rules::DistinctSketch::mark_of(xxh3_64(text));
  std::uint32_t& rank = group.sketch[{second, mark.reg}];
  rank = std::max<std::uint32_t>(rank, mark.rank);
}

}  // namespace naru::prepper
