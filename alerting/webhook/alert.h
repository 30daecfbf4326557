// An alert as somebody else's alerting tells it, and the order of what it tells (contracts.md 8).
//
// Pure. For one (fingerprint, startsAt) firing comes before resolved, and resolved is final; senders deliver
// at least once and out of order (formats.md 2.10).
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/rules/label_text.h"

namespace naru::alerting {

struct Alert {
  enum class State : std::uint8_t { kFiring, kResolved };

  std::string source;  // grafana, alertmanager, kibana or generic
  std::string fingerprint;
  State state = State::kFiring;
  UnixNanos starts_at = 0;
  rules::Labels labels;
  rules::Labels annotations;
  std::string url;     // where a person looks at it
  std::string target;  // as the sender says; empty: the mapping decides
  std::string level;   // likewise
  // It tells that nothing is known, not that anything is well or broken: no status may move by it.
  bool unknown = false;
};

class AlertOrder {
 public:
  enum class Verdict : std::uint8_t { kNew, kDuplicate, kStale };

  // Remembers at most `alerts_max`; of those that are resolved the one heard of longest ago goes first.
  explicit AlertOrder(std::size_t alerts_max) : alerts_max_(alerts_max) {}

  struct Known {
    UnixNanos starts_at = 0;
    bool resolved = false;
  };
  // What the alert is to what was heard before; remembers nothing.
  Verdict judge(const Alert& alert) const;
  void remember(const std::string& source, const std::string& fingerprint, const Known& known);
  std::size_t size() const { return known_.size(); }
  // The one that remember() gave up for the last one; nullopt: none. For whoever keeps them elsewhere.
  std::optional<std::string> take_forgotten() { return std::exchange(forgotten_, std::nullopt); }
  static std::string key_of(const std::string& source, const std::string& fingerprint) {
    return source + "/" + fingerprint;
  }

 private:
  struct Entry {
    Known known;
    std::list<std::string>::iterator age;
  };
  const std::size_t alerts_max_;
  std::map<std::string, Entry> known_;
  std::list<std::string> oldest_first_;
  std::optional<std::string> forgotten_;
};

}  // namespace naru::alerting
