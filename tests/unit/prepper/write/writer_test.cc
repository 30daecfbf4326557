// One document, or one size of request, that OpenSearch never takes must not hold up the others.
#include <algorithm>
#include <atomic>
#include <optional>

#include "tests/unit/prepper/write/writer_fixture.h"

namespace naru::prepper {
namespace {

using Answer = std::optional<Result<net::HttpResponse>>;

class Writer : public WriterTest {
 protected:
  static std::vector<Record> records(int count) {
    std::vector<Record> out;
    for (int i = 0; i < count; ++i) {
      out.push_back({i == count / 3 ? "bad" : "good", wall_now()});
    }
    return out;
  }
  static bool has_bad(const std::string& text) { return text.find("\"bad\"") != std::string::npos; }
};

TEST_F(Writer, PassesADocumentThatItsIndexAlwaysRefusesForAnotherReason) {
  start();
  std::atomic<bool> refused{true};
  store.set_script([&](FakeOpenSearch& fake, const FakeOpenSearch::Bulk& bulk) -> Answer {
    std::string items;
    for (const FakeOpenSearch::Line& line : bulk.lines) {
      items += items.empty() ? "" : ",";
      items += refused && has_bad(line.document)
                   ? R"({"create":{"status":400,"error":{"type":"illegal_argument_exception","reason":"?"}}})"
                   : fake.apply_one(line);
    }
    return net::json_response(200, "{\"items\":[" + items + "]}");
  });
  bus.put(kLogs, message(records(30), 0));
  EXPECT_TRUE(eventually([&] { return store.documents() == 29; }));
  bus.put(kLogs, message(records(30), 100));
  EXPECT_TRUE(eventually([&] { return store.documents() == 58; }));
  EXPECT_EQ(bus.committed(kLogs), std::nullopt);
  EXPECT_TRUE(bus.stored("naru.deadletter").empty());
  refused = false;
  EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == 2; }));
  EXPECT_EQ(store.documents(), 60u);
}

TEST_F(Writer, PassesADocumentThatMakesEveryRequestFail) {
  start();
  std::atomic<bool> failing{true};
  store.set_script([&](FakeOpenSearch&, const FakeOpenSearch::Bulk& bulk) -> Answer {
    if (failing && has_bad(bulk.body)) {
      return net::json_response(500, R"({"error":{"type":"null_pointer_exception"},"status":500})");
    }
    return std::nullopt;
  });
  bus.put(kLogs, message(records(30), 0));
  EXPECT_TRUE(eventually([&] { return store.documents() == 29; }));
  EXPECT_EQ(bus.committed(kLogs), std::nullopt);
  EXPECT_TRUE(bus.stored("naru.deadletter").empty());
  failing = false;
  EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == 1; }));
  EXPECT_EQ(store.documents(), 30u);
}

TEST_F(Writer, PassesAnIndexThatCannotBeCreated) {
  start();
  store.refuse_indices("-full-");
  bus.put(kLogs, message({{"waits", wall_now()}}, 0, "full"));
  for (int i = 1; i < 20; ++i) {
    bus.put(kLogs, message({{"passes", wall_now()}}, i, "free"));
  }
  EXPECT_TRUE(eventually([&] { return store.documents("-free-") == 19; }));
  // What passed may be committed as the metadata of offset 0; the offset itself waits.
  EXPECT_EQ(bus.committed(kLogs).value_or(0), 0);
  store.refuse_indices("");
  EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == 20; }));
  EXPECT_EQ(store.documents("-full-"), 1u);
}

TEST_F(Writer, SendsLessToACircuitBreaker) {
  start();
  store.set_script([&](FakeOpenSearch&, const FakeOpenSearch::Bulk& bulk) -> Answer {
    if (bulk.lines.size() > 3) {
      return net::json_response(
          429, R"({"error":{"type":"circuit_breaking_exception","reason":"Data too large"}})");
    }
    return std::nullopt;
  });
  deliver(message(records(30), 0));
  EXPECT_EQ(store.documents(), 30u);
  expect_balance();
}

TEST_F(Writer, WritesNothingToAServerThatItDoesNotWorkWith) {
  store.set_server(R"({"version":{"number":"7.10.2","build_flavor":"oss"}})");
  start();
  bus.put(kLogs, message(records(3), 0));
  EXPECT_TRUE(eventually([&] {
    return std::ranges::any_of(health.checks(), [](const telemetry::Health::Check& check) {
      return check.name == "opensearch" && check.reason.find("Elasticsearch 7.10.2") != std::string::npos;
    });
  }));
  EXPECT_EQ(store.documents(), 0u);
  EXPECT_TRUE(store.created().empty());
  store.set_server(R"({"version":{"distribution":"opensearch","number":"2.19.1"}})");
  EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == 1; }));
  EXPECT_EQ(store.documents(), 3u);
}

// Two nodes behind one cluster's documents; the first one is away.
TEST_F(Writer, GoesOnThroughTheOtherNodesWhenOneIsAway) {
  class Away : public net::HttpTransport {
   public:
    Away(std::atomic<bool>& away, std::unique_ptr<net::HttpTransport> there)
        : away_(away), there_(std::move(there)) {}
    Result<net::HttpResponse> exchange(net::HttpRequest request,
                                       std::chrono::milliseconds deadline) override {
      return away_ ? fail(ErrorCode::kUnavailable, "connection refused")
                   : there_->exchange(std::move(request), deadline);
    }

   private:
    std::atomic<bool>& away_;
    std::unique_ptr<net::HttpTransport> there_;
  };
  std::atomic<bool> first_away{true};
  std::atomic<bool> second_away{false};
  const auto factory = store.factory();
  prepper = std::make_unique<Prepper>(config, bus,
                                      ClusterAccess(factory, {"http://first", "http://second"},
                                                    [&](const std::string& url) {
                                                      return std::make_unique<Away>(
                                                          url == "http://first" ? first_away : second_away,
                                                          factory());
                                                    }),
                                      registry, health);
  ASSERT_TRUE(prepper->start());
  const auto up = [&](const std::string& node) {
    const auto samples = telemetry::parse_exposition(registry.expose(), "naru_writer_node_up")->samples;
    return std::ranges::any_of(samples, [&](const telemetry::MetricSample& sample) {
      return sample.labels.at("node") == node && sample.value == 1;
    });
  };
  for (std::int64_t i = 0; i < 20; ++i) {
    deliver(message({{"good", wall_now()}}, i));
  }
  EXPECT_TRUE(health.ready()) << "a node that is away is no trouble while another is there";
  EXPECT_TRUE(eventually([&] { return up("http://second") && !up("http://first"); }));
  first_away = false;
  second_away = true;
  for (std::int64_t i = 20; i < 40; ++i) {
    deliver(message({{"good", wall_now()}}, i));
  }
  EXPECT_TRUE(eventually([&] { return up("http://first") && !up("http://second"); }));
  EXPECT_EQ(store.documents(), 40u);
  expect_balance();
  stop();  // before what it refers to
}

TEST_F(Writer, WritesABackfillAtItsRateAndTheRestAtOnce) {
  config.bulk.backfill_after = std::chrono::hours(1);
  config.bulk.backfill_bytes_per_second = 40'000;
  start();
  bus.set_ages(std::chrono::hours(2), std::chrono::hours(1'000));
  const auto begin = monotonic_now();
  for (std::int64_t i = 0; i < 12; ++i) {
    deliver(message({{std::string(10'000, 'x'), wall_now()}}, i));  // a batch each
  }
  // 120 kB and their action lines, of which one second's worth goes at once.
  EXPECT_GT(monotonic_now() - begin, 1'500'000'000u);
  EXPECT_EQ(store.documents(), 12u);
  bus.set_ages(std::chrono::seconds(0), std::chrono::hours(1'000));
  const auto again = monotonic_now();
  deliver(message({{std::string(100'000, 'x'), wall_now()}}, 100));
  EXPECT_LT(monotonic_now() - again, 1'000'000'000u);
}

}  // namespace
}  // namespace naru::prepper
