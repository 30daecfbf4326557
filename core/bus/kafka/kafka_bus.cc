#include "core/bus/kafka/kafka_bus.h"

#include <fmt/format.h>

#include <charconv>

#include "core/bus/kafka/client.h"
#include "core/bus/kafka/consumer.h"
#include "core/bus/kafka/producer.h"
#include "core/bus/kafka/transactional_producer.h"

namespace naru::bus {
namespace kafka {
namespace {

class KafkaBus final : public Bus {
 public:
  explicit KafkaBus(const KafkaBusConfig& config, Client admin) : config_(config), admin_(std::move(admin)) {}

  Result<std::unique_ptr<Producer>> producer() override { return KafkaProducer::create(config_); }
  Result<std::unique_ptr<TransactionalProducer>> transactional_producer(
      const std::string& id, const std::vector<std::string>& topics) override {
    return KafkaTransactionalProducer::create(config_, id, topics);
  }
  Result<std::unique_ptr<Consumer>> consumer(const ConsumerConfig& config,
                                             RebalanceListener& listener) override {
    return KafkaConsumer::create(config_, config, listener);
  }
  Result<void> ensure_topics(std::span<const TopicConfig> topics) override;
  Result<std::vector<TopicState>> describe(std::span<const std::string> topics) override;
  Result<std::map<std::string, std::string>> settings(const std::string& topic) override;
  Result<std::chrono::milliseconds> retention(const std::string& topic) override;
  Result<std::string> cluster_id() override;

 private:
  int timeout_ms() const { return static_cast<int>(config_.request_timeout.count()); }
  Result<void> create_topics(std::vector<NewTopic>& topics);

  const KafkaBusConfig config_;
  Client admin_;
};

Result<NewTopic> to_new_topic(const TopicConfig& topic) {
  char text[512];
  NewTopic out(
      rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions, topic.replication, text, sizeof(text)));
  if (out == nullptr) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("topic {}: {}", topic.name, text));
  }
  std::map<std::string, std::string> settings = topic.settings;
  if (topic.compacted) {
    settings.try_emplace("cleanup.policy", "compact");
  }
  for (const auto& [name, value] : settings) {
    rd_kafka_NewTopic_set_config(out.get(), name.c_str(), value.c_str());
  }
  return out;
}

Result<void> KafkaBus::ensure_topics(std::span<const TopicConfig> topics) {
  std::vector<std::string> names;
  for (const TopicConfig& topic : topics) {
    names.push_back(topic.name);
  }
  NARU_TRY(const std::vector<TopicState> states, describe(names));
  std::vector<NewTopic> missing;
  for (std::size_t i = 0; i < topics.size(); ++i) {
    if (!states[i].exists) {
      NARU_TRY(NewTopic topic, to_new_topic(topics[i]));
      missing.push_back(std::move(topic));
    }
  }
  return missing.empty() ? Result<void>{} : create_topics(missing);
}

Result<void> KafkaBus::create_topics(std::vector<NewTopic>& topics) {
  const AdminOptions options(rd_kafka_AdminOptions_new(admin_.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  char text[512];
  rd_kafka_AdminOptions_set_request_timeout(options.get(), timeout_ms(), text, sizeof(text));
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), timeout_ms(), text, sizeof(text));
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const NewTopic& topic : topics) {
    raw.push_back(topic.get());
  }
  const Queue queue(rd_kafka_queue_new(admin_.get()));
  rd_kafka_CreateTopics(admin_.get(), raw.data(), raw.size(), options.get(), queue.get());
  const Event event(rd_kafka_queue_poll(queue.get(), 2 * timeout_ms()));
  if (event == nullptr) {
    return fail(ErrorCode::kTimeout, "Kafka did not answer whether it created the topics");
  }
  if (const auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(to_error(code, "creating topics", rd_kafka_event_error_string(event.get())));
  }
  const rd_kafka_CreateTopics_result_t* result = rd_kafka_event_CreateTopics_result(event.get());
  std::size_t count = 0;
  const rd_kafka_topic_result_t** answers = rd_kafka_CreateTopics_result_topics(result, &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_topic_result_error(answers[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      continue;  // somebody else may have been faster
    }
    const char* reason = rd_kafka_topic_result_error_string(answers[i]);
    return fail(to_error(code, fmt::format("creating topic {}", rd_kafka_topic_result_name(answers[i])),
                         reason == nullptr ? "" : reason));
  }
  return {};
}

// All topics are asked for: asking for one by name would make a broker create it.
Result<std::vector<TopicState>> KafkaBus::describe(std::span<const std::string> topics) {
  const struct rd_kafka_metadata* raw = nullptr;
  const auto code = rd_kafka_metadata(admin_.get(), 1, nullptr, &raw, timeout_ms());
  const Metadata metadata(raw);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(to_error(code, "topics of Kafka at " + config_.brokers));
  }
  std::map<std::string_view, const rd_kafka_metadata_topic_t*> known;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    if (metadata->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      known[metadata->topics[i].topic] = &metadata->topics[i];
    }
  }
  std::vector<TopicState> out;
  for (const std::string& topic : topics) {
    TopicState& state = out.emplace_back(TopicState{.name = topic});
    if (const auto found = known.find(topic); found != known.end()) {
      const rd_kafka_metadata_topic_t& there = *found->second;
      state.exists = true;
      state.partitions = there.partition_cnt;
      state.replication = there.partition_cnt > 0 ? there.partitions[0].replica_cnt : 0;
    }
  }
  return out;
}

Result<std::map<std::string, std::string>> KafkaBus::settings(const std::string& topic) {
  const AdminOptions options(rd_kafka_AdminOptions_new(admin_.get(), RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS));
  char text[512];
  rd_kafka_AdminOptions_set_request_timeout(options.get(), timeout_ms(), text, sizeof(text));
  const ConfigResource resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  rd_kafka_ConfigResource_t* asked = resource.get();
  const Queue queue(rd_kafka_queue_new(admin_.get()));
  rd_kafka_DescribeConfigs(admin_.get(), &asked, 1, options.get(), queue.get());
  const Event event(rd_kafka_queue_poll(queue.get(), 2 * timeout_ms()));
  const std::string what = "settings of topic " + topic;
  if (event == nullptr) {
    return fail(ErrorCode::kTimeout, what + ": Kafka did not answer in time");
  }
  if (const auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(to_error(code, what, rd_kafka_event_error_string(event.get())));
  }
  std::size_t count = 0;
  const rd_kafka_ConfigResource_t** found =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event.get()), &count);
  if (count != 1) {
    return fail(ErrorCode::kInternal, what + ": Kafka answered for another number of topics");
  }
  if (const auto code = rd_kafka_ConfigResource_error(found[0]); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* reason = rd_kafka_ConfigResource_error_string(found[0]);
    return fail(to_error(code, what, reason == nullptr ? "" : reason));
  }
  std::size_t entries = 0;
  const rd_kafka_ConfigEntry_t** all = rd_kafka_ConfigResource_configs(found[0], &entries);
  std::map<std::string, std::string> out;
  for (std::size_t i = 0; i < entries; ++i) {
    const char* value = rd_kafka_ConfigEntry_value(all[i]);
    out.emplace(rd_kafka_ConfigEntry_name(all[i]), value == nullptr ? "" : value);
  }
  return out;
}

Result<std::chrono::milliseconds> KafkaBus::retention(const std::string& topic) {
  NARU_TRY(const auto all, settings(topic));
  const auto value = [&](const char* name) {
    const auto at = all.find(name);
    return at == all.end() ? std::string_view() : std::string_view(at->second);
  };
  std::int64_t kept_ms = -1;
  const std::string_view text = value("retention.ms");
  std::from_chars(text.data(), text.data() + text.size(), kept_ms);
  const bool deleted = value("cleanup.policy").find("delete") != std::string_view::npos;
  return !deleted || kept_ms < 0 ? std::chrono::milliseconds::max() : std::chrono::milliseconds(kept_ms);
}

Result<std::string> KafkaBus::cluster_id() {
  const MemoryText id(rd_kafka_clusterid(admin_.get(), timeout_ms()),
                      [](char* text) { rd_kafka_mem_free(nullptr, text); });
  if (id == nullptr) {
    return fail(ErrorCode::kUnavailable, "Kafka at " + config_.brokers + " did not tell its cluster id");
  }
  return std::string(id.get());
}

}  // namespace
}  // namespace kafka

Result<std::unique_ptr<Bus>> make_kafka_bus(const KafkaBusConfig& config) {
  if (config.delivery_timeout < std::chrono::seconds(1) ||
      config.delivery_timeout > std::chrono::minutes(15)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("kafka.delivery_timeout is {} ms; it must be 1 s to 15 min",
                            config.delivery_timeout.count()));
  }
  kafka::ConfBuilder conf(config);
  NARU_TRY(kafka::Client admin, conf.make(RD_KAFKA_PRODUCER, nullptr));
  return std::make_unique<kafka::KafkaBus>(config, std::move(admin));
}

}  // namespace naru::bus
