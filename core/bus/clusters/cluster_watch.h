// Asks each of some clusters again and again whether it answers, on a thread for each, so that one that hangs
// hides nothing about the others. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "core/base/periodic.h"

namespace naru::bus {

// What is known of a cluster; times are monotonic.
struct ClusterReach {
  bool asked = false;       // at least once
  bool answers = false;     // the last time
  std::uint64_t since = 0;  // first answer without a break
  std::uint64_t last = 0;   // last answer
};

class ClusterWatch {
 public:
  // Whether the cluster answers now; may take as long as it wants.
  using Ask = std::function<bool(std::size_t cluster)>;
  // Each outcome, on the thread of that cluster.
  using Told = std::function<void(std::size_t cluster, bool answered)>;

  ClusterWatch(std::size_t clusters, std::chrono::milliseconds every, Ask ask, Told told = {});
  ~ClusterWatch();  // waits for questions that are open
  ClusterWatch(const ClusterWatch&) = delete;
  ClusterWatch& operator=(const ClusterWatch&) = delete;

  ClusterReach reach(std::size_t cluster) const;

 private:
  void look_at(std::size_t cluster);

  const Ask ask_;
  const Told told_;
  mutable std::mutex mutex_;
  std::vector<ClusterReach> reach_;
  std::deque<Periodic> looks_;  // one for each cluster
};

}  // namespace naru::bus
