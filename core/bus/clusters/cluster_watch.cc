#include "core/bus/clusters/cluster_watch.h"

#include <algorithm>
#include <utility>

#include "core/base/clock.h"

namespace naru::bus {

ClusterWatch::ClusterWatch(std::size_t clusters, std::chrono::milliseconds every, Ask ask, Told told)
    : ask_(std::move(ask)), told_(std::move(told)), reach_(clusters) {
  for (std::size_t i = 0; i < clusters; ++i) {
    looks_.emplace_back(every, [this, i] { look_at(i); }, Periodic::First::kAtOnce);
  }
}

ClusterWatch::~ClusterWatch() {
  std::ranges::for_each(looks_, &Periodic::ask_to_stop);
}

ClusterReach ClusterWatch::reach(std::size_t cluster) const {
  const std::lock_guard lock(mutex_);
  return reach_[cluster];
}

void ClusterWatch::look_at(std::size_t cluster) {
  const bool answered = ask_(cluster);
  const std::uint64_t now = monotonic_now();
  if (told_) {
    told_(cluster, answered);
  }
  const std::lock_guard lock(mutex_);
  ClusterReach& reach = reach_[cluster];
  if (answered) {
    reach.since = reach.answers ? reach.since : now;
    reach.last = now;
  }
  reach.asked = true;
  reach.answers = answered;
}

}  // namespace naru::bus
