#include "alerting/rules/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace naru::alerting {
namespace {

using rules::Measure;
using rules::Rule;

// One look at the windows that ended since the last, at most: after a stall the newest say enough.
constexpr std::int64_t kEndsAtOnceMax = 5;

std::int64_t second_of(UnixNanos time) {
  return static_cast<std::int64_t>(time / kNanosPerSecond);
}

UnixNanos start_of(std::int64_t second) {
  return second <= 0 ? 0 : static_cast<UnixNanos>(second) * kNanosPerSecond;
}

bool grows_only(Measure measure) {
  return measure == Measure::kCount || measure == Measure::kRate;
}

std::size_t index_of(otlp::Signal signal) {
  return static_cast<std::size_t>(signal);
}

}  // namespace

std::string Evaluator::key_of(std::string_view rule, const std::vector<std::string>& values) {
  std::string key(rule);
  for (const std::string& value : values) {
    key += '\x1f';
    key += value;
  }
  return key;
}

std::chrono::seconds Evaluator::horizon() const {
  std::chrono::seconds longest{0};
  for (const Rule& rule : rules_->rules()) {
    longest = std::max(longest, rule.window + rule.pending + rule.keep_firing_for);
  }
  return longest + 2 * limits_.lateness + std::chrono::seconds{10};
}

void Evaluator::use(std::shared_ptr<const rules::RuleSet> rules, UnixNanos now,
                    std::vector<LevelChange>& out) {
  const std::shared_ptr<const rules::RuleSet> before = std::exchange(rules_, std::move(rules));
  std::vector<std::string> gone;
  for (auto& [key, group] : groups_) {
    const Rule& old = before->rules()[group.rule];
    const Rule* const same = rules_->find(old.name);
    if (same != nullptr && same->fingerprint() == old.fingerprint()) {
      group.rule = static_cast<std::uint32_t>(same - rules_->rules().data());
      continue;
    }
    gone.push_back(key);
    if (group.level == Level::kHealthy) {
      continue;
    }
    LevelChange change;
    change.rule_name = old.name;
    change.group = group.values;
    change.labels = old.labels;
    change.previous = group.level;
    change.at = now;
    change.reason = same == nullptr ? fmt::format("rule \"{}\" is gone", old.name)
                                    : fmt::format("rule \"{}\" counts something else now", old.name);
    out.push_back(std::move(change));
  }
  for (const std::string& key : gone) {
    groups_.erase(key);
  }
}

void Evaluator::expect(otlp::Signal signal, std::vector<rules::Feed> feeds) {
  signals_[index_of(signal)].expected = std::move(feeds);
}

void Evaluator::restore(const SavedGroup& saved) {
  const Rule* const rule = rules_->find(saved.rule);
  if (rule == nullptr) {
    return;
  }
  Group* const group = find_or_add(static_cast<std::uint32_t>(rule - rules_->rules().data()), saved.group);
  if (group == nullptr) {
    return;
  }
  group->level = saved.level;
  group->window.run(Level::kCaution) = saved.caution;
  group->window.run(Level::kCritical) = saved.critical;
  group->window.set_newest(saved.newest);
}

SavedGroup Evaluator::saved(const LevelChange& change) const {
  SavedGroup out{
      .rule = change.rule_name, .group = change.group, .level = change.level, .caution = {}, .critical = {}};
  if (const auto found = groups_.find(key_of(change.rule_name, change.group)); found != groups_.end()) {
    out.caution = found->second.window.run(Level::kCaution);
    out.critical = found->second.window.run(Level::kCritical);
    out.newest = found->second.window.newest();
  }
  return out;
}

Evaluator::Group* Evaluator::find_or_add(std::uint32_t rule, const std::vector<std::string>& values) {
  const std::string key = key_of(rules_->rules()[rule].name, values);
  if (const auto found = groups_.find(key); found != groups_.end()) {
    return &found->second;
  }
  if (groups_.size() >= limits_.groups_max) {
    ++groups_refused_;
    return nullptr;
  }
  Group& group = groups_[key];
  group.rule = rule;
  group.values = values;
  return &group;
}

// Whether the range is the next one. What came before is ignored, what is missing is noted.
bool Evaluator::accept(const rules::Feed& feed, const rules::Counts& counts) {
  FeedState& state = feeds_[feed];
  if (state.open_to == counts.to && counts.to > 0) {
    return true;  // a further record of the same range
  }
  if (state.next >= 0 && counts.from < state.next) {
    repeats_ += counts.from < counts.to ? 1 : 0;
    return false;
  }
  if (state.next >= 0 && counts.from > state.next) {
    ++gaps_;
    for (const otlp::Signal signal : otlp::kSignals) {
      SignalState& of = signals_[index_of(signal)];
      if (std::ranges::find(of.expected, feed) != of.expected.end()) {
        of.incomplete_until =
            std::max(of.incomplete_until, second_of(counts.caught_up_to) + horizon().count());
      }
    }
  }
  return true;
}

void Evaluator::take(const rules::Feed& feed, const rules::Counts& counts, bool refill,
                     std::vector<LevelChange>* out) {
  if (!accept(feed, counts)) {
    return;
  }
  for (const rules::RuleCount& counted : counts.rules) {
    const Rule* const rule = rules_->find(counted.rule);
    if (rule == nullptr) {
      ++unknown_;
      continue;
    }
    for (const rules::GroupCount& group : counted.groups) {
      count_group(static_cast<std::uint32_t>(rule - rules_->rules().data()), group, feed, counts, refill,
                  out);
    }
  }
  FeedState& state = feeds_[feed];
  state.open_to = counts.last ? -1 : counts.to;
  if (counts.last) {
    state.next = counts.to;
    state.caught_up_to = std::max(state.caught_up_to, counts.caught_up_to);
  } else if (state.next < 0) {
    state.next = counts.from;
  }
}

void Evaluator::count_group(std::uint32_t number, const rules::GroupCount& counted, const rules::Feed& feed,
                            const rules::Counts& counts, bool refill, std::vector<LevelChange>* out) {
  const Rule& rule = rules_->rules()[number];
  if (counted.labels.size() != rule.by.size()) {
    ++unknown_;
    return;
  }
  Group* const group = find_or_add(number, counted.labels);
  if (group == nullptr) {
    return;
  }
  for (const rules::SecondCount& second : counted.seconds) {
    if (rule.measure == Measure::kAbsence) {
      group->window.set_newest(second.second);
      continue;
    }
    group->window.add(rule, second);
  }
  if (!grows_only(rule.measure)) {
    return;
  }
  for (const rules::SecondCount& second : counted.seconds) {
    const Peak peak = group->window.look_ahead(rule, second.second);
    if (refill || peak.level <= group->level || rule.pending.count() > 0) {
      continue;
    }
    const std::size_t before = out->size();
    raise(*group, peak, start_of(second.second), *out);
    if (out->size() > before) {
      out->back().feed = feed;
      out->back().from = counts.from;
      out->back().to = counts.to;
    }
  }
}

LevelChange Evaluator::change(const Group& group, Level level, std::int64_t second) const {
  const Rule& rule = rules_->rules()[group.rule];
  LevelChange out;
  out.rule = &rule;
  out.rule_name = rule.name;
  out.group = group.values;
  out.labels = rule.labels;
  out.labels.insert_or_assign("alertname", rule.name);
  std::size_t at = 0;
  for (const auto& [label, expression] : rule.by) {
    out.labels.insert_or_assign(label, at < group.values.size() ? group.values[at] : std::string());
    ++at;
  }
  out.level = level;
  out.previous = group.level;
  out.at = start_of(second);
  return out;
}

void Evaluator::raise(Group& group, const Peak& peak, UnixNanos at, std::vector<LevelChange>& out) {
  const Rule& rule = rules_->rules()[group.rule];
  LevelChange up = change(group, peak.level, 0);
  up.at = at;
  up.value = peak.value;
  up.records = peak.records;
  up.threshold = rule.threshold(peak.level);
  up.reason = fmt::format("{} of rule \"{}\" is {:g} within {} s, above {:g}", to_string(rule.measure),
                          rule.name, peak.value, rule.window.count(), up.threshold);
  group.level = peak.level;
  out.push_back(std::move(up));
}

// Thresholds that must stay exceeded for a while.
void Evaluator::raise_pending(Group& group, std::int64_t seen, std::vector<LevelChange>& out) {
  const Rule& rule = rules_->rules()[group.rule];
  for (const Level level : {Level::kCritical, Level::kCaution}) {
    const Run& run = group.window.run(level);
    if (level <= group.level || run.until == kNever || run.until < seen - kEndsAtOnceMax) {
      continue;
    }
    if (std::min(run.until, seen) - run.from >= rule.pending.count()) {
      Window& window = group.window;
      Peak peak = window.look_at(rule, std::min(run.until, seen));
      peak.level = level;
      raise(group, peak, start_of(std::min(run.until, seen)), out);
      return;
    }
  }
}

// One step down at a time, each at its own moment.
void Evaluator::lower(Group& group, std::int64_t complete, std::vector<LevelChange>& out) {
  const Rule& rule = rules_->rules()[group.rule];
  const std::int64_t keep = rule.keep_firing_for.count();
  while (group.level != Level::kHealthy) {
    const std::int64_t quiet_from = group.window.run(group.level).until + keep;
    if (complete < quiet_from) {
      return;
    }
    const bool caution =
        group.level == Level::kCritical && group.window.run(Level::kCaution).until + keep > quiet_from;
    LevelChange down = change(group, caution ? Level::kCaution : Level::kHealthy, quiet_from + 1);
    down.threshold = rule.threshold(group.level);
    down.reason = fmt::format("no window of {} s of rule \"{}\" was above {:g} for {} s", rule.window.count(),
                              rule.name, down.threshold, keep);
    group.level = down.level;
    out.push_back(std::move(down));
  }
}

void Evaluator::judge_absence(Group& group, std::int64_t complete, std::vector<LevelChange>& out) {
  const Rule& rule = rules_->rules()[group.rule];
  const std::int64_t newest = group.window.newest();
  if (group.level == Level::kHealthy) {
    const std::int64_t since = newest + rule.window.count() + rule.pending.count();
    if (complete >= since) {
      LevelChange up = change(group, rule.absent, since + 1);
      up.threshold = static_cast<double>(rule.window.count());
      up.value = static_cast<double>(complete - newest);
      up.reason = fmt::format("no record of rule \"{}\" for {} s", rule.name, rule.window.count());
      group.level = rule.absent;
      group.back_since = kNever;
      out.push_back(std::move(up));
    }
    return;
  }
  const bool back = complete - newest < rule.window.count();
  const bool forgotten = complete - newest >= rule.forget_after.count();
  if (back && group.back_since == kNever) {
    group.back_since = newest;
  } else if (!back) {
    group.back_since = kNever;
  }
  if (forgotten || (back && complete >= group.back_since + rule.keep_firing_for.count())) {
    LevelChange down = change(group, Level::kHealthy, complete + 1);
    down.reason = forgotten ? fmt::format("silent for {} s: gone for good", rule.forget_after.count())
                            : fmt::format("records of rule \"{}\" come again", rule.name);
    group.level = Level::kHealthy;
    out.push_back(std::move(down));
  }
}

// A rule without labels has one group from the beginning: its absence must be found although nothing ever
// came.
void Evaluator::make_groups_without_labels(otlp::Signal signal, std::int64_t seen) {
  for (const Rule& rule : rules_->rules()) {
    if (rule.measure == Measure::kAbsence && rule.signal == signal && rule.by.empty()) {
      Group* const group = find_or_add(static_cast<std::uint32_t>(&rule - rules_->rules().data()), {});
      if (group != nullptr && group->window.newest() == kNever) {
        group->window.set_newest(seen);
      }
    }
  }
}

std::optional<UnixNanos> Evaluator::caught_up_to(otlp::Signal signal) const {
  const SignalState& state = signals_[index_of(signal)];
  std::optional<UnixNanos> least;
  for (const rules::Feed& feed : state.expected) {
    const auto found = feeds_.find(feed);
    if (found == feeds_.end() || found->second.caught_up_to == 0) {
      return std::nullopt;
    }
    least = std::min(least.value_or(found->second.caught_up_to), found->second.caught_up_to);
  }
  return least;
}

void Evaluator::tick(UnixNanos now, std::vector<LevelChange>& out) {
  for (const otlp::Signal signal : otlp::kSignals) {
    SignalState& state = signals_[index_of(signal)];
    const std::optional<UnixNanos> caught_up = caught_up_to(signal);
    if (!caught_up) {
      continue;
    }
    const std::int64_t seen = second_of(std::min(*caught_up, now));
    const std::int64_t complete = seen - limits_.lateness.count() - 1;
    if (seen <= state.seen_until) {
      continue;
    }
    const std::int64_t first_end = std::max(state.seen_until + 1, seen - kEndsAtOnceMax + 1);
    state.seen_until = seen;
    state.complete_until = std::max(state.complete_until, complete);
    make_groups_without_labels(signal, seen);
    const bool quiet_is_known = complete > state.incomplete_until;
    std::vector<std::string> settled;
    for (auto& [key, group] : groups_) {
      const Rule& rule = rules_->rules()[group.rule];
      if (rule.signal != signal) {
        continue;
      }
      if (rule.measure == Measure::kAbsence) {
        if (quiet_is_known) {
          judge_absence(group, complete, out);
          if (group.level == Level::kHealthy && !group.values.empty() &&
              complete - group.window.newest() >= rule.forget_after.count()) {
            settled.push_back(key);
          }
        }
        continue;
      }
      if (!grows_only(rule.measure) && !group.window.empty()) {
        Peak peak;
        for (std::int64_t end = first_end; end <= seen; ++end) {
          peak = group.window.look_at(rule, end);
        }
        if (rule.pending.count() == 0 && peak.level > group.level) {
          raise(group, peak, start_of(seen), out);
        }
      }
      if (rule.pending.count() > 0) {
        raise_pending(group, seen, out);
      }
      if (quiet_is_known) {
        lower(group, complete, out);
        group.window.forget_before(rule, complete);
        if (group.level == Level::kHealthy && group.window.empty()) {
          settled.push_back(key);
        }
      }
    }
    for (const std::string& key : settled) {
      groups_.erase(key);
    }
  }
}

bool Evaluator::is_used(otlp::Signal signal) const {
  return std::ranges::any_of(rules_->rules(), [&](const Rule& rule) { return rule.signal == signal; });
}

bool Evaluator::knows_partitions() const {
  return std::ranges::none_of(otlp::kSignals, [&](otlp::Signal signal) {
    return is_used(signal) && signals_[index_of(signal)].expected.empty();
  });
}

std::string Evaluator::blind(UnixNanos now) const {
  for (const otlp::Signal signal : otlp::kSignals) {
    if (!is_used(signal)) {
      continue;
    }
    const SignalState& state = signals_[index_of(signal)];
    for (const rules::Feed& feed : state.expected) {
      const auto found = feeds_.find(feed);
      if (found == feeds_.end() || found->second.caught_up_to == 0) {
        return fmt::format("{}: {} has not been counted yet", otlp::to_string(signal), format_feed(feed));
      }
      const UnixNanos caught_up = found->second.caught_up_to;
      if (now > caught_up + to_nanos(limits_.blind_after)) {
        return fmt::format("{}: {} is counted up to {} s ago only", otlp::to_string(signal),
                           format_feed(feed), (now - caught_up) / kNanosPerSecond);
      }
    }
    if (state.expected.empty()) {
      return fmt::format("{}: the partitions of its topic are not known yet", otlp::to_string(signal));
    }
  }
  return {};
}

}  // namespace naru::alerting
