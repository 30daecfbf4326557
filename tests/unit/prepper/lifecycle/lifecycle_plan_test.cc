#include "prepper/lifecycle/lifecycle_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace naru::prepper {
namespace {

using namespace std::chrono_literals;

constexpr UnixNanos kNow = 1'793'800'800 * kNanosPerSecond;  // 2026-11-04T14:00:00Z

std::vector<std::string> actions(const LifecyclePlan& plan) {
  std::vector<std::string> out;
  for (const LifecycleStep& step : plan.steps) {
    out.push_back(std::string(to_string(step.action)) + " " + step.index);
  }
  return out;
}

class Lifecycle : public testing::Test {
 protected:
  Lifecycle() {
    cluster.status = "green";
    cluster.time = kNow;
    cluster.nodes = {{.name = "h1", .data = true, .tier = "hot"},
                     {.name = "h2", .data = true, .tier = "hot"},
                     {.name = "w1", .data = true, .tier = "warm"}};
    for (const char* name : {"logs-otel-v1", "metrics-otel-v1", "otel-v1-apm-span"}) {
      cluster.templates[name] = R"({"_meta":{"naru":{"delete_after_seconds":864000}}})";
    }
    declared.defaults.hot_for = 24h;
    declared.defaults.delete_after = 240h;
    declared.defaults.warm_replicas = 0;
    declared.lifecycle.create_ahead = 0s;
  }
  LifecyclePlan plan() const { return plan_lifecycle(declared, cluster, now, false); }
  LiveIndex& add(const std::string& name) {
    LiveIndex& index = cluster.indices.emplace_back();
    index.target = *parse_index_name(name);
    index.settings = {{"index.routing.allocation.require.temp", "hot"}, {"index.number_of_replicas", "1"}};
    index.shards = {{.number = 0, .primary = true, .state = "STARTED", .node = "h1"},
                    {.number = 0, .primary = false, .state = "STARTED", .node = "h2"}};
    index.primary_segments = 12;
    return index;
  }
  LiveIndex* find(const std::string& name) {
    const auto at =
        std::ranges::find_if(cluster.indices, [&](const LiveIndex& one) { return one.target.name == name; });
    return at == cluster.indices.end() ? nullptr : &*at;
  }
  // What OpenSearch makes of a step, at once.
  void obey(const LifecycleStep& step) {
    LiveIndex* index = find(step.index);
    switch (step.action) {
      case LifecycleAction::kCreate:
        if (index == nullptr) {
          add(step.index);
        }
        break;
      case LifecycleAction::kMoveToWarm:
        index->settings["index.routing.allocation.require.temp"] = "warm";
        break;
      case LifecycleAction::kForceMerge:
        cluster.merging.insert(step.index);
        index->merge = LiveIndex::Merge::kRunning;
        break;
      case LifecycleAction::kMarkMerged: index->merged = true; break;
      case LifecycleAction::kThinOut:
        index->settings["index.number_of_replicas"] = "0";
        index->settings["index.priority"] = "10";
        std::erase_if(index->shards, [](const IndexShard& shard) { return !shard.primary; });
        break;
      case LifecycleAction::kReadOnly: index->settings["index.blocks.write"] = "true"; break;
      case LifecycleAction::kDelete:
        std::erase_if(cluster.indices, [&](const LiveIndex& one) { return one.target.name == step.index; });
        break;
    }
  }
  // Shards arrive, merges end.
  void settle() {
    for (LiveIndex& index : cluster.indices) {
      if (index.setting(kRequireTier) == kWarm) {
        for (IndexShard& shard : index.shards) {
          shard.primary ? void(shard.node = "w1") : void((shard.state = "UNASSIGNED", shard.node = ""));
        }
      }
      if (cluster.merging.erase(index.target.name) > 0) {
        index.merge = LiveIndex::Merge::kDone;
        index.primary_segments = 2;  // a late record came meanwhile
      }
    }
  }

  Datasets declared;
  ClusterState cluster;
  UnixNanos now = kNow;
};

TEST_F(Lifecycle, TakesOneStepAfterTheOtherAndWaitsForEach) {
  const std::string name = "logs-otel-v1-web-2026.11.02";  // ended 38 h ago
  add(name);
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"move_to_warm " + name});
  obey(plan().steps[0]);
  EXPECT_TRUE(plan().steps.empty()) << "its shards are still on hot nodes";
  EXPECT_EQ(plan().phases.at(name), LifecyclePhase::kMoving);
  find(name)->shards[0].node = "w1";
  find(name)->shards[0].state = "RELOCATING";
  EXPECT_TRUE(plan().steps.empty()) << "a shard is on its way";
  settle();
  find(name)->shards[0].state = "STARTED";
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"force_merge " + name});
  obey(plan().steps[0]);
  EXPECT_TRUE(plan().steps.empty()) << "the merge runs";
  settle();
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"mark_merged " + name});
  obey(plan().steps[0]);
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"thin_out " + name});
  obey(plan().steps[0]);
  EXPECT_TRUE(plan().steps.empty());
  EXPECT_EQ(plan().phases.at(name), LifecyclePhase::kWarm);
  find(name)->primary_segments = 3;  // late records came
  EXPECT_TRUE(plan().steps.empty()) << "merged once, not again and again";
  now += 10 * kNanosPerDay;
  cluster.time = now;
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"delete " + name});
}

TEST_F(Lifecycle, CountsAgesFromTheEndOfThePeriodInTheName) {
  add("logs-otel-v1-web-2026.11.03");         // ended 14 h ago
  add("logs-otel-v1-web-2026.11.02");         // 38 h
  add("metrics-otel-v1-web-2026.10");         // a month, ended 86 h ago
  add("otel-v1-apm-span-web-2026.11.03.12");  // an hour, ended 25 h ago
  declared.lifecycle.moves_max = 10;
  EXPECT_EQ(actions(plan()), (std::vector<std::string>{"move_to_warm metrics-otel-v1-web-2026.10",
                                                       "move_to_warm logs-otel-v1-web-2026.11.02",
                                                       "move_to_warm otel-v1-apm-span-web-2026.11.03.12"}));
  declared.lifecycle.moves_max = 1;
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"move_to_warm metrics-otel-v1-web-2026.10"});
}

TEST_F(Lifecycle, NeverActsOnARedClusterOrWithAWrongClock) {
  add("logs-otel-v1-web-2026.01.02");
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"delete logs-otel-v1-web-2026.01.02"});
  cluster.status = "red";
  EXPECT_TRUE(plan().steps.empty());
  EXPECT_NE(plan().blocked.find("red"), std::string::npos);
  cluster.status = "yellow";
  now += 40 * kNanosPerDay;  // this host's clock jumped
  EXPECT_TRUE(plan().steps.empty());
  EXPECT_NE(plan().blocked.find("clock"), std::string::npos);
  cluster.status = "";
  EXPECT_FALSE(plan().blocked.empty());
}

TEST_F(Lifecycle, DeletesNothingThatBootstrapDidNotAgreeTo) {
  add("logs-otel-v1-web-2026.10.28");
  declared.defaults.delete_after = 48h;  // a typo, or not applied yet: 10 days are installed
  declared.defaults.hot_for = 480h;
  EXPECT_TRUE(plan().steps.empty());
  ASSERT_EQ(plan().warnings.size(), 1u);
  EXPECT_NE(plan().warnings[0].find("bootstrap --apply"), std::string::npos);
  cluster.templates["logs-otel-v1"] = R"({"_meta":{"naru":{"delete_after_seconds":172800}}})";
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"delete logs-otel-v1-web-2026.10.28"});
  cluster.templates.clear();
  EXPECT_TRUE(plan().steps.empty());
}

TEST_F(Lifecycle, LeavesIndicesOfOthersAlone) {
  EXPECT_FALSE(parse_index_name("logs-otel-v1-web"));
  EXPECT_FALSE(parse_index_name("logs-otel-v1-web-2026.13.01"));
  EXPECT_FALSE(parse_index_name("logs-otel-v1-web-2026.02.30"));
  EXPECT_FALSE(parse_index_name("logs-otel-v1-web-2026.1.02"));
  EXPECT_FALSE(parse_index_name("logs-otel-v1-web-000001"));
  EXPECT_FALSE(parse_index_name("my-logs-otel-v1-web-2026.01.02"));
  EXPECT_FALSE(parse_index_name(".ds-logs-otel-v1-web-2026.01.02"));
  EXPECT_EQ(parse_index_name("logs-otel-v1-web-2026.01.02.23")->end -
                parse_index_name("logs-otel-v1-web-2026.01.02.23")->begin,
            kNanosPerHour);
}

TEST_F(Lifecycle, CreatesTheNextPeriodAhead) {
  now += 9 * kNanosPerHour + kNanosPerHour / 2;  // 23:30
  cluster.time = now;
  add("logs-otel-v1-web-2026.11.04");
  add("otel-v1-apm-span-web-2026.11.04.23");
  declared.datasets["web"].traces.period = Period::kHour;
  declared.lifecycle.create_ahead = 1h;
  EXPECT_EQ(actions(plan()), (std::vector<std::string>{"create logs-otel-v1-web-2026.11.05",
                                                       "create otel-v1-apm-span-web-2026.11.05.00"}));
  EXPECT_EQ(actions(plan_lifecycle(declared, cluster, now, true)).size(), 2u);
  for (const LifecycleStep& step : plan().steps) {
    obey(step);
  }
  EXPECT_TRUE(plan().steps.empty());
  add("metrics-otel-v1-old-2026.11.03");  // no documents lately
  declared.defaults.hot_for = 100h;
  EXPECT_TRUE(plan().steps.empty());
}

TEST_F(Lifecycle, ClosesForWritesWhereDeclared) {
  declared.datasets["pay"].read_only_after = 12h;
  add("logs-otel-v1-pay-2026.11.03");
  add("logs-otel-v1-web-2026.11.03");
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"read_only logs-otel-v1-pay-2026.11.03"});
}

TEST_F(Lifecycle, WithoutTiersOnlyDeletes) {
  for (ClusterNode& node : cluster.nodes) {
    node.tier.clear();
  }
  add("logs-otel-v1-web-2026.11.01");
  add("logs-otel-v1-web-2026.01.01");
  EXPECT_EQ(actions(plan()), std::vector<std::string>{"delete logs-otel-v1-web-2026.01.01"});
}

// Many indices, steps carried out in part, twice, or by a second driver with an old view: each index ends
// deleted, and goes through its phases in order.
TEST_F(Lifecycle, EndsTheSameHoweverItIsInterrupted) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    cluster.indices.clear();
    cluster.merging.clear();
    now = kNow;
    for (const char* day : {"2026.11.01", "2026.11.02", "2026.11.03", "2026.11.04"}) {
      add(std::string("logs-otel-v1-web-") + day);
    }
    std::map<std::string, LifecyclePhase> seen;
    for (int hour = 0; hour < 24 * 14; ++hour) {
      now += kNanosPerHour;
      cluster.time = now;
      cluster.status = random() % 10 == 0 ? "red" : "yellow";
      const LifecyclePlan current = plan();
      for (const auto& [name, phase] : current.phases) {
        const bool back = seen.contains(name) && phase < seen[name];
        EXPECT_FALSE(back) << name << " went back to " << to_string(phase);
        seen[name] = phase;
      }
      for (const LifecycleStep& step : current.steps) {
        EXPECT_NE(cluster.status, "red");
        if (random() % 4 == 0) {
          break;  // killed here
        }
        for (unsigned times = 0; times < 1 + random() % 2 && find(step.index) != nullptr; ++times) {
          obey(step);
        }
      }
      if (random() % 3 != 0) {
        settle();
      }
    }
    EXPECT_TRUE(cluster.indices.empty()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace naru::prepper
