// Decides by the merged counts of all partitions which groups of which rules are at which level.
//
// Pure: counts and time are parameters. Not thread-safe. A level goes up as soon as a threshold is exceeded;
// it goes down, and absence is found, only behind the time up to which every partition is counted
// (contracts.md 8). While that time stands still the evaluator is blind: nothing goes down, and blind() says
// why.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "alerting/rules/window.h"
#include "core/base/clock.h"
#include "core/rules/counts.h"
#include "core/rules/label_text.h"
#include "core/rules/rule.h"

namespace naru::alerting {

struct EvaluatorLimits {
  std::chrono::seconds lateness{10};
  std::chrono::milliseconds blind_after{5'000};
  std::size_t groups_max = 100'000;  // of all rules; further ones are not watched, and counted
};

// A group of a rule changed its level.
struct LevelChange {
  const rules::Rule* rule = nullptr;  // nullptr: the rule is gone
  std::string rule_name;
  std::vector<std::string> group;  // values of `by`
  rules::Labels labels;            // of `by`, of the rule, and alertname
  Level level = Level::kHealthy, previous = Level::kHealthy;
  UnixNanos at = 0;
  double value = 0;  // of the window that decided; 0 on the way down
  double threshold = 0;
  std::uint64_t records = 0;  // in that window
  std::string reason;
  rules::Feed feed;  // the range of records whose counts decided; none on the way down
  std::int64_t from = 0, to = 0;
};

// What must be kept of a group that is not HEALTHY, beside what its counts tell.
struct SavedGroup {
  std::string rule;
  std::vector<std::string> group;
  Level level = Level::kHealthy;
  Run caution, critical;
  std::int64_t newest = kNever;
};

class Evaluator {
 public:
  explicit Evaluator(const EvaluatorLimits& limits) : limits_(limits) {}

  // The rules from now on. Groups of rules that are gone become HEALTHY; those of rules that only got another
  // threshold are judged by it.
  void use(std::shared_ptr<const rules::RuleSet> rules, UnixNanos now, std::vector<LevelChange>& out);
  // The partitions whose counts must be there before anything is known to be quiet.
  void expect(otlp::Signal signal, std::vector<rules::Feed> feeds);

  void restore(const SavedGroup& saved);
  // Fills the windows only: what these counts decided is known already.
  void refill(const rules::Feed& feed, const rules::Counts& counts) { take(feed, counts, true, nullptr); }
  void count(const rules::Feed& feed, const rules::Counts& counts, std::vector<LevelChange>& out) {
    take(feed, counts, false, &out);
  }
  // What time alone decides.
  void tick(UnixNanos now, std::vector<LevelChange>& out);

  // Why nothing goes down now: "logs: ..."; empty while all is seen.
  std::string blind(UnixNanos now) const;
  // Every signal that rules look at has partitions that are expected.
  bool knows_partitions() const;
  // Of the signal; nullopt: not every partition has told yet.
  std::optional<UnixNanos> caught_up_to(otlp::Signal signal) const;
  // How far back counts must be read again after a restart.
  std::chrono::seconds horizon() const;
  SavedGroup saved(const LevelChange& change) const;

  std::size_t groups() const { return groups_.size(); }
  std::uint64_t groups_refused() const { return groups_refused_; }
  std::uint64_t gaps() const { return gaps_; }
  std::uint64_t repeats() const { return repeats_; }
  std::uint64_t unknown() const { return unknown_; }  // counts of rules that are not known here

 private:
  bool is_used(otlp::Signal signal) const;

  struct Group {
    std::uint32_t rule = 0;
    std::vector<std::string> values;
    Window window;
    Level level = Level::kHealthy;
    std::int64_t back_since = kNever;  // absence: when records came again
  };
  struct FeedState {
    std::int64_t next = -1;     // offset; -1: nothing came yet
    std::int64_t open_to = -1;  // end of a range of which more records follow
    UnixNanos caught_up_to = 0;
  };
  struct SignalState {
    std::vector<rules::Feed> expected;
    std::int64_t seen_until = kNever;        // windows that end here or earlier were looked at
    std::int64_t complete_until = kNever;    // and can get no more records
    std::int64_t incomplete_until = kNever;  // counts are missing: nothing is quiet before
  };

  void take(const rules::Feed& feed, const rules::Counts& counts, bool refill, std::vector<LevelChange>* out);
  bool accept(const rules::Feed& feed, const rules::Counts& counts);
  void count_group(std::uint32_t rule, const rules::GroupCount& counted, const rules::Feed& feed,
                   const rules::Counts& counts, bool refill, std::vector<LevelChange>* out);
  Group* find_or_add(std::uint32_t rule, const std::vector<std::string>& values);
  void raise(Group& group, const Peak& peak, UnixNanos at, std::vector<LevelChange>& out);
  void raise_pending(Group& group, std::int64_t seen, std::vector<LevelChange>& out);
  void lower(Group& group, std::int64_t complete, std::vector<LevelChange>& out);
  void judge_absence(Group& group, std::int64_t complete, std::vector<LevelChange>& out);
  LevelChange change(const Group& group, Level level, std::int64_t second) const;
  void make_groups_without_labels(otlp::Signal signal, std::int64_t seen);
  static std::string key_of(std::string_view rule, const std::vector<std::string>& values);

  const EvaluatorLimits limits_;
  std::shared_ptr<const rules::RuleSet> rules_ = std::make_shared<rules::RuleSet>();
  std::unordered_map<std::string, Group> groups_;  // by rule and values
  std::map<rules::Feed, FeedState> feeds_;
  SignalState signals_[otlp::kSignals.size()];
  std::uint64_t groups_refused_ = 0, gaps_ = 0, repeats_ = 0, unknown_ = 0;
};

}  // namespace naru::alerting
