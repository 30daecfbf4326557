#include "prepper/lifecycle/lifecycle_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "prepper/bootstrap/index_template.h"

namespace naru::prepper {
namespace {

// A clock that is this far from the cluster's decides on no index: a wrong date would delete all of them.
constexpr UnixNanos kClockApartMax = 5 * 60 * kNanosPerSecond;
constexpr std::string_view kWarmPriority = "10";

std::string age_text(UnixNanos age) {
  const std::uint64_t seconds = age / kNanosPerSecond;
  constexpr std::uint64_t kMinute = 60, kHour = 3600, kDay = 24 * kHour;
  return seconds >= 2 * kDay      ? fmt::format("{}d", seconds / kDay)
         : seconds >= 2 * kHour   ? fmt::format("{}h", seconds / kHour)
         : seconds >= 2 * kMinute ? fmt::format("{}min", seconds / kMinute)
                                  : fmt::format("{}s", seconds);
}

class Planner {
 public:
  Planner(const Datasets& declared, const ClusterState& cluster, UnixNanos now)
      : declared_(declared), cluster_(cluster), now_(now), tiers_(cluster.has_tiers()) {}

  LifecyclePlan plan(bool only_create_ahead) {
    create_ahead();
    if (only_create_ahead) {
      return std::move(out_);
    }
    // Oldest first: what waits for a place to move or to merge waits in the order of age.
    std::vector<const LiveIndex*> by_age;
    for (const LiveIndex& index : cluster_.indices) {
      by_age.push_back(&index);
    }
    std::ranges::sort(
        by_age, {}, [](const LiveIndex* index) { return std::tuple(index->target.end, index->target.name); });
    for (const LiveIndex* index : by_age) {
      moving_ += is_moving(*index) ? 1 : 0;
      merging_ += cluster_.merging.contains(index->target.name) ? 1 : 0;
    }
    for (const LiveIndex* index : by_age) {
      visit(*index);
    }
    return std::move(out_);
  }

 private:
  UnixNanos age(const LiveIndex& index) const {
    return now_ > index.target.end ? now_ - index.target.end : 0;
  }
  static bool requires_warm(const LiveIndex& index) { return index.setting(kRequireTier) == kWarm; }
  bool all_on_warm(const LiveIndex& index) const {
    return !index.shards.empty() && std::ranges::all_of(index.shards, [&](const IndexShard& shard) {
      const ClusterNode* node = cluster_.node(shard.node);
      // A replica without a place holds no data that could still be moved.
      return (shard.state == "STARTED" && node != nullptr && node->tier == kWarm) ||
             (shard.state == "UNASSIGNED" && !shard.primary);
    });
  }
  bool is_moving(const LiveIndex& index) const { return requires_warm(index) && !all_on_warm(index); }

  void add(LifecycleAction action, const LiveIndex& index, std::string why, std::string method,
           std::string_view api = "", std::string body = "") {
    out_.steps.push_back({action, index.target.name, std::move(why), std::move(method),
                          fmt::format("/{}{}", index.target.name, api), std::move(body)});
  }

  // A shorter delete_after counts only once bootstrap has installed it: that is where a person saw what it
  // ends.
  std::chrono::seconds delete_after(const LiveIndex& index, const Dataset& dataset) {
    for (const std::string& name :
         {template_name(index.target.signal, index.target.dataset), template_name(index.target.signal, "")}) {
      const auto there = cluster_.templates.find(name);
      if (there == cluster_.templates.end()) {
        continue;
      }
      const auto installed = installed_delete_after(there->second);
      if (installed.has_value() && *installed > dataset.delete_after && warned_.insert(name).second) {
        out_.warnings.push_back(fmt::format(
            "{} is declared with delete_after {}, the cluster has {}: nothing is deleted earlier until `naru "
            "bootstrap --apply` installs it",
            name, age_text(to_nanos(dataset.delete_after)), age_text(to_nanos(*installed))));
      }
      return installed.has_value() ? std::max(*installed, dataset.delete_after) : dataset.delete_after;
    }
    if (warned_.insert("").second) {
      out_.warnings.push_back(
          "the cluster has no index template of ours; run `naru bootstrap --apply`. Nothing is "
          "deleted before");
    }
    return std::chrono::seconds::max() / 1'000'000'000;
  }

  void visit(const LiveIndex& index) {
    const Dataset dataset = declared_.resolve(index.target.signal, index.target.dataset);
    const UnixNanos old = age(index);
    if (index.target.end < now_ && old >= to_nanos(delete_after(index, dataset))) {
      add(LifecycleAction::kDelete, index,
          fmt::format("its period ended {} ago, delete_after is {}", age_text(old),
                      age_text(to_nanos(dataset.delete_after))),
          "DELETE");
      return;
    }
    if (index.closed) {
      return;
    }
    out_.phases[index.target.name] = LifecyclePhase::kHot;
    if (tiers_ && index.target.end < now_ && old >= to_nanos(dataset.hot_for)) {
      to_warm(index, dataset, old);
    }
    if (dataset.read_only_after.count() > 0 && index.target.end < now_ &&
        old >= to_nanos(dataset.read_only_after) && index.setting("index.blocks.write") != "true") {
      add(LifecycleAction::kReadOnly, index,
          fmt::format("its period ended {} ago, read_only_after is {}", age_text(old),
                      age_text(to_nanos(dataset.read_only_after))),
          "PUT", "/_settings", R"({"index.blocks.write":"true"})");
    }
  }

  void to_warm(const LiveIndex& index, const Dataset& dataset, UnixNanos old) {
    LifecyclePhase& phase = out_.phases[index.target.name];
    if (!requires_warm(index)) {
      if (moving_ < declared_.lifecycle.moves_max) {
        ++moving_;
        phase = LifecyclePhase::kMoving;
        // A limit of shards per node that fits the hot tier would leave shards behind.
        add(LifecycleAction::kMoveToWarm, index,
            fmt::format("its period ended {} ago, hot_for is {}", age_text(old),
                        age_text(to_nanos(dataset.hot_for))),
            "PUT", "/_settings",
            R"({"index.routing.allocation.require.temp":"warm","index.routing.allocation.total_shards_per_node":"-1"})");
      }
      return;
    }
    if (!all_on_warm(index)) {
      phase = LifecyclePhase::kMoving;
      return;
    }
    if (cluster_.merging.contains(index.target.name)) {
      phase = LifecyclePhase::kMerging;
      return;
    }
    if (dataset.merge_segments > 0 && !index.merged) {
      phase = LifecyclePhase::kMerging;
      const auto primaries =
          static_cast<std::uint32_t>(std::ranges::count_if(index.shards, &IndexShard::primary));
      if (index.merge == LiveIndex::Merge::kDone ||
          index.primary_segments <= primaries * dataset.merge_segments) {
        add(LifecycleAction::kMarkMerged, index,
            fmt::format("{} shards have {} segments", primaries, index.primary_segments), "PUT", "/_mapping",
            naru_meta(kMergedAt, format_rfc3339(now_)));
      } else if (index.merge == LiveIndex::Merge::kRunning) {
        return;
      } else if (merging_ < declared_.lifecycle.merges_max) {
        ++merging_;
        add(LifecycleAction::kForceMerge, index,
            fmt::format("all shards are on warm nodes and have {} segments", index.primary_segments), "POST",
            fmt::format("/_forcemerge?max_num_segments={}&wait_for_completion=false",
                        dataset.merge_segments));
      }
      return;
    }
    phase = LifecyclePhase::kWarm;
    const auto warm_nodes = static_cast<std::uint32_t>(cluster_.tier_nodes(kWarm));
    const std::string replicas = std::to_string(std::min(dataset.warm_replicas, warm_nodes - 1));
    if (index.setting("index.number_of_replicas") != replicas ||
        index.setting("index.priority") != kWarmPriority) {
      add(LifecycleAction::kThinOut, index, fmt::format("replicas: {}, recovered after hot ones", replicas),
          "PUT", "/_settings",
          fmt::format(R"({{"index.number_of_replicas":"{}","index.priority":"{}"}})", replicas,
                      kWarmPriority));
    }
  }

  // For each data set that had documents lately: its next period begins soon and has no index yet. At the
  // turn of a period the first documents of all data sets would otherwise wait for as many changes of the
  // cluster's state.
  void create_ahead() {
    const UnixNanos ahead = to_nanos(declared_.lifecycle.create_ahead);
    if (ahead == 0) {
      return;
    }
    std::set<std::string> there;
    for (const LiveIndex& index : cluster_.indices) {
      there.insert(index.target.name);
    }
    for (const LiveIndex& index : cluster_.indices) {
      const IndexTarget& live = index.target;
      if (live.begin > now_ || live.end <= now_ || live.end - now_ > ahead || index.closed) {
        continue;
      }
      const Period period = declared_.resolve(live.signal, live.dataset).period;
      const IndexTarget next = make_target(live.signal, live.dataset, period, live.end);
      if (next.begin < live.end || !there.insert(next.name).second) {
        continue;  // the declared period changed, or it is there
      }
      out_.steps.push_back({LifecycleAction::kCreate, next.name,
                            fmt::format("its period begins in {}", age_text(live.end - now_)), "PUT",
                            "/" + next.name, ""});
    }
  }

  const Datasets& declared_;
  const ClusterState& cluster_;
  const UnixNanos now_;
  const bool tiers_;
  std::uint32_t moving_ = 0, merging_ = 0;
  std::set<std::string> warned_;
  LifecyclePlan out_;
};

}  // namespace

std::string_view to_string(LifecycleAction action) {
  switch (action) {
    case LifecycleAction::kCreate: return "create";
    case LifecycleAction::kMoveToWarm: return "move_to_warm";
    case LifecycleAction::kForceMerge: return "force_merge";
    case LifecycleAction::kMarkMerged: return "mark_merged";
    case LifecycleAction::kThinOut: return "thin_out";
    case LifecycleAction::kReadOnly: return "read_only";
    case LifecycleAction::kDelete: return "delete";
  }
  return "?";
}

std::string_view to_string(LifecyclePhase phase) {
  switch (phase) {
    case LifecyclePhase::kHot: return "hot";
    case LifecyclePhase::kMoving: return "moving";
    case LifecyclePhase::kMerging: return "merging";
    case LifecyclePhase::kWarm: return "warm";
  }
  return "?";
}

std::string naru_meta(std::string_view name, std::string_view value) {
  return fmt::format(R"({{"_meta":{{"naru":{{"{}":"{}"}}}}}})", name, value);
}

LifecyclePlan plan_lifecycle(const Datasets& declared, const ClusterState& cluster, UnixNanos now,
                             bool only_create_ahead) {
  LifecyclePlan out;
  const UnixNanos apart = now > cluster.time ? now - cluster.time : cluster.time - now;
  if (cluster.status != "green" && cluster.status != "yellow") {
    out.blocked = fmt::format("the cluster is {}: indices are left alone until every primary shard is there",
                              cluster.status.empty() ? "in an unknown state" : cluster.status);
  } else if (apart > kClockApartMax) {
    out.blocked = fmt::format(
        "this host's clock and the cluster's are {} apart: ages of indices cannot be trusted; mend "
        "the clock",
        age_text(apart));
  }
  return out.blocked.empty() ? Planner(declared, cluster, now).plan(only_create_ahead) : out;
}

}  // namespace naru::prepper
