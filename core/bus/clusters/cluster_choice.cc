#include "core/bus/clusters/cluster_choice.h"

#include <fmt/format.h>

#include <algorithm>

namespace naru::bus {

void ClusterChoice::asked(std::size_t cluster, bool answered, std::uint64_t now) {
  Cluster& one = clusters_[cluster];
  if (answered && !one.answers) {
    one.since = now;
  }
  one.answers = answered;
}

void ClusterChoice::told(std::optional<ClusterPlacement> placement) {
  changed_ = placement != told_ && placement && *placement != placement_;
  told_ = placement;
}

bool ClusterChoice::all_answer(const ClusterPlacement& placement) const {
  return clusters_[placement.active].answers &&
         (placement.percent == 0 || clusters_[placement.shift_to].answers);
}

std::optional<ClusterChoice::Move> ClusterChoice::leave(std::size_t silent, std::uint64_t since,
                                                        std::uint64_t now) const {
  const std::string reason =
      fmt::format("nothing was acknowledged for {} ms", (now - since) / kNanosPerMilli);
  if (silent != placement_.active) {
    return Move{{.active = placement_.active}, silent, reason};  // the share comes back
  }
  for (std::size_t i = 0; i < clusters_.size(); ++i) {
    if (i != silent && clusters_[i].answers) {
      return Move{{.active = i}, silent, reason};
    }
  }
  return std::nullopt;
}

std::optional<ClusterChoice::Move> ClusterChoice::step(
    std::span<const std::optional<std::uint64_t>> silent_since, std::uint64_t now) const {
  // Whoever decided on a cluster does not see what is seen here.
  for (std::size_t i = 0; i < silent_since.size(); ++i) {
    if (placement_.uses(i) && silent_since[i] && now >= *silent_since[i] + to_nanos(config_.switch_after)) {
      return leave(i, *silent_since[i], now);
    }
  }
  const auto drained = [&](const ClusterPlacement& to, std::string reason) {
    // What is on its way to a cluster that does not answer would never be acknowledged.
    std::optional<std::size_t> left;
    if (!all_answer(placement_)) {
      left = clusters_[placement_.active].answers ? placement_.shift_to : placement_.active;
    }
    return Move{to, left, std::move(reason)};
  };
  // One that is told to take over and does not answer would take nothing.
  if (changed_ && all_answer(*told_)) {
    return drained(*told_, "so it is told");
  }
  const ClusterPlacement preferred = told_.value_or(ClusterPlacement{});
  if (config_.returns && preferred != placement_ && all_answer(preferred)) {
    const std::uint64_t since = std::max(clusters_[preferred.active].since,
                                         preferred.percent == 0 ? 0 : clusters_[preferred.shift_to].since);
    if (now >= since + to_nanos(config_.return_after)) {
      return drained(preferred, fmt::format("it has answered for {} ms", (now - since) / kNanosPerMilli));
    }
  }
  return std::nullopt;
}

}  // namespace naru::bus
