#include "alerting/webhook/alert.h"

#include <utility>

namespace naru::alerting {

AlertOrder::Verdict AlertOrder::judge(const Alert& alert) const {
  const auto found = known_.find(key_of(alert.source, alert.fingerprint));
  if (found == known_.end()) {
    return Verdict::kNew;
  }
  const Known& known = found->second.known;
  const bool resolved = alert.state == Alert::State::kResolved;
  if (alert.starts_at < known.starts_at) {
    return Verdict::kStale;
  }
  if (alert.starts_at > known.starts_at) {
    return Verdict::kNew;
  }
  if (known.resolved == resolved) {
    return Verdict::kDuplicate;
  }
  return known.resolved ? Verdict::kStale : Verdict::kNew;  // resolved is final
}

void AlertOrder::remember(const std::string& source, const std::string& fingerprint, const Known& known) {
  const std::string key = key_of(source, fingerprint);
  if (const auto found = known_.find(key); found != known_.end()) {
    found->second.known = known;
    oldest_first_.splice(oldest_first_.end(), oldest_first_, found->second.age);
    return;
  }
  if (known_.size() >= alerts_max_) {
    // A firing one is forgotten only when nothing else is left to forget.
    auto victim = oldest_first_.begin();
    for (auto at = victim; at != oldest_first_.end(); ++at) {
      if (known_.at(*at).known.resolved) {
        victim = at;
        break;
      }
    }
    forgotten_ = *victim;
    known_.erase(*victim);
    oldest_first_.erase(victim);
  }
  oldest_first_.push_back(key);
  known_.emplace(key, Entry{known, std::prev(oldest_first_.end())});
}

}  // namespace naru::alerting
