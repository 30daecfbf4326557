// Which of an ordered list of clusters records go to: a pure machine, evidence and time in, the choice out.
//
// The first is preferred, unless somebody who knows better names another one, and perhaps a share of the
// partitions that goes elsewhere. A cluster is left when nothing sent to it was acknowledged for
// `switch_after`, for the next one that answers. What is preferred is come back to, if so configured, when it
// has answered for `return_after` without a break. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/clock.h"

namespace naru::bus {

struct ClusterChoiceConfig {
  std::size_t clusters = 1;
  std::chrono::milliseconds switch_after{3'000};
  std::chrono::milliseconds return_after{60'000};
  bool returns = true;  // by itself; otherwise when told only
};

// Where records go: to `active`, but for `percent` of the partitions of each topic, the first ones, rounded
// up to whole partitions. A partition is moved as a whole, so the order of its keys is kept.
struct ClusterPlacement {
  std::size_t active = 0;
  std::size_t shift_to = 0;
  unsigned percent = 0;
  bool operator==(const ClusterPlacement&) const = default;

  std::size_t of(std::uint64_t partition, std::uint64_t partitions) const {
    return partition * 100 < percent * partitions ? shift_to : active;
  }
  bool uses(std::size_t cluster) const { return cluster == active || (percent > 0 && cluster == shift_to); }
};

class ClusterChoice {
 public:
  explicit ClusterChoice(const ClusterChoiceConfig& config) : config_(config), clusters_(config.clusters) {}

  const ClusterPlacement& placement() const { return placement_; }
  std::size_t active() const { return placement_.active; }
  bool answers(std::size_t cluster) const { return clusters_[cluster].answers; }

  // Outcome of a question to a cluster.
  void asked(std::size_t cluster, bool answered, std::uint64_t now);
  // What somebody decided on: it is gone to at once when it changes, and is the preferred one from then on.
  // nullopt: nobody says anything (any more).
  void told(std::optional<ClusterPlacement> placement);

  struct Move {
    ClusterPlacement to;
    std::optional<std::size_t> left;  // a silent cluster, what is on its way to it goes elsewhere; nullopt:
                                      // what is on its way must be acknowledged first, as the clusters work
    std::string reason;
  };
  // For each cluster: when the oldest unacknowledged record was sent, or its last acknowledgement came,
  // whichever is later; nullopt: nothing waits. Times are monotonic.
  std::optional<Move> step(std::span<const std::optional<std::uint64_t>> silent_since,
                           std::uint64_t now) const;
  void moved(const ClusterPlacement& to) {
    placement_ = to;
    changed_ = false;
  }

 private:
  struct Cluster {
    bool answers = false;
    std::uint64_t since = 0;  // of the first answer without a break
  };
  std::optional<Move> leave(std::size_t silent, std::uint64_t since, std::uint64_t now) const;
  bool all_answer(const ClusterPlacement& placement) const;

  const ClusterChoiceConfig config_;
  std::vector<Cluster> clusters_;
  ClusterPlacement placement_;
  std::optional<ClusterPlacement> told_;
  bool changed_ = false;  // what is told, and was not followed yet
};

}  // namespace naru::bus
