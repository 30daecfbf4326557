// Kafka's transactions: records and group positions in one commit, fenced by the transactional id.
#pragma once

#include <memory>
#include <string>

#include "core/bus/kafka/client.h"

namespace naru::bus::kafka {

class KafkaTransactionalProducer final : public TransactionalProducer {
 public:
  static Result<std::unique_ptr<TransactionalProducer>> create(const KafkaBusConfig& config,
                                                               const std::string& id,
                                                               const std::vector<std::string>& topics = {});
  Result<void> commit(std::vector<OutRecord> records, Consumer* consumer,
                      std::span<const Commit> positions) override;

 private:
  KafkaTransactionalProducer(const KafkaBusConfig& config, std::string id)
      : config_(config), id_(std::move(id)) {}
  Result<void> begin();
  Result<void> produce(const OutRecord& record);
  Result<void> add_positions(Consumer& consumer, std::span<const Commit> positions);
  // Calls `step` again while librdkafka says so, until the deadline.
  template <class Step>
  Result<void> until_done(const char* what, Step&& step);

  const KafkaBusConfig config_;
  const std::string id_;
  Client client_;
  std::vector<TopicHandle> topics_;  // kept: librdkafka forgets what it knows of a topic that nobody holds
  bool broken_ = false;
};

}  // namespace naru::bus::kafka
