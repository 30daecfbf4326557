// One document, or one size of request, that OpenSearch never takes must not hold up the others.
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
  EXPECT_EQ(bus.committed(kLogs), std::nullopt);
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

}  // namespace
}  // namespace naru::prepper
