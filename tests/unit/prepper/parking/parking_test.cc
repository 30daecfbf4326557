// A data set whose index takes nothing, beside one that moves on.
#include <algorithm>
#include <atomic>

#include "prepper/parking/topic.h"
#include "tests/unit/prepper/write/writer_fixture.h"

namespace naru::prepper {
namespace {

class ParkedRecords : public WriterTest {
 protected:
  ParkedRecords() {
    config.datasets.datasets["stuck"] = {};
    // Below one record: whatever waits is parked, in however many batches it came.
    config.parking.held_bytes_max = 500;
  }
  void put(const std::string& dataset, int records, std::size_t size = 1'000) {
    std::vector<Record> all;
    for (int i = 0; i < records; ++i) {
      all.push_back({std::string(size, 'x'), wall_now()});
    }
    bus.put(kLogs, message(all, position, dataset));
    position += records;
    ++messages;
  }
  // Lets one data set move until something is true.
  template <class Predicate>
  bool while_others_move(Predicate&& predicate) {
    return eventually([&] {
      put("moving", 1, 10);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      return predicate();
    });
  }
  bool is_done() {
    return eventually([&] { return bus.committed(kLogs) == messages; });
  }
  std::size_t parked() { return bus.stored(topic).size(); }
  std::int64_t drained() { return bus.committed(topic).value_or(0); }

  const std::string topic = parked_topic("stuck", otlp::Signal::kLogs);
  std::int64_t position = 0;
};

TEST_F(ParkedRecords, AreFinishedAtTheirSourceAndDrainedInOrderLater) {
  start();
  put("stuck", 1);
  ASSERT_TRUE(is_done());
  store.block_writes(store.created().front());
  for (int i = 0; i < 30; ++i) {
    put("stuck", 10);
  }
  ASSERT_TRUE(while_others_move([&] { return parked() == 300; }));
  EXPECT_TRUE(is_done()) << "parked records hold up their partition";
  EXPECT_EQ(drained(), 0);
  EXPECT_EQ(store.documents("-stuck-"), 1u);
  const auto records = bus.stored(topic);
  std::vector<std::string> origins;
  for (const FakeBus::Stored& record : records) {
    origins.push_back(record.headers.at(0).value);
  }
  EXPECT_EQ(origins.front(), "fake-cluster/otlp_logs/0/1/0");
  EXPECT_EQ(std::set<std::string>(origins.begin(), origins.end()).size(), 300u);

  store.block_writes(store.created().front(), false);
  EXPECT_TRUE(eventually([&] { return drained() == 300; }));
  EXPECT_EQ(store.documents("-stuck-"), 301u);
  for (const auto& [id, copies] : store.contents()) {
    EXPECT_EQ(copies.size(), 1u);
  }
  EXPECT_EQ(parked(), 300u) << "what came from there must not go there again";
  EXPECT_TRUE(bus.stored("naru.deadletter").empty());
}

TEST_F(ParkedRecords, OfAnEarlierRunAreDrainedAfterARestart) {
  start();
  put("stuck", 1);
  ASSERT_TRUE(is_done());
  store.block_writes(store.created().front());
  put("stuck", 100);
  ASSERT_TRUE(while_others_move([&] { return parked() == 100; }));
  ASSERT_TRUE(is_done());
  stop();
  store.block_writes(store.created().front(), false);
  start();
  EXPECT_TRUE(eventually([&] { return drained() == 100; }));
  EXPECT_EQ(store.documents("-stuck-"), 101u);
}

TEST_F(ParkedRecords, KeepTheIdsOfRecordsWithoutIdentity) {
  start();
  put("stuck", 1);
  ASSERT_TRUE(is_done());
  store.block_writes(store.created().front());
  std::string scope_group;
  for (int i = 0; i < 40; ++i) {
    scope_group += bytes_field(2, log_record(text(std::string(1'000, 'x')), "", wall_now(), wall_now()));
  }
  bus.put(kLogs, bytes_field(1, bytes_field(1, attribute(1, "data_stream.dataset", text("stuck"))) +
                                    bytes_field(2, scope_group)));
  ++messages;
  ASSERT_TRUE(while_others_move([&] { return parked() == 40; }));
  std::set<std::string> tried;
  for (const FakeOpenSearch::Bulk& bulk : store.bulks()) {
    for (const FakeOpenSearch::Line& line : bulk.lines) {
      if (line.index.find("-stuck-") != std::string::npos) {
        tried.insert(line.id);
      }
    }
  }
  EXPECT_GE(tried.size(), 2u);
  store.block_writes(store.created().front(), false);
  EXPECT_TRUE(eventually([&] { return drained() == 40; }));
  EXPECT_EQ(store.documents("-stuck-"), 41u);
  const auto contents = store.contents("-stuck-");
  for (const std::string& id : tried) {
    EXPECT_TRUE(contents.contains(id)) << "another id than at the first try";
  }
}

TEST_F(ParkedRecords, AreNotWhenNothingMoves) {
  start();
  put("stuck", 1);
  ASSERT_TRUE(is_done());
  store.block_writes(store.created().front());
  put("stuck", 100);
  // Over the time after which the first data set does not count as moving any more nothing is to be seen but
  // silence; so the clock is the writer's ticks.
  const int polls = bus.polls();
  EXPECT_TRUE(eventually([&] { return bus.polls() > polls + 1'500; }));
  EXPECT_EQ(parked(), 0u);
  EXPECT_NE(bus.committed(kLogs), messages);
}

TEST_F(ParkedRecords, AreNotOfDataSetsThatNobodyNamed) {
  config.datasets.datasets.clear();
  start();
  put("stuck", 1);
  ASSERT_TRUE(is_done());
  store.block_writes(store.created().front());
  put("stuck", 100);
  const int polls = bus.polls();
  ASSERT_TRUE(while_others_move([&] { return bus.polls() > polls + 1'500; }));
  EXPECT_EQ(parked(), 0u);
}

TEST_F(ParkedRecords, AreNoMoreThanTheirBound) {
  config.parking.records_max = 50;
  start();
  put("stuck", 1);
  ASSERT_TRUE(is_done());
  store.block_writes(store.created().front());
  put("stuck", 60);
  // All sixty, or fewer when they came in two batches and the first one filled it.
  const auto waiting = registry.gauge("naru_parked_records", "", {{"pipeline", "main"}});
  ASSERT_TRUE(while_others_move([&] { return waiting.value() >= 50; }));
  put("stuck", 100);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  ASSERT_TRUE(while_others_move([&] { return std::chrono::steady_clock::now() > end; }));
  EXPECT_LE(parked(), 60u);
  store.block_writes(store.created().front(), false);
  EXPECT_TRUE(is_done());
  EXPECT_EQ(store.documents("-stuck-"), 161u);
}

}  // namespace
}  // namespace naru::prepper
