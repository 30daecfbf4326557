#include "prepper/bootstrap/bootstrap.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <fstream>
#include <iterator>
#include <set>

#include "prepper/bootstrap/index_template.h"
#include "prepper/bootstrap/mappings.h"
#include "tests/unit/prepper/fakes.h"

namespace naru::prepper {
namespace {

constexpr UnixNanos kNow = 1'793'800'000 * kNanosPerSecond;

constexpr auto kTwoHotOneWarm =
    R"({"nodes":{"a":{"name":"a","roles":["data","ingest"],"attributes":{"temp":"hot"}},"b":{"name":"b","roles":["data"],)"
    R"("attributes":{"temp":"hot"}},"c":{"name":"c","roles":["data"],"attributes":{"temp":"warm"}},)"
    R"("d":{"name":"d","roles":["cluster_manager"],"attributes":{"temp":"hot"}}}})";
constexpr auto kOneNode = R"({"nodes":{"a":{"name":"a","roles":["data","ingest"],"attributes":{}}}})";

// A cluster with the given nodes that remembers what is put. Answers of single paths can be replaced.
class FakeCluster : public net::HttpTransport {
 public:
  explicit FakeCluster(std::string nodes = kOneNode) {
    answers["/"] = R"({"version":{"distribution":"opensearch","number":"2.19.1"}})";
    answers["/_nodes"] = std::move(nodes);
    answers["/_cluster/health"] = R"({"status":"green"})";
    answers["/_cluster/stats"] = R"({"timestamp":1793800000000})";
    answers["/_tasks"] = R"({"tasks":[]})";
  }
  Result<net::HttpResponse> exchange(net::HttpRequest request, std::chrono::milliseconds) override {
    const std::string path(request.path());
    if (request.method != "GET") {
      sent.push_back(request.method + " " + request.target);
      if (path == "/_cluster/settings") {
        simdjson::dom::parser parser;
        simdjson::dom::object members;
        EXPECT_EQ(parser.parse(request.body)["persistent"].get(members), simdjson::SUCCESS);
        for (const auto& [name, value] : members) {
          settings[std::string(name)] = simdjson::minify(value);
        }
      } else {
        puts[path] = request.body;
      }
      return net::json_response(200, R"({"acknowledged":true})");
    }
    if (const auto at = answers.find(path); at != answers.end()) {
      return net::json_response(200, at->second);
    }
    if (path == "/_cluster/settings") {
      std::string all;
      for (const auto& [name, value] : settings) {
        all += (all.empty() ? "\"" : ",\"") + name + "\":" + value;
      }
      return net::json_response(200, R"({"persistent":{)" + all + "}}");
    }
    if (path == "/_index_template") {
      std::string all;
      for (const auto& [at, text] : puts) {
        if (constexpr std::string_view kPrefix = "/_index_template/"; at.starts_with(kPrefix)) {
          all += (all.empty() ? "" : ",") + (R"({"name":")" + at.substr(kPrefix.size())) +
                 R"(","index_template":)" + text + "}";
        }
      }
      return net::json_response(200, R"({"index_templates":[)" + all + "]}");
    }
    if (path.starts_with("/_plugins/_ism")) {
      return ism(path);
    }
    return net::json_response(200, path.starts_with("/_cat") ? "[]" : "{}");
  }
  const std::string& template_of(const std::string& name) { return puts["/_index_template/" + name]; }

  std::map<std::string, std::string> answers, puts, settings;
  std::vector<std::string> sent;

 private:
  net::HttpResponse ism(const std::string& path) {
    const auto there = puts.find(path);
    if (there == puts.end()) {
      return net::json_response(404, "{}");
    }
    std::string body = there->second;
    body.insert(1, R"("_id":"x","_version":1,"_seq_no":7,"_primary_term":1,)");
    return net::json_response(200, body);
  }
};

std::string setting(const std::string& body, std::string_view name) {
  simdjson::dom::parser parser;
  simdjson::dom::object settings;
  std::string_view value;
  if (parser.parse(body)["template"]["settings"].get(settings) != simdjson::SUCCESS ||
      settings.at_key(name).get(value) != simdjson::SUCCESS) {
    return "<absent>";
  }
  return std::string(value);
}

std::string planned(FakeCluster& cluster, const PrepperConfig& config, bool accept_loss = false) {
  const auto changes = plan(config, {.opensearch = &cluster, .accept_loss = accept_loss}, kNow);
  return changes ? to_text(*changes) : changes.error().message();
}

TEST(Bootstrap, FitsTheTemplatesToTheHotTier) {
  FakeCluster cluster(kTwoHotOneWarm);
  PrepperConfig config;
  config.datasets.defaults.shards_per_hot_node = 2;
  ASSERT_TRUE(apply(config, {.opensearch = &cluster}, kNow));
  const std::string& logs = cluster.template_of("logs-otel-v1");
  EXPECT_EQ(setting(logs, "index.number_of_shards"), "4");
  EXPECT_EQ(setting(logs, "index.number_of_replicas"), "1");
  EXPECT_EQ(setting(logs, kRequireTier), "hot");
  EXPECT_EQ(setting(logs, "index.refresh_interval"), "60s");
  EXPECT_EQ(setting(logs, "index.translog.flush_threshold_size"), "1024mb");
  EXPECT_EQ(setting(logs, "index.codec"), "best_compression");
}

TEST(Bootstrap, FitsASingleNodeAndSaysWhatIsMissing) {
  FakeCluster cluster;
  EXPECT_NE(planned(cluster, {}).find("1 data node can hold 0"), std::string::npos) << planned(cluster, {});
  ASSERT_TRUE(apply({}, {.opensearch = &cluster}, kNow));
  const std::string& spans = cluster.template_of("otel-v1-apm-span");
  EXPECT_EQ(setting(spans, "index.number_of_shards"), "1");
  EXPECT_EQ(setting(spans, "index.number_of_replicas"), "0");
  EXPECT_EQ(setting(spans, kRequireTier), "<absent>");
}

TEST(Bootstrap, PlansWithoutTouchingAndHasNothingToDoAfterApplying) {
  FakeCluster cluster(kTwoHotOneWarm);
  FakeBus bus;
  PrepperConfig config;
  config.datasets.cluster.zones = {"dc1", "dc2"};
  config.datasets.cluster.shards_per_node_max = 2'000;
  config.datasets.datasets["web"].hot_for = std::chrono::hours(5);  // the same template
  config.datasets.datasets["pay"].logs.replicas = 0;                // a template of its own for logs
  cluster.answers["/_nodes"] = R"({"nodes":{"a":{"name":"a","roles":["data"],"attributes":{"zone":"dc1"}},)"
                               R"("b":{"name":"b","roles":["data"],"attributes":{"zone":"dc2"}}}})";
  const BootstrapTargets targets{.opensearch = &cluster, .bus = &bus};
  const auto before = plan(config, targets, kNow);
  ASSERT_TRUE(before);
  EXPECT_TRUE(cluster.sent.empty());
  EXPECT_EQ(before->size(), 4u + 4u + 1u + 9u)
      << to_text(*before);  // templates, settings, a note on zones, topics
  const auto done = apply(config, targets, kNow);
  ASSERT_TRUE(done);
  EXPECT_EQ(to_text(*done), to_text(*before));
  EXPECT_EQ(cluster.settings["cluster.routing.allocation.awareness.force.zone.values"], "\"dc1,dc2\"");
  EXPECT_TRUE(cluster.puts.contains("/_index_template/logs-otel-v1-pay"));
  const std::size_t sent = cluster.sent.size();
  for (const Change& change : *plan(config, targets, kNow)) {
    EXPECT_EQ(change.action, "note") << change.subject;
  }
  ASSERT_TRUE(apply(config, targets, kNow));
  EXPECT_EQ(cluster.sent.size(), sent);
}

TEST(Bootstrap, ShowsWhatDiffers) {
  FakeCluster cluster(kTwoHotOneWarm);
  PrepperConfig config;
  ASSERT_TRUE(apply(config, {.opensearch = &cluster}, kNow));
  EXPECT_EQ(planned(cluster, config), "nothing to do\n");
  config.datasets.defaults.refresh_interval = "5s";
  EXPECT_NE(planned(cluster, config)
                .find("change index template logs-otel-v1\n"
                      "    template.settings.index.refresh_interval: 60s -> 5s\n"),
            std::string::npos)
      << planned(cluster, config);
}

TEST(Bootstrap, KeepsTheOperatorsRuleForOtherIndices) {
  FakeCluster cluster;
  cluster.settings["action.auto_create_index"] = R"("-secret-*,+*")";
  ASSERT_TRUE(apply({}, {.opensearch = &cluster}, kNow));
  EXPECT_EQ(cluster.settings["action.auto_create_index"],
            R"("-logs-otel-v1-*,-metrics-otel-v1-*,-otel-v1-apm-span-*,-secret-*,+*")");
  cluster.settings["action.auto_create_index"] = R"("false")";
  EXPECT_EQ(planned(cluster, {}).find("auto_create"), std::string::npos);
}

// A live index of the given day with a mapping and settings.
void give_index(FakeCluster& cluster, const std::string& name, const std::string& mapping,
                const std::string& settings = "{}") {
  const std::string patterns = "/logs-otel-v1-*,metrics-otel-v1-*,otel-v1-apm-span-*";
  cluster.answers[patterns + "/_settings"] = R"({")" + name + R"(":{"settings":)" + settings + "}}";
  cluster.answers[patterns + "/_mapping"] = R"({")" + name + R"(":{"mappings":)" + mapping + "}}";
  cluster.answers[patterns + "/_alias"] = R"({")" + name + R"(":{"aliases":{"logs":{}}}})";
}

TEST(Bootstrap, GivesLiveIndicesTheFieldsAndSettingsThatTheyLack) {
  FakeCluster cluster;
  ASSERT_TRUE(apply({}, {.opensearch = &cluster}, kNow));
  give_index(cluster, "logs-otel-v1-web-2026.11.04",
             R"({"dynamic":"strict","properties":{"body":{"type":"text"},"flags":{"type":"keyword"},)"
             R"("severity":{"properties":{"number":{"type":"integer"}}}}})",
             R"({"index.refresh_interval":"1s"})");
  const std::string text = planned(cluster, {});
  EXPECT_NE(text.find("flags: keyword here, long declared"), std::string::npos) << text;
  EXPECT_NE(text.find("index.refresh_interval: 1s -> 60s"), std::string::npos) << text;
  ASSERT_TRUE(apply({}, {.opensearch = &cluster}, kNow));
  const std::string body = cluster.puts["/logs-otel-v1-web-2026.11.04/_mapping"];
  EXPECT_NE(body.find(R"("service_name":{"type":"keyword","ignore_above":256})"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("severity":{"properties":{"text":)"), std::string::npos) << body;
  EXPECT_EQ(body.find("\"body\""), std::string::npos);
  EXPECT_EQ(body.find("\"flags\""), std::string::npos);
}

TEST(Bootstrap, RefusesAShorterRetentionThatEndsIndicesAtOnce) {
  FakeCluster cluster;
  PrepperConfig config;
  ASSERT_TRUE(apply(config, {.opensearch = &cluster}, kNow));
  give_index(cluster, "logs-otel-v1-web-2026.10.20", R"({"properties":{}})");
  config.datasets.defaults.delete_after = std::chrono::hours(24);
  const std::size_t sent = cluster.sent.size();
  const auto refused = apply(config, {.opensearch = &cluster}, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kConflict);
  EXPECT_NE(refused.error().message().find("logs-otel-v1-web-2026.10.20"), std::string::npos);
  EXPECT_NE(refused.error().message().find("--accept-loss"), std::string::npos);
  EXPECT_EQ(cluster.sent.size(), sent);
  ASSERT_TRUE(apply(config, {.opensearch = &cluster, .accept_loss = true}, kNow));
  EXPECT_EQ(installed_delete_after(cluster.template_of("logs-otel-v1")), std::chrono::hours(24));
}

TEST(Bootstrap, InstallsPoliciesWhereThePluginIs) {
  std::string nodes = kTwoHotOneWarm;
  const std::string name = R"("name":"a",)";
  nodes.insert(nodes.find(name) + name.size(), R"("plugins":[{"name":"opensearch-index-management"}],)");
  FakeCluster cluster(nodes);
  PrepperConfig config;
  ASSERT_TRUE(apply(config, {.opensearch = &cluster}, kNow));
  const std::string& policy = cluster.puts["/_plugins/_ism/policies/naru-logs-otel-v1"];
  // formats.md 2.5: merged in a state of its own, behind the move.
  const auto at = [&](std::string_view part) { return policy.find(part); };
  EXPECT_LT(at(R"("require":{"temp":"warm"})"), at(R"("min_state_age":"1h")")) << policy;
  EXPECT_LT(at(R"("min_state_age":"1h")"), at(R"("force_merge":{"max_num_segments":1})")) << policy;
  EXPECT_NE(at(R"("min_index_age":"96h")"), std::string::npos)
      << policy;  // 1 day long, 2 days hot, 1 day margin
  EXPECT_EQ(planned(cluster, config), "nothing to do\n");
  config.datasets.defaults.warm_replicas = 0;
  ASSERT_TRUE(apply(config, {.opensearch = &cluster}, kNow));
  EXPECT_NE(std::ranges::find(cluster.sent,
                              "PUT /_plugins/_ism/policies/naru-logs-otel-v1?if_seq_no=7&if_primary_term=1"),
            cluster.sent.end());
  cluster.answers["/_nodes"] = kTwoHotOneWarm;
  config.datasets.lifecycle.driver = LifecycleBy::kIsm;
  EXPECT_NE(planned(cluster, config).find("driver: naru"), std::string::npos);
}

TEST(Bootstrap, RefusesServersThatItDoesNotWorkWith) {
  FakeCluster cluster;
  cluster.answers["/"] = R"({"version":{"number":"7.10.2","build_flavor":"oss"}})";
  const auto refused = plan({}, {.opensearch = &cluster}, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message().find("Elasticsearch 7.10.2"), std::string::npos)
      << refused.error().message();
  EXPECT_TRUE(unusable_server("opensearch", "1.3.20"));
  EXPECT_TRUE(unusable_server("opensearch", "2.6.0"));
  EXPECT_FALSE(unusable_server("opensearch", "2.7.0"));
  EXPECT_FALSE(unusable_server("opensearch", "3.0.0"));
}

TEST(Bootstrap, NeverChangesATopicThatExists) {
  FakeBus bus;
  PrepperConfig config;
  config.datasets.topics.partitions = 2;
  ASSERT_TRUE(apply(config, {.bus = &bus}, kNow));
  config.datasets.topics.partitions = 8;
  const auto changes = plan(config, {.bus = &bus}, kNow);
  ASSERT_TRUE(changes);
  for (const Change& change : *changes) {
    EXPECT_EQ(change.action, "note");
  }
  EXPECT_EQ(changes->size(), 4u);
}

TEST(Mappings, HaveEveryPromotedFieldWithItsTypeSomewhere) {
  const Mappings mappings = *load_mappings("");
  for (const Promoted& entry : mappings.promoted) {
    std::set<std::string> types;
    for (const DeclaredTemplate& declared : mappings.templates) {
      simdjson::dom::parser parser;
      std::string_view type;
      const std::string text = declared.text;
      if (parser.parse(text)["template"]["mappings"]["properties"][entry.field]["type"].get(type) ==
          simdjson::SUCCESS) {
        types.insert(std::string(type));
      }
    }
    EXPECT_EQ(types, std::set<std::string>{std::string(to_string(entry.type))}) << entry.field;
  }
}

void collect_types(simdjson::dom::object properties, const std::string& path,
                   std::map<std::string, std::set<std::string>>& out) {
  for (const auto& [name, field] : properties) {
    const std::string at = path + std::string(name);
    std::string_view type;
    if (field["type"].get(type) == simdjson::SUCCESS) {
      out[at].insert(std::string(type));
    }
    simdjson::dom::object inner;
    if (field["properties"].get(inner) == simdjson::SUCCESS) {
      collect_types(inner, at + ".", out);
    }
  }
}

TEST(Mappings, GiveEachFieldOneTypeAndTheDocumentsPageListsIt) {
  std::map<std::string, std::set<std::string>> types;
  for (const DeclaredTemplate& declared : load_mappings("")->templates) {
    simdjson::dom::parser parser;
    simdjson::dom::object properties;
    const std::string text = declared.text;
    ASSERT_EQ(parser.parse(text)["template"]["mappings"]["properties"].get(properties), simdjson::SUCCESS);
    collect_types(properties, "", types);
  }
  std::ifstream in(NARU_SOURCE_DIR "/docs/formats/documents.md");
  const std::string page{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  EXPECT_GT(types.size(), 90u);
  for (const auto& [field, kinds] : types) {
    EXPECT_EQ(kinds.size(), 1u) << field;
    EXPECT_NE(page.find("| `" + field + "` | " + *kinds.begin()), std::string::npos) << field;
  }
}

TEST(Mappings, OfADirectoryWinOverThoseOfTheProgram) {
  EXPECT_EQ(load_mappings("/nowhere/at/all").error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace naru::prepper
