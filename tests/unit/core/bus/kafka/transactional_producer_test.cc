#include "core/bus/kafka/transactional_producer.h"

#include <gtest/gtest.h>

#include "tests/unit/core/bus/kafka/mock_cluster.h"

namespace naru::bus::kafka {
namespace {

// Kafka protocol.
constexpr std::int16_t kEndTxnRequest = 26;

std::vector<OutRecord> records(int n) {
  std::vector<OutRecord> out;
  for (int i = 0; i < n; ++i) {
    OutRecord& record = out.emplace_back();
    record.topic = "t";
    record.key = "k";
    record.value = "v";
    record.headers = {{"h", "1"}};
    record.timestamp_ms = 1'700'000'000'000;
  }
  return out;
}

TEST(KafkaTransactionalProducer, CommitsAgainAndAgain) {
  MockCluster cluster;
  cluster.create_topic("t", 2);
  auto producer = KafkaTransactionalProducer::create(cluster.config(), "id");
  ASSERT_TRUE(producer) << producer.error().message();
  for (int i = 0; i < 3; ++i) {
    const auto committed = (*producer)->commit(records(5), nullptr, {});
    EXPECT_TRUE(committed) << committed.error().message();
  }
  EXPECT_TRUE((*producer)->commit({}, nullptr, {}));
}

TEST(KafkaTransactionalProducer, IsOfNoUseAfterAFailure) {
  MockCluster cluster;
  cluster.create_topic("t", 2);
  KafkaBusConfig config = cluster.config();
  config.request_timeout = std::chrono::milliseconds{2'000};
  auto producer = KafkaTransactionalProducer::create(config, "id").value();
  rd_kafka_mock_push_request_errors(cluster.raw(), kEndTxnRequest, 1,
                                    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
  EXPECT_FALSE(producer->commit(records(1), nullptr, {}));
  EXPECT_EQ(producer->commit(records(1), nullptr, {}).error().code(), ErrorCode::kConflict);
  // Another one of the same id goes on.
  auto next = KafkaTransactionalProducer::create(config, "id");
  ASSERT_TRUE(next) << next.error().message();
  EXPECT_TRUE((*next)->commit(records(1), nullptr, {}));
}

TEST(KafkaTransactionalProducer, SaysThatTheClusterIsAway) {
  KafkaBusConfig config;
  config.brokers = "127.0.0.1:1";
  config.request_timeout = std::chrono::milliseconds{300};
  const auto producer = KafkaTransactionalProducer::create(config, "id");
  ASSERT_FALSE(producer);
  EXPECT_TRUE(producer.error().code() == ErrorCode::kTimeout ||
              producer.error().code() == ErrorCode::kUnavailable)
      << producer.error().message();
}

}  // namespace
}  // namespace naru::bus::kafka
