// librdkafka's own mock brokers, for the tests of this module.
#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <string>

#include "core/bus/kafka/kafka_bus.h"

namespace naru::bus::kafka {

class MockCluster {
 public:
  explicit MockCluster(int brokers = 1) {
    char text[256];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, nullptr);
    owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    cluster_ = rd_kafka_mock_cluster_new(owner_, brokers);
  }
  ~MockCluster() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }
  MockCluster(const MockCluster&) = delete;
  MockCluster& operator=(const MockCluster&) = delete;

  void create_topic(const std::string& name, int partitions) {
    rd_kafka_mock_topic_create(cluster_, name.c_str(), partitions, 1);
  }
  KafkaBusConfig config() const {
    KafkaBusConfig config;
    config.brokers = rd_kafka_mock_cluster_bootstraps(cluster_);
    return config;
  }
  rd_kafka_mock_cluster_t* raw() { return cluster_; }

 private:
  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

}  // namespace naru::bus::kafka
