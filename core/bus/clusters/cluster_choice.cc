#include "core/bus/clusters/cluster_choice.h"

#include <fmt/format.h>

namespace naru::bus {

void ClusterChoice::asked(std::size_t cluster, bool answered, std::uint64_t now) {
  Cluster& one = clusters_[cluster];
  if (answered && !one.answers) {
    one.since = now;
  }
  one.answers = answered;
}

void ClusterChoice::told(std::optional<std::size_t> cluster) {
  changed_ = cluster != told_ && cluster && *cluster != active_ && *cluster < clusters_.size();
  told_ = cluster;
}

std::optional<ClusterChoice::Move> ClusterChoice::step(std::optional<std::uint64_t> silent_since,
                                                       std::uint64_t now) const {
  if (silent_since && now >= *silent_since + to_nanos(config_.switch_after)) {
    // Whoever decided on this one does not see what is seen here.
    for (std::size_t i = 0; i < clusters_.size(); ++i) {
      if (i != active_ && clusters_[i].answers) {
        return Move{
            i, false,
            fmt::format("nothing was acknowledged for {} ms", (now - *silent_since) / kNanosPerMilli)};
      }
    }
    return std::nullopt;
  }
  // One that is told to take over and does not answer would take nothing.
  if (changed_ && clusters_[*told_].answers) {
    return Move{*told_, clusters_[active_].answers, "so it is told"};
  }
  const std::size_t preferred = told_ && *told_ < clusters_.size() ? *told_ : 0;
  if (config_.returns && preferred != active_ && clusters_[preferred].answers &&
      now >= clusters_[preferred].since + to_nanos(config_.return_after)) {
    return Move{
        preferred, clusters_[active_].answers,
        fmt::format("it has answered for {} ms", (now - clusters_[preferred].since) / kNanosPerMilli)};
  }
  return std::nullopt;
}

}  // namespace naru::bus
