#include "naru/rules/replay.h"

#include <utility>

namespace naru {
namespace {

rules::Feed feed_of(otlp::Signal signal) {
  return {"replay", std::string(otlp::default_topic(signal)), 0};
}

}  // namespace

Result<std::unique_ptr<Replay>> Replay::make(std::shared_ptr<const rules::RuleSet> rules,
                                             std::shared_ptr<const prepper::PipelineSet> pipelines,
                                             UnixNanos begin) {
  std::unique_ptr<Replay> replay(new Replay());
  NARU_TRY(replay->counter_,
           prepper::RecordCounter::compile(rules, std::move(pipelines), {}, replay->repeats_));
  NARU_TRY(replay->decider_, alerting::Decider::make({}));
  replay->second_ = begin / kNanosPerSecond * kNanosPerSecond;
  replay->decider_->begin(1, begin);
  std::vector<alerting::LevelChange> none;
  replay->evaluator_.use(std::move(rules), begin, none);
  for (const otlp::Signal signal : otlp::kSignals) {
    replay->evaluator_.expect(signal, {feed_of(signal)});
  }
  return replay;
}

void Replay::take(otlp::Signal signal, std::string_view request, UnixNanos at) {
  advance(at / kNanosPerSecond * kNanosPerSecond);
  counter_->count({.signal = signal,
                   .value = request,
                   .received = at,
                   .origin = static_cast<std::uint32_t>(signal),
                   .certain = true,
                   .counted = false},
                  tallies_[static_cast<std::size_t>(signal)]);
}

void Replay::advance(UnixNanos to) {
  while (second_ + kNanosPerSecond <= to) {
    end_second();
  }
}

void Replay::end_second() {
  const UnixNanos end = second_ + kNanosPerSecond - 1;
  std::vector<alerting::LevelChange> levels;
  for (const otlp::Signal signal : otlp::kSignals) {
    const auto number = static_cast<std::size_t>(signal);
    rules::Counts counts;
    counts.from = offsets_[number];
    counts.to = ++offsets_[number];
    counts.caught_up_to = end;
    counts.rules = tallies_[number].take(counter_->rules());
    evaluator_.count(feed_of(signal), counts, levels);
  }
  evaluator_.tick(end, levels);
  alerting::Decisions decisions;
  for (const alerting::LevelChange& level : levels) {
    decider_->rule_changed(level, evaluator_.saved(level), decisions);
  }
  for (alerting::StatusEvent& event : decisions.events) {
    changes_.push_back({.at = second_,
                        .target = std::move(event.target),
                        .status = event.status,
                        .previous = event.previous,
                        .source = std::move(event.source),
                        .reason = std::move(event.reason)});
  }
  second_ += kNanosPerSecond;
}

}  // namespace naru
