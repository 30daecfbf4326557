#include "prepper/doctor/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "prepper/bootstrap/index_template.h"

namespace naru::prepper {
namespace {

constexpr UnixNanos kNow = 1'793'800'800 * kNanosPerSecond;  // 2026-11-04T14:00:00Z
constexpr auto kToday = "logs-otel-v1-web-2026.11.04";

// A cluster in order, which each test spoils in one way.
class DoctorOf : public testing::Test {
 protected:
  DoctorOf() {
    cluster.status = "green";
    cluster.time = kNow;
    for (const char* name : {"h1", "h2", "w1"}) {
      cluster.nodes.push_back({.name = name,
                               .version = "2.19.1",
                               .data = true,
                               .manager = true,
                               .tier = name[0] == 'h' ? "hot" : "warm",
                               .disk_bytes = 1'000,
                               .disk_free_bytes = 500});
    }
    for (const DeclaredTemplate& one : mappings.templates) {
      cluster.templates[one.name] = one.text;
    }
    cluster.settings["action.auto_create_index"] =
        "-logs-otel-v1-*,-metrics-otel-v1-*,-otel-v1-apm-span-*,+*";
    add(kToday);
  }
  LiveIndex& add(const std::string& name) {
    LiveIndex& index = cluster.indices.emplace_back();
    index.target = *parse_index_name(name);
    index.settings = dynamic_settings(config.datasets.resolve(index.target.signal, index.target.dataset));
    index.settings[std::string(kRequireTier)] = "hot";
    index.mapping = mappings.templates[0].text;
    for (std::uint32_t i = 0; i < 2; ++i) {
      index.shards.push_back(
          {.number = i, .primary = true, .state = "STARTED", .node = i == 0 ? "h1" : "h2"});
    }
    return index;
  }
  KafkaTopic& topic(const std::string& name) {
    KafkaTopic& out = topics.emplace_back();
    out.state = {.name = name, .partitions = 4, .exists = true, .replication = 3};
    out.settings = {{"min.insync.replicas", "2"}, {"retention.ms", "604800000"}};
    return out;
  }
  std::vector<Finding> found() {
    DoctorInput input{
        .config = config, .mappings = mappings, .cluster = cluster, .topics = topics, .now = kNow};
    return diagnose(input);
  }
  // The one finding there is; its text.
  std::string only(const std::string& check) {
    const std::vector<Finding> all = found();
    std::string out;
    for (const Finding& one : all) {
      EXPECT_EQ(one.check, check) << one.subject << ": " << one.what;
      EXPECT_FALSE(one.mend.empty());
      out += one.subject + ": " + one.what + "\n";
    }
    EXPECT_EQ(all.size(), 1u);
    return out;
  }

  PrepperConfig config;
  Mappings mappings = *load_mappings("");
  ClusterState cluster;
  std::vector<KafkaTopic> topics;
};

TEST_F(DoctorOf, FindsNothingInAClusterThatIsInOrder) {
  topic("otlp_logs");
  EXPECT_TRUE(found().empty()) << found()[0].check << found()[0].what;
}

TEST_F(DoctorOf, NamesFielddataAndDynamicMappings) {
  cluster.indices[0].mapping =
      R"({"mappings":{"dynamic":"true","properties":{"body":{"type":"text","fielddata":true}}}})";
  std::set<std::string> checks;
  for (const Finding& one : found()) {
    checks.insert(one.check);
  }
  EXPECT_EQ(checks, (std::set<std::string>{"mapping", "old mapping"}));
  cluster.indices[0].mapping = mappings.templates[0].text;
  cluster.nodes[0].fielddata_bytes = 5 << 20;
  EXPECT_EQ(only("fielddata"),
            "h1: 5 MiB of fielddata in the heap: somebody aggregates or sorts on a text field\n");
}

TEST_F(DoctorOf, NamesMappingsThatAreOlderThanTheTemplateOrNearTheirLimit) {
  std::string& mapping = cluster.indices[0].mapping;
  const std::string field = R"("duration_ms": {"type": "double"})";
  mapping.replace(mapping.find(field), field.size(), R"("other": {"type": "double"})");
  EXPECT_EQ(only("old mapping"), std::string(kToday) + ": older than the template: no duration_ms\n");
  mapping = mappings.templates[0].text;
  config.datasets.defaults.fields_max = 60;
  cluster.indices[0].settings["index.mapping.total_fields.limit"] = "60";
  EXPECT_NE(only("field limit").find("fields of at most 60"), std::string::npos);
}

TEST_F(DoctorOf, NamesShardsThatDoNotFitTheNodes) {
  cluster.indices[0].shards.push_back({.number = 2, .primary = true, .state = "STARTED", .node = "h1"});
  EXPECT_EQ(only("shards"),
            std::string(kToday) + ": 3 primaries on 2 hot nodes: some nodes do more than others\n");
  cluster.indices[0].shards.resize(2);
  cluster.settings["cluster.max_shards_per_node"] = "1";  // three nodes
  EXPECT_EQ(found().size(), 0u);
  cluster.indices[0].shards.push_back({.number = 0, .state = "STARTED", .node = "h2"});
  EXPECT_NE(only("shard limit").find("3 shards of our indices of at most 3"), std::string::npos);
}

TEST_F(DoctorOf, NamesShardsWithoutANodeAndOversharding) {
  cluster.indices[0].shards.push_back(
      {.number = 0, .primary = false, .state = "UNASSIGNED", .unassigned_reason = "NODE_LEFT"});
  EXPECT_EQ(only("unassigned shards"),
            std::string(kToday) + ": 0 primaries and 1 replicas have no node (NODE_LEFT)\n");
  cluster.indices[0].shards.pop_back();
  for (int day = 10; day < 31; ++day) {
    LiveIndex& index = add("logs-otel-v1-small-2026.10." + std::to_string(day));
    index.settings[std::string(kRequireTier)] = "warm";
    for (std::uint32_t i = 2; i < 6; ++i) {
      index.shards.push_back({.number = i, .primary = true, .state = "STARTED", .node = "w1"});
    }
  }
  EXPECT_NE(only("oversharding").find("126 shards"), std::string::npos);
}

TEST_F(DoctorOf, NamesFullDisksAndSettingsThatDiffer) {
  cluster.nodes[2].disk_free_bytes = 190;
  EXPECT_EQ(only("disk"), "w1: 81 % of the disk is used; 85% is the low watermark\n");
  cluster.nodes[2].disk_free_bytes = 900;
  cluster.indices[0].settings["index.refresh_interval"] = "1s";
  cluster.indices[0].settings.erase("index.translog.flush_threshold_size");
  const std::vector<Finding> all = found();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].what, "index.refresh_interval is 1s, 60s is declared");
  EXPECT_EQ(all[1].what, "index.translog.flush_threshold_size is not set, 1024mb is declared");
}

TEST_F(DoctorOf, NamesDataOnTheWrongTier) {
  cluster.indices[0].shards[0].node = "w1";
  EXPECT_EQ(only("tiers"),
            std::string(kToday) + ": recent data is on warm nodes: searches and indexing are slow there\n");
  cluster.indices.clear();
  add("logs-otel-v1-web-2026.10.31");
  EXPECT_NE(only("tiers").find("older than hot_for and not moved"), std::string::npos);
}

TEST_F(DoctorOf, NamesTopicsThatDoNotKeepEnough) {
  topic("otlp_logs").state.replication = 1;
  EXPECT_NE(only("replication").find("one copy"), std::string::npos);
  topics.clear();
  topic("otlp_logs").settings["min.insync.replicas"] = "1";
  EXPECT_NE(only("replication").find("acks=all"), std::string::npos);
  topics.clear();
  topic("otlp_logs").settings["retention.ms"] = "3600000";
  EXPECT_NE(only("retention").find("after 1 h"), std::string::npos);
  topics.clear();
  topic("otlp_metrics").state.exists = false;
  EXPECT_NE(only("topics").find("does not exist"), std::string::npos);
}

TEST_F(DoctorOf, NamesZonesAndMissingTemplates) {
  config.datasets.cluster.zones = {"dc1"};
  cluster.nodes[0].zone = "dc1";
  EXPECT_NE(only("zones").find("not aware"), std::string::npos);
  cluster.settings["cluster.routing.allocation.awareness.attributes"] = "zone";
  cluster.templates.erase("metrics-otel-v1");
  EXPECT_EQ(only("templates"), "metrics-otel-v1: the cluster does not have this index template\n");
}

}  // namespace
}  // namespace naru::prepper
