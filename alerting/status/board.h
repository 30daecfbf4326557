// Which targets are at which status, and why: each reason is a signal with its own level, and a target is as
// bad as its worst signal.
//
// Pure, edge-triggered: repeating what is known gives nothing. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/status/status.h"

namespace naru::alerting {

// A reason for a target to be other than HEALTHY.
struct Signal {
  std::string target;
  std::string fingerprint;  // of this reason: the same alert or group of a rule
  std::string source;
  Status level = Status::kHealthy;
  UnixNanos at = 0;
  std::string reason;
  std::string evidence = "{}";
  std::uint64_t records = 0;
};

struct TargetState {
  Status status = Status::kHealthy;
  UnixNanos since = 0;
  std::string reason;
  std::string source;
  Version version;  // of the last event
};

class StatusBoard {
 public:
  // Sets the signal's level; HEALTHY takes it away. The change of its target's status, without a version;
  // nullopt: none.
  std::optional<StatusEvent> set(const Signal& signal);
  // A person's word: all signals of the target are settled, and its status is this one until something new
  // happens or a person says otherwise.
  std::optional<StatusEvent> overrule(const Signal& signal);

  void restore_signal(Signal signal);
  void restore_status(const StatusEvent& event);
  // Remembers the version that was given to a target's last event.
  void published(const StatusEvent& event);

  const std::map<std::string, TargetState, std::less<>>& targets() const { return targets_; }
  Status status(std::string_view target) const;
  // The signals of a target that count now.
  std::vector<const Signal*> signals(std::string_view target) const;
  // A signal that is other than HEALTHY; nullptr: none.
  const Signal* find(std::string_view target, std::string_view fingerprint) const;
  std::size_t signal_count() const { return signals_.size(); }

 private:
  std::optional<StatusEvent> settle(const Signal& cause);

  std::map<std::pair<std::string, std::string>, Signal> signals_;  // by target and fingerprint
  std::map<std::string, TargetState, std::less<>> targets_;
};

}  // namespace naru::alerting
