#include "core/bus/kafka/kafka_bus.h"

#include <gtest/gtest.h>

#include "tests/unit/core/bus/kafka/mock_cluster.h"

namespace naru::bus {
namespace {

KafkaBusConfig with(const std::string& name, const std::string& value) {
  KafkaBusConfig config;
  config.brokers = "127.0.0.1:1";
  config.properties[name] = value;
  return config;
}

TEST(KafkaBus, RefusesPropertiesThatWouldBreakGuaranteesAndSaysWhy) {
  for (const char* name : {"acks", "enable.idempotence", "enable.auto.commit", "auto.offset.reset",
                           "partitioner", "retries", "group.id", "transactional.id", "isolation.level"}) {
    const auto bus = make_kafka_bus(with(name, "1"));
    ASSERT_FALSE(bus.has_value()) << name;
    EXPECT_EQ(bus.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(bus.error().message().find(std::string("kafka.properties.") + name), std::string::npos);
    EXPECT_NE(bus.error().message().find(refused_property(name)), std::string::npos);
  }
}

TEST(KafkaBus, RefusesUnknownPropertiesValuesAndFiles) {
  EXPECT_FALSE(make_kafka_bus(with("no.such.property", "1")).has_value());
  EXPECT_FALSE(make_kafka_bus(with("linger.ms", "soon")).has_value());
  EXPECT_NE(property_problem("linger.ms", "soon").find("its value is refused"), std::string::npos);
  EXPECT_EQ(property_problem("linger.ms", "5"), "");
  KafkaBusConfig tls = with("ssl.ca.location", "/nonexistent/ca.pem");
  tls.properties["security.protocol"] = "ssl";
  const auto bus = make_kafka_bus(tls);
  ASSERT_FALSE(bus.has_value());
  EXPECT_NE(bus.error().message().find("ssl.ca.location"), std::string::npos) << bus.error().message();
}

TEST(KafkaBus, RefusesAnEmptyBrokerListAndAnUnboundedDeliveryTimeout) {
  EXPECT_FALSE(make_kafka_bus({}).has_value());
  KafkaBusConfig config = with("linger.ms", "1");
  config.delivery_timeout = std::chrono::milliseconds(0);
  EXPECT_FALSE(make_kafka_bus(config).has_value());
}

TEST(KafkaBus, StartsWhileNoBrokerAnswers) {
  KafkaBusConfig config = with("linger.ms", "1");
  config.request_timeout = std::chrono::milliseconds(50);
  const auto bus = make_kafka_bus(config);
  ASSERT_TRUE(bus.has_value()) << bus.error().message();
  EXPECT_TRUE((*bus)->producer().has_value());
  const std::vector<std::string> topics = {"t"};
  EXPECT_FALSE((*bus)->describe(topics).has_value());
}

TEST(KafkaBus, DescribesTopicsAndTheCluster) {
  kafka::MockCluster cluster;
  cluster.create_topic("here", 3);
  const auto bus = make_kafka_bus(cluster.config());
  ASSERT_TRUE(bus.has_value());
  const std::vector<std::string> topics = {"here", "absent"};
  const auto states = (*bus)->describe(topics);
  ASSERT_TRUE(states.has_value()) << states.error().message();
  EXPECT_TRUE((*states)[0].exists);
  EXPECT_EQ((*states)[0].partitions, 3);
  EXPECT_FALSE((*states)[1].exists);
  const auto id = (*bus)->cluster_id();
  ASSERT_TRUE(id.has_value());
  EXPECT_FALSE(id->empty());
}

TEST(KafkaBus, LeavesExistingTopicsAlone) {
  kafka::MockCluster cluster;
  cluster.create_topic("here", 3);
  const auto bus = make_kafka_bus(cluster.config());
  ASSERT_TRUE(bus.has_value());
  TopicConfig topic;
  topic.name = "here";
  topic.partitions = 8;
  EXPECT_TRUE((*bus)->ensure_topics(std::span(&topic, 1)).has_value());
}

}  // namespace
}  // namespace naru::bus
