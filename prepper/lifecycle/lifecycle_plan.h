// What is to be done with our indices now: created ahead, moved to warm nodes, merged, thinned out, closed
// for writes, deleted. Pure: decides on what a cluster told (cluster/cluster_state.h) and the time.
//
// Every step follows from the period in an index's name and the present state of the cluster, so a plan is
// made anew each time: a driver that was killed goes on where it was, and a step that somebody else did, or
// that two drivers do at once, does no harm. Ages count from the end of the period in the name, never from
// creation. Nothing is planned on a red cluster, nor when the clocks disagree.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "prepper/cluster/cluster_state.h"
#include "prepper/declaration/datasets.h"

namespace naru::prepper {

enum class LifecycleAction : std::uint8_t {
  kCreate,      // the index of the next period
  kMoveToWarm,  // require a warm node
  kForceMerge,  // begin it; it runs on by itself
  kMarkMerged,  // it has ended: noted in the mapping's _meta
  kThinOut,     // replicas and recovery priority of a warm index
  kReadOnly,
  kDelete,
};
inline constexpr std::array kLifecycleActions = {LifecycleAction::kCreate,     LifecycleAction::kMoveToWarm,
                                                 LifecycleAction::kForceMerge, LifecycleAction::kMarkMerged,
                                                 LifecycleAction::kThinOut,    LifecycleAction::kReadOnly,
                                                 LifecycleAction::kDelete};
std::string_view to_string(LifecycleAction action);

struct LifecycleStep {
  LifecycleAction action = LifecycleAction::kCreate;
  std::string index;
  std::string why;  // for the log and a dry run
  // The request that does it.
  std::string method, target, body;
};

// Where an index stands.
enum class LifecyclePhase : std::uint8_t {
  kHot,
  kMoving,   // warm nodes are required, shards are still elsewhere
  kMerging,  // a force merge runs
  kWarm,     // nothing more to do until it is deleted
};
std::string_view to_string(LifecyclePhase phase);

struct LifecyclePlan {
  std::vector<LifecycleStep> steps;
  std::map<std::string, LifecyclePhase> phases;  // of every index of ours that is open
  std::string blocked;                           // why nothing is planned; empty: it is not blocked
  std::vector<std::string> warnings;
};

// The body of PUT <index>/_mapping that notes one thing in its _meta.
std::string naru_meta(std::string_view name, std::string_view value);

// `only_create_ahead`: because ISM does the rest.
LifecyclePlan plan_lifecycle(const Datasets& declared, const ClusterState& cluster, UnixNanos now,
                             bool only_create_ahead);

}  // namespace naru::prepper
