// Which of an ordered list of clusters records go to: a pure machine, evidence and time in, the choice out.
//
// The first is preferred. It is left when nothing sent to it was acknowledged for `switch_after`, for the
// next one that answers; or when somebody who knows better says so. It comes back, if so configured, when it
// has answered for `return_after` without a break. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
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

class ClusterChoice {
 public:
  explicit ClusterChoice(const ClusterChoiceConfig& config) : config_(config), clusters_(config.clusters) {}

  std::size_t active() const { return active_; }
  bool answers(std::size_t cluster) const { return clusters_[cluster].answers; }

  // Outcome of a question to a cluster.
  void asked(std::size_t cluster, bool answered, std::uint64_t now);
  // What somebody decided on: it is gone to at once when it changes, and is the preferred one from then on.
  // nullopt: nobody says anything (any more).
  void told(std::optional<std::size_t> cluster);

  struct Move {
    std::size_t to = 0;
    bool drained = false;  // what is on its way must be acknowledged first: the cluster that is left works
    std::string reason;
  };
  // `silent_since`: when the oldest unacknowledged record was sent, or the last acknowledgement came,
  // whichever is later; nullopt: nothing waits. Times are monotonic.
  std::optional<Move> step(std::optional<std::uint64_t> silent_since, std::uint64_t now) const;
  void moved(std::size_t to) {
    active_ = to;
    changed_ = false;
  }

 private:
  struct Cluster {
    bool answers = false;
    std::uint64_t since = 0;  // of the first answer without a break
  };
  const ClusterChoiceConfig config_;
  std::vector<Cluster> clusters_;
  std::size_t active_ = 0;
  std::optional<std::size_t> told_;
  bool changed_ = false;  // what is told, and was not followed yet
};

}  // namespace naru::bus
