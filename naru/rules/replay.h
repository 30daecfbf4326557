// Rules on records of the past or of a test: the counter, the evaluator and the decider of the platform,
// second by second on a clock of its own. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "alerting/decide/decider.h"
#include "alerting/rules/evaluator.h"
#include "core/base/result.h"
#include "core/rules/rule.h"
#include "prepper/count/record_counter.h"

namespace naru {

class Replay {
 public:
  struct Change {
    UnixNanos at = 0;  // beginning of the second in which it was decided
    std::string target;
    rules::Level status = rules::Level::kHealthy, previous = rules::Level::kHealthy;
    std::string source;
    std::string reason;
  };

  // kInvalidArgument: an expression, or a pipeline that there is none of.
  static Result<std::unique_ptr<Replay>> make(std::shared_ptr<const rules::RuleSet> rules,
                                              std::shared_ptr<const prepper::PipelineSet> pipelines,
                                              UnixNanos begin);

  // An OTLP request received at `at`, which must not be before the second at hand.
  void take(otlp::Signal signal, std::string_view request, UnixNanos at);
  // Decides everything before `to`.
  void advance(UnixNanos to);

  const std::vector<Change>& changes() const { return changes_; }
  const prepper::CountStats& stats() const { return counter_->stats(); }

 private:
  Replay() : evaluator_(alerting::EvaluatorLimits{}) {}
  void end_second();

  prepper::Repeats repeats_{100'000};
  std::unique_ptr<prepper::RecordCounter> counter_;
  alerting::Evaluator evaluator_;
  std::unique_ptr<alerting::Decider> decider_;
  prepper::CountTally tallies_[otlp::kSignals.size()];
  std::int64_t offsets_[otlp::kSignals.size()] = {};
  UnixNanos second_ = 0;  // beginning of the second at hand
  std::vector<Change> changes_;
};

}  // namespace naru
