#include "core/bus/clusters/cluster_watch.h"

#include <utility>

#include "core/base/clock.h"

namespace naru::bus {

ClusterWatch::ClusterWatch(std::size_t clusters, std::chrono::milliseconds every, Ask ask, Told told)
    : every_(every), ask_(std::move(ask)), told_(std::move(told)), reach_(clusters) {
  for (std::size_t i = 0; i < clusters; ++i) {
    threads_.emplace_back([this, i] { run(i); });
  }
}

ClusterWatch::~ClusterWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_changed_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

ClusterReach ClusterWatch::reach(std::size_t cluster) const {
  const std::lock_guard lock(mutex_);
  return reach_[cluster];
}

void ClusterWatch::run(std::size_t cluster) {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    const bool answered = ask_(cluster);
    const std::uint64_t now = monotonic_now();
    if (told_) {
      told_(cluster, answered);
    }
    lock.lock();
    ClusterReach& reach = reach_[cluster];
    if (answered) {
      reach.since = reach.answers ? reach.since : now;
      reach.last = now;
    }
    reach.asked = true;
    reach.answers = answered;
    stop_changed_.wait_for(lock, every_, [this] { return stop_; });
  }
}

}  // namespace naru::bus
