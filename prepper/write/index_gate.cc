#include "prepper/write/index_gate.h"

#include <fmt/format.h>

#include <utility>

namespace naru::prepper {

std::string_view to_string(HoldCause cause) {
  switch (cause) {
    case HoldCause::kUnavailable: return "unavailable";
    case HoldCause::kDisk: return "disk";
    case HoldCause::kRefused: return "refused";
    case HoldCause::kMapping: return "mapping";
  }
  return "";
}

bool IndexGate::open(std::string_view index) const {
  const auto at = states_.find(index);
  return at == states_.end() || !at->second.held;
}

bool IndexGate::probe_due(std::string_view index, std::uint64_t now) const {
  const auto at = states_.find(index);
  return at != states_.end() && at->second.held && !at->second.probing && now >= at->second.probe_at;
}

void IndexGate::take_probe(std::string_view index) {
  if (const auto at = states_.find(index); at != states_.end()) {
    at->second.probing = true;
  }
}

void IndexGate::schedule(State& state, std::uint64_t now) {
  state.probing = false;
  ++state.holds;
  state.probe_at =
      now + static_cast<std::uint64_t>(std::chrono::nanoseconds(policy_.wait(state.holds)).count());
}

void IndexGate::end_probe(std::string_view index, std::uint64_t now) {
  const auto at = states_.find(index);
  if (at != states_.end() && at->second.held && at->second.probing) {
    schedule(at->second, now);
  }
}

std::uint64_t IndexGate::probe_at(std::string_view index) const {
  const auto at = states_.find(index);
  if (at == states_.end()) {
    return 0;
  }
  return at->second.probing ? ~std::uint64_t{0} : at->second.probe_at;
}

std::uint64_t IndexGate::held_since(std::string_view index) const {
  const auto at = states_.find(index);
  return at == states_.end() || !at->second.held ? 0 : at->second.since;
}

void IndexGate::succeeded(std::string_view index) {
  if (const auto at = states_.find(index); at != states_.end()) {
    states_.erase(at);
  }
}

void IndexGate::answered(std::string_view index) {
  if (const auto at = states_.find(index); at != states_.end()) {
    at->second.held = false;
    at->second.probing = false;
  }
}

bool IndexGate::hold(std::string_view index, HoldCause cause, std::string reason, std::uint64_t now) {
  State& state = states_[std::string(index)];
  const bool was_open = !state.held;
  state.since = was_open ? now : state.since;
  if (was_open || state.probing) {  // late answers of requests from before the hold change nothing
    state.held = true;
    schedule(state, now);
  }
  state.cause = cause;
  state.reason = std::move(reason);
  return was_open;
}

std::optional<std::string> IndexGate::document_fault(std::string_view index, std::string_view type) {
  auto at = states_.find(index);
  if (at == states_.end()) {
    at = states_.emplace(index, State{}).first;
  }
  State& state = at->second;
  state.faults = state.fault_type == type ? state.faults + 1 : 1;
  state.fault_type = type;
  if (state.faults <= config_.document_faults_max) {
    return std::nullopt;
  }
  return fmt::format(
      "{} documents in a row were refused with {}: the index's mapping does not fit its template; compare "
      "them "
      "with `naru bootstrap --plan`",
      state.faults - 1, type);
}

std::vector<IndexGate::Held> IndexGate::held() const {
  std::vector<Held> out;
  for (const auto& [index, state] : states_) {
    if (state.held) {
      out.push_back({index, state.cause, state.reason});
    }
  }
  return out;
}

}  // namespace naru::prepper
