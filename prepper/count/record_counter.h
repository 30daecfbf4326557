// Counts records by the rules: one message in, counts per rule, group and second out.
//
// Pure: time comes with the message. Not thread-safe. Runs the pipelines that rules name, on its own copy of
// each record; what pipelines would write is not written here. Does not look at the store and never waits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/expr/expr.h"
#include "core/rules/counts.h"
#include "core/rules/rule.h"
#include "prepper/count/repeats.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/processors/processor.h"
#include "prepper/record/event.h"

namespace naru::prepper {

struct CountLimits {
  UnixNanos lateness = 10 * kNanosPerSecond;  // own times further off than this are not believed
  std::size_t groups_max = 20'000;            // of one rule in one publication; further ones are not counted
};

// What was counted of one partition since the last publication.
class CountTally {
 public:
  std::vector<rules::RuleCount> take(const rules::RuleSet& rules);
  bool empty() const { return groups_.empty(); }
  std::size_t groups() const { return groups_.size(); }

 private:
  friend class RecordCounter;
  struct Group {
    std::uint32_t rule = 0;
    std::vector<std::string> labels;
    std::map<std::int64_t, rules::SecondCount> seconds;
    std::map<std::pair<std::int64_t, std::int32_t>, std::uint32_t> sketch;
  };
  std::unordered_map<std::string, Group> groups_;  // by rule and labels
  std::unordered_map<std::uint32_t, std::size_t> groups_of_rule_;
};

struct CountStats {
  std::uint64_t records = 0;      // looked at
  std::uint64_t matches = 0;      // counted, once for each rule
  std::uint64_t repeats = 0;      // matching records that had been counted before
  std::uint64_t refused = 0;      // not counted: groups_max
  std::uint64_t undecodable = 0;  // messages that could not be read, wholly or in part
};

class RecordCounter final : private IdentitySource {
 public:
  // kInvalidArgument: every expression that cannot be compiled, and pipelines that there are none of.
  // `repeats` and what it points to outlive this: another set of rules goes on with what is known.
  static Result<std::unique_ptr<RecordCounter>> compile(std::shared_ptr<const rules::RuleSet> rules,
                                                        std::shared_ptr<const PipelineSet> pipelines,
                                                        const CountLimits& limits, Repeats& repeats);

  struct Message {
    otlp::Signal signal = otlp::Signal::kLogs;
    std::string_view value;
    UnixNanos received = 0;
    std::uint32_t origin = 0;  // number of its partition, for Repeats
    bool certain = true;       // false: another cluster may have taken it too
    bool counted = false;      // it was counted before: only its identities are learned
  };
  void count(const Message& message, CountTally& tally);

  const rules::RuleSet& rules() const { return *rules_; }
  const CountStats& stats() const { return stats_; }

 private:
  struct Compiled {
    std::uint32_t index = 0;  // in the set
    const rules::Rule* rule = nullptr;
    std::optional<expr::Expression> where, of, value;
    std::vector<expr::Expression> by;
  };
  // Rules that look at the same form of a record.
  struct Form {
    const Pipeline* pipeline = nullptr;  // nullptr: as it came
    std::vector<Compiled> rules;
  };

  RecordCounter(std::shared_ptr<const rules::RuleSet> rules, std::shared_ptr<const PipelineSet> pipelines,
                const CountLimits& limits, Repeats& repeats);
  std::uint64_t record_identity() override;
  bool count_resource(std::string_view encoded);
  bool count_scope(std::string_view encoded);
  template <class Load>
  void count_record(UnixNanos time, std::string_view raw, Load&& load);
  bool is_new();
  void count_match(const Compiled& rule);
  void count_distinct(CountTally::Group& group, std::int64_t second, const expr::Value& value);

  const std::shared_ptr<const rules::RuleSet> rules_;
  const std::shared_ptr<const PipelineSet> pipelines_;
  const CountLimits limits_;
  Repeats& repeats_;
  FieldTable fields_;
  std::vector<Form> forms_[otlp::kSignals.size()];
  Event event_;
  Scratch scratch_;
  PipelineTally pipeline_tally_;
  CountStats stats_;

  // Of the record at hand.
  const Message* message_ = nullptr;
  CountTally* tally_ = nullptr;
  otlp::ScopeIdentity identity_;
  otlp::Scope scope_;
  std::uint64_t index_ = 0;  // in its scope
  std::string_view raw_;
  UnixNanos time_ = 0;
  enum class Known : std::uint8_t { kNotAsked, kNew, kRepeat } known_ = Known::kNotAsked;
  std::optional<std::uint64_t> position_;
  std::string key_;
};

}  // namespace naru::prepper
