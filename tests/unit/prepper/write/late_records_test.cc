// Records whose index takes no more (contracts.md 2): found there, in the data set of late records, or dead
// letters; and a replay meets its first copy wherever that is.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/prepper/write/writer_fixture.h"

namespace naru::prepper {
namespace {

using std::chrono::hours;

class LateRecords : public WriterTest {
 protected:
  LateRecords() {
    config.datasets.datasets["web"].delete_after = hours(20 * 24);
    config.datasets.datasets["web"].read_only_after = hours(1);
  }
  std::uint64_t late(const std::string& outcome) {
    return registry.counter("naru_late_records_total", "", {{"pipeline", "main"}, {"outcome", outcome}})
        .value();
  }
  const UnixNanos midnight = wall_now() / kNanosPerDay * kNanosPerDay - 2 * kNanosPerDay;
};

TEST_F(LateRecords, OfAnIndexMadeReadOnlyBetweenWriteAndReplayAreFoundThere) {
  start();
  const std::string first = message({{"a", midnight}, {"b", midnight + 1}}, 0);
  deliver(first);
  store.block_writes(index("web", midnight));
  deliver(first);
  deliver(message({{"a", midnight}, {"b", midnight + 1}, {"new", midnight + 2}}, 0));
  EXPECT_EQ(store.documents(index("web", midnight)), 2u);
  EXPECT_EQ(store.documents(index("web_late", midnight)), 1u);
  EXPECT_EQ(late("found"), 4u);
  EXPECT_EQ(late("diverted"), 1u);
  EXPECT_TRUE(bus.stored("naru.deadletter").empty());
  expect_balance();
}

TEST_F(LateRecords, AreWrittenOnceHoweverOftenTheyAreReplayed) {
  start();
  const std::string value = message({{"a", midnight}, {"b", midnight + 1}}, 0);
  deliver(message({{"first", midnight}}, 7));
  store.block_writes(index("web", midnight));
  for (int i = 0; i < 3; ++i) {
    deliver(value);
  }
  EXPECT_EQ(store.documents("web_late"), 2u);
  for (const auto& [id, copies] : store.contents()) {
    EXPECT_EQ(copies.size(), 1u) << id;
  }
  // The id is that of the record in its own data set: it is the one that was tried there.
  const auto bulks = store.bulks();
  for (const auto& [id, copies] : store.contents("web_late")) {
    EXPECT_TRUE(std::ranges::any_of(bulks, [&, key = id](const FakeOpenSearch::Bulk& bulk) {
      return std::ranges::any_of(bulk.lines, [&](const auto& line) {
        return line.id == key && line.index == index("web", midnight);
      });
    }));
  }
  expect_balance();
}

TEST_F(LateRecords, AcrossMidnightOnlyTheReadOnlyDayIsLate) {
  start();
  const std::string value = message({{"before", midnight - 1}, {"after", midnight}}, 0);
  deliver(value);
  EXPECT_EQ(store.documents(index("web", midnight - 1)), 1u);
  EXPECT_EQ(store.documents(index("web", midnight)), 1u);
  store.block_writes(index("web", midnight - 1));
  deliver(value);
  EXPECT_EQ(late("found"), 1u);
  deliver(message({{"late", midnight - 2}, {"in time", midnight + 2}}, 10));
  EXPECT_EQ(store.documents(index("web_late", midnight - 1)), 1u);
  EXPECT_EQ(store.documents(index("web", midnight)), 2u);
  EXPECT_EQ(store.documents(), 4u);
}

TEST_F(LateRecords, GoToThePeriodOfTheLateDataSet) {
  config.datasets.datasets["web_late"].period = Period::kHour;
  start();
  deliver(message({{"first", midnight}}, 0));
  store.block_writes(index("web", midnight));
  deliver(message({{"one", midnight}, {"five", midnight + 5 * kNanosPerHour}}, 1));
  EXPECT_EQ(store.documents(index("web_late", midnight, Period::kHour)), 1u);
  EXPECT_EQ(store.documents(index("web_late", midnight + 5 * kNanosPerHour, Period::kHour)), 1u);
}

TEST_F(LateRecords, WaitWhileOpenSearchCannotSayWhatIsThere) {
  start();
  const std::string value = message({{"a", midnight}}, 0);
  deliver(value);
  store.block_writes(index("web", midnight));
  store.refuse_looks(3);
  deliver(value);
  EXPECT_EQ(store.documents(), 1u);
  EXPECT_EQ(late("found"), 1u);
  EXPECT_EQ(late("diverted"), 0u);
}

TEST_F(LateRecords, OlderThanRetentionGoToALateDataSetThatKeepsLonger) {
  config.datasets.datasets["web_late"].period = Period::kMonth;
  config.datasets.datasets["web_late"].delete_after = hours(400 * 24);
  config.time.older_max = hours(400 * 24);
  start();
  const UnixNanos old = wall_now() - 40 * kNanosPerDay;
  const std::string value = message({{"a", old}}, 0);
  deliver(value);
  deliver(value);
  EXPECT_EQ(store.documents(), 1u);
  EXPECT_EQ(store.documents(index("web_late", old, Period::kMonth)), 1u);
  EXPECT_TRUE(bus.stored("naru.deadletter").empty());
}

TEST_F(LateRecords, WithoutAPlaceBecomeDeadLetters) {
  config.datasets.datasets["web_late"].read_only_after = hours(1);
  start();
  deliver(message({{"x", midnight}}, 0));
  deliver(message({{"y", midnight}}, 0, "web_late"));
  store.block_writes(index("web", midnight));
  store.block_writes(index("web_late", midnight));
  deliver(message({{"z", midnight}}, 5));
  const auto letters = bus.stored("naru.deadletter");
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].headers[1].value, "late");
  EXPECT_EQ(letters[0].headers[4].value, index("web_late", midnight));
  expect_balance();
}

// They waited because the shard was away, then their index turns out to be read-only: no probe each.
TEST_F(LateRecords, ThatWaitedLeaveTogether) {
  start();
  deliver(message({{"first", midnight}}, 0));
  std::atomic<bool> away{true};
  store.set_script(
      [&](FakeOpenSearch&, const FakeOpenSearch::Bulk& bulk) -> std::optional<Result<net::HttpResponse>> {
        if (!away) {
          return std::nullopt;
        }
        std::string items;
        for (std::size_t i = 0; i < bulk.lines.size(); ++i) {
          items += i == 0 ? "" : ",";
          items += R"({"create":{"status":503,"error":{"type":"unavailable_shards_exception"}}})";
        }
        return net::json_response(200, "{\"items\":[" + items + "]}");
      });
  std::vector<Record> records(500, {"x", midnight});
  bus.put(kLogs, message(records, 1));
  ++messages;
  ASSERT_TRUE(eventually([&] { return store.bulks().size() > 4; }));
  store.block_writes(index("web", midnight));
  const std::size_t before = store.bulks().size();
  away = false;
  EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == messages; }));
  EXPECT_EQ(store.documents("web_late"), 500u);
  EXPECT_LT(store.bulks().size() - before, 50u);
}

TEST_F(LateRecords, AreNotAssumedWhereNothingWasDeclared) {
  start();
  deliver(message({{"x", midnight}}, 0, "other"));
  store.block_writes(index("other", midnight));
  bus.put(kLogs, message({{"y", midnight}}, 1, "other"));
  ++messages;
  const auto held =
      registry.gauge("naru_writer_indices_held", "", {{"pipeline", "main"}, {"cause", "refused"}});
  EXPECT_TRUE(eventually([&] { return held.value() == 1; }));
  EXPECT_EQ(store.documents(), 1u);
  store.block_writes(index("other", midnight), false);
  EXPECT_TRUE(eventually([&] { return bus.committed(kLogs) == messages; }));
  EXPECT_EQ(store.documents(index("other", midnight)), 2u);
  EXPECT_EQ(store.documents("late"), 0u);
}

}  // namespace
}  // namespace naru::prepper
