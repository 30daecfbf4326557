#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <set>

#include "collector/buffer/buffer.h"
#include "core/otlp/build.h"
#include "tests/unit/core/bus/kafka/mock_cluster.h"
#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::collector {
namespace {

using std::chrono::milliseconds;

constexpr std::int16_t kProduceRequest = 0;  // Kafka protocol

class NoListener final : public bus::RebalanceListener {
  void on_assigned(std::span<bus::Assignment>) override {}
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}
};

class BufferOnKafka : public testing::Test {
 protected:
  BufferOnKafka() {
    for (const char* topic : {"otlp_logs", "otlp_metrics", "otlp_spans", "naru.deadletter"}) {
      cluster_.create_topic(topic, 2);
    }
    config_.retry_after = milliseconds(1);
    config_.spill.directory = "/spill";
    config_.spill.retry_max = milliseconds(10);
    bus::KafkaBusConfig kafka = cluster_.config();
    kafka.metrics = &registry_;
    auto made = bus::make_kafka_bus(kafka);
    EXPECT_TRUE(made.has_value());
    bus_ = std::move(*made);
    buffer_ = std::make_unique<Buffer>(config_, *bus_, registry_, health_, files_);
    EXPECT_TRUE(buffer_->start().has_value());
  }

  void submit(Role role, const std::string& body) {
    std::string resource;
    otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", body);
    otlp::LogsBuilder builder;
    builder.begin_resource(resource);
    builder.begin_scope({1, 2, 3}, 0);
    builder.add(1, 2, body);
    {
      const std::scoped_lock lock(mutex_);
      ++waiting_;
    }
    buffer_->submit({otlp::Signal::kLogs, role, 1'700'000'000'000, 1, builder.take()},
                    [this, role, body](const Result<void>& outcome) {
                      const std::scoped_lock lock(mutex_);
                      --waiting_;
                      if (!outcome) {
                        refused_.emplace(body, role);
                      }
                      answered_.notify_all();
                    });
  }
  // What its senders are left with.
  std::map<std::string, Role> wait_for_answers() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(answered_.wait_for(lock, std::chrono::seconds(60), [&] { return waiting_ == 0; }));
    return std::exchange(refused_, {});
  }

  std::set<std::string> bodies_on_kafka(std::size_t wanted) {
    NoListener listener;
    auto consumer = bus_->consumer({.group = "", .topics = {"otlp_logs"}}, listener);
    EXPECT_TRUE(consumer.has_value());
    std::set<std::string> out;
    const std::uint64_t until = monotonic_now() + 30 * kNanosPerSecond;
    while (out.size() < wanted && monotonic_now() < until) {
      std::vector<bus::InRecord> records;
      EXPECT_TRUE((*consumer)->poll(records, 1'000, milliseconds(100)).has_value());
      for (const bus::InRecord& record : records) {
        for (otlp::Messages groups = otlp::resource_groups(record.value); groups.next();) {
          for (otlp::Messages scopes(groups.bytes(), 2); scopes.next();) {
            for (otlp::Messages logs(scopes.bytes(), 2); logs.next();) {
              otlp::LogRecord log;
              otlp::AnyValue body;
              EXPECT_TRUE(otlp::parse(logs.bytes(), log) && otlp::parse(log.body, body));
              out.emplace(body.bytes);
            }
          }
        }
      }
    }
    (*consumer)->close();
    return out;
  }

  bus::kafka::MockCluster cluster_;
  telemetry::Registry registry_;
  telemetry::Health health_{registry_};
  CollectorConfig config_;
  spool::MemoryFileSystem files_;
  std::unique_ptr<bus::Bus> bus_;
  std::mutex mutex_;
  std::condition_variable answered_;
  std::size_t waiting_ = 0;
  std::map<std::string, Role> refused_;
  std::unique_ptr<Buffer> buffer_;
};

TEST_F(BufferOnKafka, ABrokenProducerLosesNothing) {
  submit(Role::kClient, "first");
  EXPECT_TRUE(wait_for_answers().empty());
  rd_kafka_mock_push_request_errors(cluster_.raw(), kProduceRequest, 1,
                                    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  std::set<std::string> expected{"first"};
  for (int i = 0; i < 200; ++i) {
    expected.insert(std::to_string(i));
    submit(i % 2 == 0 ? Role::kClient : Role::kAgent, std::to_string(i));
  }
  // Agents keep what was not acknowledged and come again; clients were answered for good.
  for (auto refused = wait_for_answers(); !refused.empty(); refused = wait_for_answers()) {
    for (const auto& [body, role] : refused) {
      EXPECT_EQ(role, Role::kAgent) << body;
      submit(role, body);
    }
  }
  while (buffer_->progress().spilled_requests > 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(registry_.counter("naru_kafka_producer_rebuilds_total", "").value(), 1U);
  EXPECT_EQ(bodies_on_kafka(expected.size()), expected);
  const telemetry::StageLedger ledger(registry_, "collector", "logs", "default");
  EXPECT_EQ(ledger.accepted.value(), expected.size());
  EXPECT_EQ(ledger.delivered.value(), expected.size());
}

}  // namespace
}  // namespace naru::collector
