#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/bus/local/local_bus.h"
#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::bus {
namespace {

using namespace std::chrono_literals;
using spool::MemoryFileSystem;
using testing::ElementsAre;
using testing::IsEmpty;

class Listener final : public RebalanceListener {
 public:
  void on_assigned(std::span<Assignment> partitions) override {
    for (const Assignment& assignment : partitions) {
      committed[assignment.partition.topic] = assignment.committed.value_or(-1);
    }
  }
  void on_revoked(std::span<const TopicPartition>, bool) override {}
  std::map<std::string, std::int64_t> committed;
};

OutRecord record_of(const std::string& topic, const std::string& value) {
  OutRecord record;
  record.topic = topic;
  record.key = "k";
  record.value = value;
  record.timestamp_ms = 1;
  return record;
}

std::vector<OutRecord> both(const std::string& value) {
  std::vector<OutRecord> out;
  out.push_back(record_of("a", value));
  out.push_back(record_of("b", value));
  return out;
}

// A bus with the input `in` and the outputs `a` and `b`.
struct Node {
  explicit Node(MemoryFileSystem& files) {
    LocalBusConfig config;
    config.directory = "bus";
    config.fsync_interval = 0us;
    config.housekeeping_interval = 0ms;
    auto opened = open_local_bus(config, files);
    if (opened) {
      bus = std::move(*opened);
    }
  }
  bool create() {
    std::vector<TopicConfig> topics(3);
    topics[0].name = "in";
    topics[1].name = "a";
    topics[2].name = "b";
    for (TopicConfig& topic : topics) {
      topic.partitions = 1;
    }
    return bus->ensure_topics(topics).has_value();
  }
  std::vector<std::string> values(const std::string& topic) {
    Listener listener;
    auto consumer = bus->consumer({.group = {}, .topics = {topic}}, listener).value();
    std::vector<InRecord> records;
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(consumer->poll(records, 100, 0ms));
    }
    std::vector<std::string> out;
    for (const InRecord& record : records) {
      out.emplace_back(record.value);
    }
    return out;
  }
  std::int64_t position() {
    Listener listener;
    auto consumer = bus->consumer({.group = "g", .topics = {"in"}}, listener).value();
    std::vector<InRecord> records;
    EXPECT_TRUE(consumer->poll(records, 1, 0ms));
    return listener.committed.at("in");
  }
  std::unique_ptr<LocalBus> bus;
};

void send_input(Node& node) {
  auto producer = node.bus->producer().value();
  OutRecord record = record_of("in", "x");
  ASSERT_TRUE(producer->send(record, [](const Result<Position>&) {}));
  ASSERT_TRUE(producer->flush(1s));
}

TEST(LocalTransactions, RecordsAndPositionsBecomeVisibleTogether) {
  MemoryFileSystem files;
  Node node(files);
  ASSERT_TRUE(node.create());
  send_input(node);
  Listener listener;
  auto consumer = node.bus->consumer({.group = "g", .topics = {"in"}}, listener).value();
  std::vector<InRecord> records;
  ASSERT_TRUE(consumer->poll(records, 1, 0ms));
  auto producer = node.bus->transactional_producer("t").value();
  const Commit position{{"in", 0}, 1, "note"};
  EXPECT_TRUE(producer->commit(both("1"), consumer.get(), std::span(&position, 1)));
  consumer->close();
  EXPECT_THAT(node.values("a"), ElementsAre("1"));
  EXPECT_THAT(node.values("b"), ElementsAre("1"));
  EXPECT_EQ(node.position(), 1);
}

TEST(LocalTransactions, AProducerThatWasReplacedWritesNothing) {
  MemoryFileSystem files;
  Node node(files);
  ASSERT_TRUE(node.create());
  auto old = node.bus->transactional_producer("t").value();
  auto fresh = node.bus->transactional_producer("t").value();
  auto other = node.bus->transactional_producer("u").value();
  EXPECT_EQ(old->commit(both("old"), nullptr, {}).error().code(), ErrorCode::kConflict);
  EXPECT_TRUE(fresh->commit(both("fresh"), nullptr, {}));
  EXPECT_TRUE(other->commit(both("other"), nullptr, {}));
  EXPECT_THAT(node.values("a"), ElementsAre("fresh", "other"));
}

TEST(LocalTransactions, RefuseAsAWholeWhatOneRecordOrPositionMayNot) {
  MemoryFileSystem files;
  Node node(files);
  ASSERT_TRUE(node.create());
  auto producer = node.bus->transactional_producer("t").value();
  std::vector<OutRecord> records = both("1");
  records.push_back(record_of("none", "1"));
  EXPECT_EQ(producer->commit(std::move(records), nullptr, {}).error().code(), ErrorCode::kNotFound);
  Listener listener;
  auto consumer = node.bus->consumer({.group = "g", .topics = {"in"}}, listener).value();
  std::vector<InRecord> none;
  ASSERT_TRUE(consumer->poll(none, 1, 0ms));
  const Commit beyond{{"in", 0}, 7, ""}, foreign{{"in", 3}, 0, ""};
  EXPECT_FALSE(producer->commit(both("1"), consumer.get(), std::span(&beyond, 1)));
  EXPECT_EQ(producer->commit(both("1"), consumer.get(), std::span(&foreign, 1)).error().code(),
            ErrorCode::kConflict);
  EXPECT_THAT(node.values("a"), IsEmpty());
}

// The power goes at any call to the file system: afterwards all of a commit is there, once, or nothing of it.
TEST(LocalTransactions, AreAllOrNothingWhereverThePowerGoes) {
  int nothing = 0, finished_later = 0;
  for (std::uint64_t call = 1; call < 200; ++call) {
    MemoryFileSystem files;
    bool answered = false;
    {
      Node node(files);
      ASSERT_TRUE(node.create());
      send_input(node);
      Listener listener;
      auto consumer = node.bus->consumer({.group = "g", .topics = {"in"}}, listener).value();
      std::vector<InRecord> records;
      ASSERT_TRUE(consumer->poll(records, 1, 0ms));
      auto producer = node.bus->transactional_producer("t").value();
      files.die_at(files.calls() + call);
      const Commit position{{"in", 0}, 1, ""};
      answered = producer->commit(both("1"), consumer.get(), std::span(&position, 1)).has_value();
    }
    files.power_cut();
    Node node(files);
    ASSERT_NE(node.bus, nullptr);
    const auto a = node.values("a"), b = node.values("b");
    EXPECT_EQ(a, b) << call;
    EXPECT_LE(a.size(), 1u) << call;
    EXPECT_EQ(node.position(), a.empty() ? -1 : 1) << call;
    EXPECT_TRUE(!answered || a.size() == 1) << call;
    nothing += a.empty() ? 1 : 0;
    finished_later += !answered && !a.empty() ? 1 : 0;
    if (answered) {
      break;  // the power went behind it
    }
    // What was finished is not finished again.
    node.bus.reset();
    Node again(files);
    EXPECT_EQ(again.values("a"), a) << call;
  }
  EXPECT_GT(nothing, 0);
  EXPECT_GT(finished_later, 0);
}

}  // namespace
}  // namespace naru::bus
