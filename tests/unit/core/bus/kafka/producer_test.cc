#include "core/bus/kafka/producer.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>
#include <string>

#include "tests/unit/core/bus/kafka/mock_cluster.h"

namespace naru::bus::kafka {
namespace {

// Kafka protocol.
constexpr std::int16_t kProduceRequest = 0;
constexpr std::int16_t kInitProducerIdRequest = 22;

OutRecord record_of(std::string value, std::int32_t partition = kPartitionByKey) {
  OutRecord record;
  record.topic = "t";
  record.partition = partition;
  record.value = std::move(value);
  record.timestamp_ms = 1'700'000'000'000;
  return record;
}

struct Delivery {
  std::promise<Result<Position>> promise;
  std::future<Result<Position>> answer = promise.get_future();
  DeliveryCallback callback() {
    return [this](Result<Position> result) { promise.set_value(std::move(result)); };
  }
};

TEST(KafkaProducer, AnswersEachRecordWithItsPosition) {
  MockCluster cluster;
  cluster.create_topic("t", 2);
  auto producer = KafkaProducer::create(cluster.config());
  ASSERT_TRUE(producer.has_value());
  Delivery first, second;
  OutRecord a = record_of("a", 1), b = record_of("b", 1);
  ASSERT_TRUE((*producer)->send(a, first.callback()).has_value());
  ASSERT_TRUE((*producer)->send(b, second.callback()).has_value());
  const auto at_a = first.answer.get();
  const auto at_b = second.answer.get();
  ASSERT_TRUE(at_a.has_value()) << at_a.error().message();
  ASSERT_TRUE(at_b.has_value());
  EXPECT_EQ(at_a->partition, 1);
  EXPECT_EQ(at_a->offset, 0);
  EXPECT_EQ(at_b->offset, 1);
}

TEST(KafkaProducer, KnowsPartitionCountsAndMissingPartitions) {
  MockCluster cluster;
  cluster.create_topic("t", 2);
  auto producer = KafkaProducer::create(cluster.config());
  ASSERT_TRUE(producer.has_value());
  EXPECT_EQ((*producer)->partition_count("t").value_or(0), 2);
  Delivery none;
  OutRecord record = record_of("kept", 7);
  const auto sent = (*producer)->send(record, none.callback());
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(record.value, "kept");
}

TEST(KafkaProducer, RefusesWhatIsOverItsByteBoundAndTakesItAgainAfterTheAnswers) {
  MockCluster cluster;
  cluster.create_topic("t", 1);
  KafkaBusConfig config = cluster.config();
  config.producer_bytes_max = 10'000;
  rd_kafka_mock_broker_set_down(cluster.raw(), -1);
  auto producer = KafkaProducer::create(config);
  ASSERT_TRUE(producer.has_value());
  Delivery first, refused, again;
  OutRecord a = record_of(std::string(6'000, 'a')), b = record_of(std::string(6'000, 'b'));
  ASSERT_TRUE((*producer)->send(a, first.callback()).has_value());
  const auto over = (*producer)->send(b, refused.callback());
  ASSERT_FALSE(over.has_value());
  EXPECT_EQ(over.error().code(), ErrorCode::kOverloaded);
  EXPECT_EQ(b.value.size(), 6'000U);
  rd_kafka_mock_broker_set_up(cluster.raw(), -1);
  ASSERT_TRUE(first.answer.get().has_value());
  ASSERT_TRUE((*producer)->send(b, again.callback()).has_value());
  EXPECT_TRUE(again.answer.get().has_value());
}

TEST(KafkaProducer, AnswersWithATimeoutWhenNoBrokerCameBack) {
  MockCluster cluster;
  cluster.create_topic("t", 1);
  rd_kafka_mock_broker_set_down(cluster.raw(), -1);
  KafkaBusConfig config = cluster.config();
  config.delivery_timeout = std::chrono::seconds(1);
  auto producer = KafkaProducer::create(config);
  ASSERT_TRUE(producer.has_value());
  Delivery delivery;
  OutRecord record = record_of("x");
  ASSERT_TRUE((*producer)->send(record, delivery.callback()).has_value());
  EXPECT_EQ((*producer)->flush(std::chrono::milliseconds(10)).error().code(), ErrorCode::kTimeout);
  const auto answer = delivery.answer.get();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), ErrorCode::kTimeout);
}

TEST(KafkaProducer, FlushWaitsForEveryAnswer) {
  MockCluster cluster;
  cluster.create_topic("t", 1);
  auto producer = KafkaProducer::create(cluster.config());
  ASSERT_TRUE(producer.has_value());
  std::atomic<int> answered = 0;
  for (int i = 0; i < 100; ++i) {
    OutRecord record = record_of("x");
    ASSERT_TRUE((*producer)->send(record, [&](Result<Position>) { ++answered; }).has_value());
  }
  ASSERT_TRUE((*producer)->flush(std::chrono::seconds(10)).has_value());
  EXPECT_EQ(answered, 100);
}

TEST(KafkaProducer, RebuildsItselfAfterAFatalErrorAndReportsWhatWasNotAcknowledged) {
  MockCluster cluster;
  cluster.create_topic("t", 1);
  telemetry::Registry registry;
  KafkaBusConfig config = cluster.config();
  config.metrics = &registry;
  rd_kafka_mock_push_request_errors(cluster.raw(), kInitProducerIdRequest, 1,
                                    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
  auto producer = KafkaProducer::create(config);
  ASSERT_TRUE(producer.has_value());
  Delivery broken;
  OutRecord record = record_of("second");
  if ((*producer)->send(record, broken.callback())) {
    ASSERT_FALSE(broken.answer.get().has_value());
  }

  bool stored = false;
  for (int attempt = 0; attempt < 100 && !stored; ++attempt) {
    Delivery again;
    OutRecord resent = record_of("second");
    if (!(*producer)->send(resent, again.callback())) {
      std::this_thread::yield();
      --attempt;  // being rebuilt
      continue;
    }
    stored = again.answer.get().has_value();
  }
  EXPECT_TRUE(stored);
  EXPECT_EQ(registry.counter("naru_kafka_producer_rebuilds_total", "").value(), 1U);
}

// What the owner keeps until the answer is all that there is after a fatal error.
TEST(KafkaProducer, AnswersEachUnacknowledgedRecordOnceWhenABrokenSequenceEndsTheClient) {
  MockCluster cluster;
  cluster.create_topic("t", 2);
  telemetry::Registry registry;
  KafkaBusConfig config = cluster.config();
  config.metrics = &registry;
  auto producer = KafkaProducer::create(config);
  ASSERT_TRUE(producer.has_value());
  Delivery first;
  OutRecord record = record_of("first", 0);
  ASSERT_TRUE((*producer)->send(record, first.callback()).has_value());
  ASSERT_TRUE(first.answer.get().has_value());

  // The cluster forgot what it had acknowledged.
  rd_kafka_mock_push_request_errors(cluster.raw(), kProduceRequest, 1,
                                    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  constexpr std::size_t kRecords = 200;
  std::array<std::atomic<int>, kRecords> answers{}, acknowledged{};
  std::atomic<std::size_t> failed = 0;
  for (std::size_t i = 0; i < kRecords; ++i) {
    OutRecord next = record_of(std::to_string(i), static_cast<std::int32_t>(i % 2));
    const auto sent = (*producer)->send(next, [&, i](const Result<Position>& position) {
      ++answers[i];
      position ? ++acknowledged[i] : ++failed;
    });
    if (!sent) {
      EXPECT_EQ(next.value, std::to_string(i));
      ++answers[i];
    }
  }
  ASSERT_TRUE((*producer)->flush(std::chrono::seconds(30)).has_value());
  EXPECT_GT(failed, 0U);
  for (std::size_t i = 0; i < kRecords; ++i) {
    EXPECT_EQ(answers[i], 1) << i;
    while (acknowledged[i] == 0) {
      Delivery again;
      OutRecord resent = record_of(std::to_string(i), static_cast<std::int32_t>(i % 2));
      if ((*producer)->send(resent, again.callback()) && again.answer.get()) {
        ++acknowledged[i];
      }
    }
  }
  EXPECT_EQ(registry.counter("naru_kafka_producer_rebuilds_total", "").value(), 1U);
}

TEST(KafkaProducer, ARefusedBatchDoesNotBlameEachOfItsRecords) {
  for (const auto code : {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_RECORD}) {
    MockCluster cluster;
    cluster.create_topic("t", 1);
    KafkaBusConfig config = cluster.config();
    config.properties["linger.ms"] = "100";  // one batch
    auto producer = KafkaProducer::create(config);
    ASSERT_TRUE(producer.has_value());
    rd_kafka_mock_push_request_errors(cluster.raw(), kProduceRequest, 1, code);
    std::array<Delivery, 3> deliveries;
    for (Delivery& delivery : deliveries) {
      OutRecord record = record_of("x");
      ASSERT_TRUE((*producer)->send(record, delivery.callback()).has_value());
    }
    for (Delivery& delivery : deliveries) {
      const auto answer = delivery.answer.get();
      EXPECT_TRUE(answer.has_value()) << answer.error().message();
    }
  }
}

TEST(KafkaProducer, GivesBackARecordThatIsRefusedByItself) {
  MockCluster cluster;
  cluster.create_topic("t", 1);
  auto producer = KafkaProducer::create(cluster.config());
  ASSERT_TRUE(producer.has_value());
  rd_kafka_mock_push_request_errors(cluster.raw(), kProduceRequest, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
  OutRecord back;
  OutRecord record = record_of("poison");
  record.key = "k";
  record.returned = &back;
  Delivery refused, after;
  ASSERT_TRUE((*producer)->send(record, refused.callback()).has_value());
  const auto answer = refused.answer.get();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(back.value, "poison");
  EXPECT_EQ(back.key, "k");
  OutRecord next = record_of("next");
  ASSERT_TRUE((*producer)->send(next, after.callback()).has_value());
  EXPECT_TRUE(after.answer.get().has_value());
}

TEST(KafkaProducer, ARefusalThatIsNotTheRecordsFaultMeansSendAgain) {
  MockCluster cluster;
  cluster.create_topic("t", 1);
  auto producer = KafkaProducer::create(cluster.config());
  ASSERT_TRUE(producer.has_value());
  rd_kafka_mock_push_request_errors(cluster.raw(), kProduceRequest, 1, RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
  Delivery refused;
  OutRecord record = record_of("x");
  ASSERT_TRUE((*producer)->send(record, refused.callback()).has_value());
  EXPECT_EQ(refused.answer.get().error().code(), ErrorCode::kUnavailable);
}

TEST(KafkaProducer, AnswersWhatIsLeftWhenItEnds) {
  MockCluster cluster;
  cluster.create_topic("t", 1);
  rd_kafka_mock_broker_set_down(cluster.raw(), -1);
  auto producer = KafkaProducer::create(cluster.config());
  ASSERT_TRUE(producer.has_value());
  Delivery delivery;
  OutRecord record = record_of("x");
  ASSERT_TRUE((*producer)->send(record, delivery.callback()).has_value());
  producer->reset();
  const auto answer = delivery.answer.get();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace naru::bus::kafka
