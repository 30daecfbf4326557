#include "core/bus/kafka/consumer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/unit/core/bus/kafka/mock_cluster.h"

namespace naru::bus::kafka {
namespace {

using std::chrono::milliseconds;

struct Listener : RebalanceListener {
  std::vector<Assignment> assigned;
  std::vector<TopicPartition> revoked;
  std::vector<std::uint64_t> lost;
  std::function<void(Assignment&)> choose;
  void on_assigned(std::span<Assignment> partitions) override {
    for (Assignment& entry : partitions) {
      if (choose) {
        choose(entry);
      }
      assigned.push_back(entry);
    }
  }
  void on_revoked(std::span<const TopicPartition> partitions, bool) override {
    revoked.insert(revoked.end(), partitions.begin(), partitions.end());
  }
  void on_lost(const TopicPartition&, std::uint64_t records, std::int64_t) override {
    lost.push_back(records);
  }
};

// The stored offsets of a group, without being its member. (librdkafka's mock answers no second member of a
// group, so a new owner of a partition is played by a group whose offsets were stored before it was joined.)
class GroupOffsets {
 public:
  GroupOffsets(const MockCluster& cluster, const std::string& group) {
    ConfBuilder conf(cluster.config());
    conf.set("group.id", group);
    client_ = std::move(*conf.make(RD_KAFKA_CONSUMER, nullptr));
  }
  void store(std::int32_t partition, std::int64_t offset, const std::string& metadata) {
    const PartitionList list = one(partition);
    list->elems[0].offset = offset;
    list->elems[0].metadata = rd_kafka_mem_malloc(client_.get(), metadata.size());
    std::ranges::copy(metadata, static_cast<char*>(list->elems[0].metadata));
    list->elems[0].metadata_size = metadata.size();
    ASSERT_EQ(rd_kafka_commit(client_.get(), list.get(), 0), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  std::pair<std::int64_t, std::string> read(std::int32_t partition) {
    const PartitionList list = one(partition);
    EXPECT_EQ(rd_kafka_committed(client_.get(), list.get(), 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);
    const auto& found = list->elems[0];
    return {found.offset, {static_cast<const char*>(found.metadata), found.metadata_size}};
  }

 private:
  static PartitionList one(std::int32_t partition) {
    PartitionList list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), "t", partition);
    return list;
  }
  Client client_;
};

class KafkaConsumerTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.create_topic("t", 2);
    bus_ = std::move(*make_kafka_bus(cluster_.config()));
    producer_ = std::move(*bus_->producer());
  }
  void produce(std::string value, std::int32_t partition, std::vector<Header> headers = {}) {
    OutRecord record;
    record.topic = "t";
    record.partition = partition;
    record.key = "k";
    record.value = std::move(value);
    record.headers = std::move(headers);
    record.timestamp_ms = 1'700'000'000'123;
    ASSERT_TRUE(producer_->send(record, [](Result<Position>) {}).has_value());
    ASSERT_TRUE(producer_->flush(milliseconds(10'000)).has_value());
  }
  std::unique_ptr<Consumer> consumer(const std::string& group, Listener& listener) {
    return std::move(*bus_->consumer({group, {"t"}, 1u << 20}, listener));
  }
  // Polls until `count` records are there; at most about 30 s.
  static std::vector<InRecord> read(Consumer& consumer, std::size_t count) {
    std::vector<InRecord> out;
    for (int i = 0; i < 300 && out.size() < count; ++i) {
      const auto polled = consumer.poll(out, count - out.size(), milliseconds(100));
      EXPECT_TRUE(polled.has_value()) << polled.error().message();
    }
    return out;
  }

  MockCluster cluster_{2};
  std::unique_ptr<Bus> bus_;
  std::unique_ptr<Producer> producer_;
};

TEST_F(KafkaConsumerTest, ReadsEveryPartitionFromTheOldestRecordWithoutAGroup) {
  produce("zero", 0, {{"naru.resent", "1"}});
  produce("one", 1);
  Listener listener;
  auto reader = consumer("", listener);
  auto records = read(*reader, 2);
  ASSERT_EQ(records.size(), 2U);
  std::ranges::sort(records, {}, &InRecord::partition);
  EXPECT_EQ(records[0].value, "zero");
  EXPECT_EQ(records[0].key, "k");
  EXPECT_EQ(records[0].topic, "t");
  EXPECT_EQ(records[0].timestamp_ms, 1'700'000'000'123);
  ASSERT_NE(records[0].headers, nullptr);
  EXPECT_EQ((*records[0].headers)[0].key, "naru.resent");
  EXPECT_EQ(records[1].value, "one");
  EXPECT_EQ(records[1].headers, nullptr);
  EXPECT_EQ(listener.assigned.size(), 2U);
  reader->close();
  EXPECT_EQ(listener.revoked.size(), 2U);
  EXPECT_EQ(records[1].value, "one") << "records outlive their consumer";
}

TEST_F(KafkaConsumerTest, GoesOnAtTheCommittedOffsetAndSeesItsMetadata) {
  for (int i = 0; i < 3; ++i) {
    produce("v" + std::to_string(i), 0);
  }
  const std::string metadata = "v1|" + std::string(3'000, 'x');
  GroupOffsets(cluster_, "g").store(0, 2, metadata);
  Listener listener;
  auto reader = consumer("g", listener);
  const auto records = read(*reader, 1);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].value, "v2");
  ASSERT_EQ(listener.assigned.size(), 2U);
  std::ranges::sort(listener.assigned, {}, &Assignment::partition);
  EXPECT_EQ(listener.assigned[0].committed, 2);
  EXPECT_EQ(listener.assigned[0].metadata, metadata);
  EXPECT_EQ(listener.assigned[0].high, 3);
  EXPECT_EQ(listener.assigned[1].committed, std::nullopt);
  EXPECT_EQ(listener.assigned[1].start, 0);
}

TEST_F(KafkaConsumerTest, TheListenerChoosesWhereReadingBegins) {
  for (int i = 0; i < 3; ++i) {
    produce("v" + std::to_string(i), 0);
  }
  Listener listener;
  listener.choose = [](Assignment& entry) { entry.start = entry.partition.partition == 0 ? 2 : entry.start; };
  auto reader = consumer("chooses", listener);
  const auto records = read(*reader, 1);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].offset, 2);
}

// librdkafka keeps the leaders that it learnt when the group was joined until its next refresh, minutes
// later.
TEST_F(KafkaConsumerTest, FindsTheLeadersThatChangedBeforeThePartitionsWereAssigned) {
  const auto lead = [this](std::int32_t broker) {
    for (const std::int32_t partition : {0, 1}) {
      rd_kafka_mock_partition_set_leader(cluster_.raw(), "t", partition, broker);
    }
  };
  lead(1);
  produce("zero", 0);
  produce("one", 1);
  Listener listener;
  constexpr std::int16_t kSyncGroup = 14;  // answered when librdkafka has looked at the leaders
  for (const std::int32_t broker : {1, 2}) {
    rd_kafka_mock_broker_push_request_error_rtts(cluster_.raw(), broker, kSyncGroup, 1,
                                                 RD_KAFKA_RESP_ERR_NO_ERROR, 3'000);
  }
  auto reader = consumer("moved", listener);
  std::vector<InRecord> records;
  for (int i = 0; i < 45; ++i) {  // the mock lets a new group wait for 3 s
    (void)reader->poll(records, 1, milliseconds(100));
  }
  ASSERT_TRUE(listener.assigned.empty());
  lead(2);
  for (int i = 0; i < 150 && records.size() < 2; ++i) {
    (void)reader->poll(records, 2, milliseconds(100));  // it may say that it finds the old leader first
  }
  EXPECT_EQ(records.size(), 2U);
}

TEST_F(KafkaConsumerTest, ReadsTheOtherPartitionsWhileTheLeaderOfOneIsAway) {
  produce("zero", 0);
  produce("one", 1);
  rd_kafka_mock_partition_set_leader(cluster_.raw(), "t", 0, -1);
  Listener listener;
  auto reader = consumer("away", listener);
  std::vector<InRecord> records;
  Result<void> polled;
  for (int i = 0; i < 200 && records.empty(); ++i) {
    polled = reader->poll(records, 2, milliseconds(100));
  }
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].value, "one");
  ASSERT_FALSE(polled.has_value()) << "that one waits is told";
  EXPECT_NE(polled.error().message().find("t[0]"), std::string::npos) << polled.error().message();
  rd_kafka_mock_partition_set_leader(cluster_.raw(), "t", 0, 1);
  for (int i = 0; i < 300 && records.size() < 2; ++i) {
    (void)reader->poll(records, 2, milliseconds(100));
  }
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[1].value, "zero");
  reader->close();
  EXPECT_EQ(listener.revoked.size(), 2U);
}

TEST_F(KafkaConsumerTest, ClosesWhileAPartitionStillWaits) {
  produce("one", 1);
  rd_kafka_mock_partition_set_leader(cluster_.raw(), "t", 0, -1);
  Listener listener;
  auto reader = consumer("closing", listener);
  std::vector<InRecord> records;
  for (int i = 0; i < 200 && records.empty(); ++i) {
    (void)reader->poll(records, 2, milliseconds(100));
  }
  ASSERT_EQ(records.size(), 1U);
  reader->close();
  EXPECT_EQ(listener.revoked, (std::vector<TopicPartition>{{"t", 1}}));
}

TEST_F(KafkaConsumerTest, RefusesCommitsOfPartitionsOfOthersAndOverlongMetadataButStoresTheRest) {
  produce("a", 0);
  Listener listener;
  auto reader = consumer("g2", listener);
  ASSERT_EQ(read(*reader, 1).size(), 1U);
  const std::string metadata(4'096, 'm');
  const Commit commits[] = {
      {{"other", 0}, 1, ""}, {{"t", 1}, 0, std::string(4'097, 'x')}, {{"t", 0}, 1, metadata}};
  const auto committed = reader->commit(commits);
  ASSERT_FALSE(committed.has_value());
  EXPECT_EQ(committed.error().code(), ErrorCode::kConflict);
  GroupOffsets stored(cluster_, "g2");
  EXPECT_EQ(stored.read(0), std::pair(std::int64_t{1}, metadata));
  EXPECT_LT(stored.read(1).first, 0);
}

TEST_F(KafkaConsumerTest, PausedPartitionsRestUntilResumed) {
  Listener listener;
  auto reader = consumer("g3", listener);
  produce("first", 0);
  ASSERT_EQ(read(*reader, 1).size(), 1U);
  const TopicPartition partition{"t", 0};
  ASSERT_TRUE(reader->pause(std::span(&partition, 1)).has_value());
  produce("second", 0);
  produce("elsewhere", 1);
  const auto meanwhile = read(*reader, 1);
  ASSERT_EQ(meanwhile.size(), 1U);
  EXPECT_EQ(meanwhile[0].value, "elsewhere");
  ASSERT_TRUE(reader->resume(std::span(&partition, 1)).has_value());
  EXPECT_EQ(read(*reader, 1).front().value, "second");
}

TEST_F(KafkaConsumerTest, TellsPositionAndEndOfEachPartition) {
  for (int i = 0; i < 3; ++i) {
    produce("v", 0);
  }
  Listener listener;
  auto reader = consumer("", listener);
  ASSERT_EQ(read(*reader, 2).size(), 2U);
  const auto progress = reader->progress();
  ASSERT_EQ(progress.size(), 2U);
  EXPECT_EQ(progress[0].position, 2);
  EXPECT_EQ(progress[0].high, 3);
  EXPECT_EQ(progress[1].position, 0);
}

TEST_F(KafkaConsumerTest, HoldsAPartitionWhosePositionIsGone) {
  produce("a", 0);
  Listener listener;
  listener.choose = [](Assignment& entry) {
    entry.start = entry.partition.partition == 0 ? 50 : entry.start;
  };
  auto reader = consumer("held", listener);
  std::vector<InRecord> out;
  Result<void> polled;
  for (int i = 0; i < 300 && polled; ++i) {
    polled = reader->poll(out, 10, milliseconds(100));
  }
  ASSERT_FALSE(polled.has_value());
  EXPECT_EQ(polled.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(polled.error().message().find("t[0]"), std::string::npos);
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(listener.lost.empty()) << "it is decided by a person";
  EXPECT_FALSE(reader->poll(out, 10, milliseconds(10))) << "it is said as long as it is so";
  produce("b", 1);
  for (int i = 0; i < 300 && out.empty(); ++i) {
    EXPECT_FALSE(reader->poll(out, 10, milliseconds(100)));
  }
  ASSERT_EQ(out.size(), 1U) << "other partitions are read on";
  EXPECT_EQ(out[0].value, "b");
}

TEST_F(KafkaConsumerTest, ContinuesAtTheOldestRecordWhereThatIsDeclared) {
  produce("a", 0);
  KafkaBusConfig config = cluster_.config();
  config.out_of_range = OutOfRange::kContinueAtOldest;
  auto bus = std::move(*make_kafka_bus(config));
  Listener listener;
  listener.choose = [](Assignment& entry) {
    entry.start = entry.partition.partition == 0 ? 50 : entry.start;
  };
  auto reader = std::move(*bus->consumer({"declared", {"t"}, 1u << 20}, listener));
  ASSERT_EQ(read(*reader, 1).front().value, "a");
}

}  // namespace
}  // namespace naru::bus::kafka
