#include "core/bus/kafka/transactional_producer.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/bus/kafka/consumer.h"

namespace naru::bus::kafka {
namespace {

// A killed owner's open transaction hides what comes behind it for so long at most, when nobody takes its id.
constexpr int kTransactionTimeoutMs = 10'000;

}  // namespace

Result<std::unique_ptr<TransactionalProducer>> KafkaTransactionalProducer::create(
    const KafkaBusConfig& config, const std::string& id, const std::vector<std::string>& topics) {
  std::unique_ptr<KafkaTransactionalProducer> producer(new KafkaTransactionalProducer(config, id));
  ConfBuilder conf(config);
  conf.set("transactional.id", id);
  conf.set("partitioner", "fnv1a_random");
  conf.set("transaction.timeout.ms", std::to_string(kTransactionTimeoutMs));
  conf.set("message.timeout.ms", std::to_string(kTransactionTimeoutMs));
  conf.set("socket.timeout.ms", std::to_string(kTransactionTimeoutMs));
  conf.set("linger.ms", "0");  // commit() waits for every record
  NARU_TRY(producer->client_, conf.make(RD_KAFKA_PRODUCER, nullptr));
  NARU_TRY_VOID(producer->until_done("takes over", [&](rd_kafka_t* client, int timeout_ms) {
    return rd_kafka_init_transactions(client, timeout_ms);
  }));
  for (const std::string& topic : topics) {
    producer->topics_.emplace_back(rd_kafka_topic_new(producer->client_.get(), topic.c_str(), nullptr));
    if (auto known = ask_partition_count(producer->client_.get(), topic, config.request_timeout); !known) {
      return fail(std::move(known).error());
    }
  }
  return producer;
}

template <class Step>
Result<void> KafkaTransactionalProducer::until_done(const char* what, Step&& step) {
  const std::uint64_t deadline = monotonic_now() + to_nanos(config_.request_timeout);
  for (;;) {
    const std::uint64_t now = monotonic_now();
    const int left_ms = now < deadline ? static_cast<int>((deadline - now) / kNanosPerMilli) + 1 : 1;
    const KafkaError error(step(client_.get(), left_ms));
    if (error == nullptr) {
      return {};
    }
    if (rd_kafka_error_is_retriable(error.get()) == 0 || monotonic_now() >= deadline) {
      return fail(to_error(error.get(), fmt::format("transactional producer {} {}", id_, what)));
    }
  }
}

Result<void> KafkaTransactionalProducer::commit(std::vector<OutRecord> records, Consumer* consumer,
                                                std::span<const Commit> positions) {
  if (broken_) {
    return fail(ErrorCode::kConflict, fmt::format("transactional producer {} was given up", id_));
  }
  broken_ = true;  // until all is well
  NARU_TRY_VOID(begin());
  const auto fill = [&]() -> Result<void> {
    for (const OutRecord& record : records) {
      NARU_TRY_VOID(produce(record));
    }
    if (consumer != nullptr && !positions.empty()) {
      NARU_TRY_VOID(add_positions(*consumer, positions));
    }
    return until_done("commits", [](rd_kafka_t* client, int timeout_ms) {
      return rd_kafka_commit_transaction(client, timeout_ms);
    });
  };
  if (Result<void> filled = fill(); !filled) {
    // So that readers need not wait for its timeout. Where this fails too, the next producer of the id does.
    const KafkaError ignored(
        rd_kafka_abort_transaction(client_.get(), static_cast<int>(config_.request_timeout.count())));
    return filled;
  }
  broken_ = false;
  return {};
}

Result<void> KafkaTransactionalProducer::begin() {
  const KafkaError error(rd_kafka_begin_transaction(client_.get()));
  if (error != nullptr) {
    return fail(to_error(error.get(), fmt::format("transactional producer {} begins", id_)));
  }
  return {};
}

Result<void> KafkaTransactionalProducer::produce(const OutRecord& record) {
  auto [fields, headers] = to_fields(record);
  rd_kafka_vu_t copy;
  copy.vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  copy.u.i = RD_KAFKA_MSG_F_COPY;
  fields.push_back(copy);
  const KafkaError error(rd_kafka_produceva(client_.get(), fields.data(), fields.size()));
  if (error != nullptr) {
    return fail(to_error(error.get(), "record for topic " + record.topic));
  }
  (void)headers.release();  // with the message now
  return {};
}

Result<void> KafkaTransactionalProducer::add_positions(Consumer& consumer,
                                                       std::span<const Commit> positions) {
  auto* own = dynamic_cast<KafkaConsumer*>(&consumer);
  NARU_CHECK(own != nullptr, "the consumer is of the same bus");
  const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const Commit& position : positions) {
    if (!own->owns(position.partition)) {
      return fail(ErrorCode::kConflict,
                  fmt::format("{} is not this consumer's any more",
                              partition_name(position.partition.topic, position.partition.partition)));
    }
    add_position(*list, client_.get(), position);
  }
  const GroupMetadata group = own->group_metadata();
  if (group == nullptr) {
    return fail(ErrorCode::kConflict, "the consumer has left its group");
  }
  return until_done("adds positions", [&](rd_kafka_t* client, int timeout_ms) {
    return rd_kafka_send_offsets_to_transaction(client, list.get(), group.get(), timeout_ms);
  });
}

}  // namespace naru::bus::kafka
