#include "prepper/bootstrap/bootstrap.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <fstream>
#include <iterator>
#include <set>

#include "prepper/bootstrap/mappings.h"
#include "tests/unit/prepper/fakes.h"

namespace naru::prepper {
namespace {

// Remembers what is PUT, as a cluster with the given nodes.
class FakeCluster : public net::HttpTransport {
 public:
  explicit FakeCluster(std::string nodes) : nodes_(std::move(nodes)) {}
  Result<net::HttpResponse> exchange(net::HttpRequest request, std::chrono::milliseconds) override {
    const std::string path(request.path());
    if (request.method == "PUT") {
      ++puts;
      stored[path] = request.body;
      return net::json_response(200, R"({"acknowledged":true})");
    }
    if (path == "/_nodes") {
      return nodes_.empty() ? net::json_response(400, "{}") : net::json_response(200, nodes_);
    }
    if (path == "/_cluster/settings") {
      return net::json_response(200,
                                stored.contains(path) ? stored[path] : R"({"persistent":{},"transient":{}})");
    }
    if (!stored.contains(path)) {
      return net::json_response(404, "{}");
    }
    return net::json_response(200,
                              R"({"index_templates":[{"name":"x","index_template":)" + stored[path] + "}]}");
  }
  std::map<std::string, std::string> stored;
  int puts = 0;

 private:
  std::string nodes_;
};

constexpr auto kTwoHotOneWarm =
    R"({"nodes":{"a":{"roles":["data","ingest"],"attributes":{"temp":"hot"}},"b":{"roles":["data"],"attributes":{"temp":"hot"}},)"
    R"("c":{"roles":["data"],"attributes":{"temp":"warm"}},"d":{"roles":["cluster_manager"],"attributes":{"temp":"hot"}}}})";

std::string setting(const std::string& body, std::string_view name) {
  simdjson::dom::parser parser;
  std::string_view value;
  const auto found = parser.parse(body)["template"]["settings"]["index"][name].get(value);
  return found == simdjson::SUCCESS ? std::string(value) : "<absent>";
}

TEST(Bootstrap, FitsTheTemplatesToTheHotTier) {
  FakeCluster cluster(kTwoHotOneWarm);
  ASSERT_TRUE(apply({.shards_per_node = 2}, {}, {.opensearch = &cluster}));
  const std::string& logs = cluster.stored["/_index_template/logs-otel-v1"];
  EXPECT_EQ(setting(logs, "number_of_shards"), "4");
  EXPECT_EQ(setting(logs, "number_of_replicas"), "1");
  EXPECT_EQ(setting(logs, "routing.allocation.require.temp"), "hot");
  EXPECT_EQ(setting(logs, "refresh_interval"), "60s");
}

TEST(Bootstrap, FitsASingleNodeThatTellsNothingAboutItself) {
  FakeCluster cluster("");
  ASSERT_TRUE(apply({}, {}, {.opensearch = &cluster}));
  const std::string& spans = cluster.stored["/_index_template/otel-v1-apm-span"];
  EXPECT_EQ(setting(spans, "number_of_shards"), "1");
  EXPECT_EQ(setting(spans, "number_of_replicas"), "0");
  EXPECT_EQ(setting(spans, "routing.allocation.require.temp"), "<absent>");
}

TEST(Bootstrap, PlansWithoutTouchingAndHasNothingToDoAfterApplying) {
  FakeCluster cluster(kTwoHotOneWarm);
  FakeBus bus;
  const BootstrapTargets targets{.opensearch = &cluster, .bus = &bus};
  const auto planned = plan({}, {}, targets);
  ASSERT_TRUE(planned);
  EXPECT_EQ(cluster.puts, 0);
  EXPECT_EQ(planned->size(), 3u + 1u + 5u);
  const auto done = apply({}, {}, targets);
  ASSERT_TRUE(done);
  EXPECT_EQ(to_text(*done), to_text(*planned));
  EXPECT_EQ(cluster.puts, 4);
  EXPECT_EQ(to_text(*plan({}, {}, targets)), "nothing to do\n");
  ASSERT_TRUE(apply({}, {}, targets));
  EXPECT_EQ(cluster.puts, 4);
}

TEST(Bootstrap, ShowsWhatDiffers) {
  FakeCluster cluster(kTwoHotOneWarm);
  ASSERT_TRUE(apply({}, {}, {.opensearch = &cluster}));
  const auto planned = plan({.refresh_interval = "5s"}, {}, {.opensearch = &cluster});
  ASSERT_TRUE(planned);
  EXPECT_NE(to_text(*planned).find("change index template logs-otel-v1\n"
                                   "    template.settings.index.refresh_interval: 60s -> 5s\n"),
            std::string::npos)
      << to_text(*planned);
}

TEST(Bootstrap, KeepsTheOperatorsRuleForOtherIndices) {
  FakeCluster cluster("");
  cluster.stored["/_cluster/settings"] = R"({"persistent":{"action":{"auto_create_index":"-secret-*,+*"}}})";
  ASSERT_TRUE(apply({}, {}, {.opensearch = &cluster}));
  EXPECT_NE(cluster.stored["/_cluster/settings"].find(
                "-logs-otel-v1-*,-metrics-otel-v1-*,-otel-v1-apm-span-*,-secret-*,+*"),
            std::string::npos)
      << cluster.stored["/_cluster/settings"];
  cluster.stored["/_cluster/settings"] = R"({"transient":{"action.auto_create_index":"false"}})";
  EXPECT_EQ(to_text(*plan({}, {}, {.opensearch = &cluster})), "nothing to do\n");
}

TEST(Bootstrap, NeverChangesATopicThatExists) {
  FakeBus bus;
  ASSERT_TRUE(apply({.partitions = 2}, {}, {.bus = &bus}));
  const auto planned = plan({.partitions = 8}, {}, {.bus = &bus});
  ASSERT_TRUE(planned);
  for (const Change& change : *planned) {
    EXPECT_EQ(change.action, "note");
  }
  EXPECT_EQ(planned->size(), 4u);
}

TEST(Mappings, HaveEveryPromotedFieldWithItsTypeSomewhere) {
  const Mappings mappings = *load_mappings("");
  for (const Promoted& entry : mappings.promoted) {
    std::set<std::string> types;
    for (const DeclaredTemplate& declared : mappings.templates) {
      simdjson::dom::parser parser;
      std::string_view type;
      const std::string text = render_template(declared.text, {});
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
    const std::string text = render_template(declared.text, {});
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
