#include "alerting/status/board.h"

#include <algorithm>

namespace naru::alerting {

std::optional<StatusEvent> StatusBoard::set(const Signal& signal) {
  const std::pair key(signal.target, signal.fingerprint);
  const auto known = signals_.find(key);
  const Status before = known == signals_.end() ? Status::kHealthy : known->second.level;
  if (before == signal.level) {
    return std::nullopt;
  }
  if (signal.level == Status::kHealthy) {
    signals_.erase(known);
  } else {
    signals_.insert_or_assign(key, signal);
  }
  return settle(signal);
}

std::optional<StatusEvent> StatusBoard::overrule(const Signal& signal) {
  std::erase_if(signals_, [&](const auto& entry) { return entry.first.first == signal.target; });
  if (signal.level != Status::kHealthy) {
    signals_.insert_or_assign(std::pair(signal.target, signal.fingerprint), signal);
  }
  return settle(signal);
}

// Only the status of the signal's target can have changed.
std::optional<StatusEvent> StatusBoard::settle(const Signal& cause) {
  Status worst = Status::kHealthy;
  for (const Signal* signal : signals(cause.target)) {
    worst = std::max(worst, signal->level);
  }
  TargetState& state = targets_[cause.target];
  if (worst == state.status) {
    return std::nullopt;
  }
  StatusEvent event;
  event.target = cause.target;
  event.status = worst;
  event.previous = state.status;
  // Time does not run backwards for a target, whatever clocks its signals come from.
  event.at = std::max(cause.at, state.since);
  event.source = cause.source;
  event.reason = cause.reason;
  event.fingerprint = cause.fingerprint;
  event.evidence = cause.evidence;
  event.records = cause.records;
  state.status = worst;
  state.since = event.at;
  state.reason = event.reason;
  state.source = event.source;
  return event;
}

void StatusBoard::restore_signal(Signal signal) {
  signals_.insert_or_assign(std::pair(signal.target, signal.fingerprint), std::move(signal));
}

void StatusBoard::restore_status(const StatusEvent& event) {
  targets_[event.target] = {event.status, event.at, event.reason, event.source, event.version};
}

void StatusBoard::published(const StatusEvent& event) {
  if (const auto found = targets_.find(event.target); found != targets_.end()) {
    found->second.version = event.version;
  }
}

Status StatusBoard::status(std::string_view target) const {
  const auto found = targets_.find(target);
  return found == targets_.end() ? Status::kHealthy : found->second.status;
}

std::vector<const Signal*> StatusBoard::signals(std::string_view target) const {
  std::vector<const Signal*> out;
  for (auto at = signals_.lower_bound({std::string(target), {}});
       at != signals_.end() && at->first.first == target; ++at) {
    out.push_back(&at->second);
  }
  return out;
}

const Signal* StatusBoard::find(std::string_view target, std::string_view fingerprint) const {
  const auto found = signals_.find({std::string(target), std::string(fingerprint)});
  return found == signals_.end() ? nullptr : &found->second;
}

}  // namespace naru::alerting
