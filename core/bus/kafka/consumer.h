// A consumer on librdkafka: cooperative groups with manual commits, or every partition without a group.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/bus/kafka/client.h"

namespace naru::bus::kafka {

// Positions are never chosen by librdkafka: on assignment the committed offsets and the log's bounds are
// read, the listener decides, and a position that left the log later is an error of poll(), because
// auto.offset.reset=earliest would step over the gap with no more than a log line.
class KafkaConsumer final : public Consumer {
 public:
  static Result<std::unique_ptr<Consumer>> create(const KafkaBusConfig& bus, const ConsumerConfig& config,
                                                  RebalanceListener& listener);
  ~KafkaConsumer() override;
  KafkaConsumer(const KafkaConsumer&) = delete;
  KafkaConsumer& operator=(const KafkaConsumer&) = delete;

  Result<void> poll(std::vector<InRecord>& out, std::size_t records_max,
                    std::chrono::milliseconds wait) override;
  Result<void> commit(std::span<const Commit> commits) override;
  Result<void> pause(std::span<const TopicPartition> partitions) override;
  Result<void> resume(std::span<const TopicPartition> partitions) override;
  std::vector<Progress> progress() override;
  void close() override;

  // Which member of which generation of the group this is, for a transaction. Null: closed.
  GroupMetadata group_metadata() const;
  bool owns(const TopicPartition& partition) const { return owned_.contains(partition); }

 private:
  struct LookedUp {
    std::vector<Assignment> found;
    std::vector<TopicPartition> left;  // to be asked for again, in this order
    Result<void> result;               // the first error of those that are left
  };

  KafkaConsumer(const KafkaBusConfig& bus, const ConsumerConfig& config, RebalanceListener& listener);
  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t* partitions, void* opaque);
  void begin_assignment(const rd_kafka_topic_partition_list_t& partitions);
  Result<void> finish_assignment();
  void revoke(const std::vector<TopicPartition>& gone, bool lost);
  void forget_records_of(const std::vector<TopicPartition>& partitions);
  Result<void> discover_partitions();
  // Committed offsets and bounds, as far as they can be had in about `most`.
  LookedUp look_up(const std::vector<TopicPartition>& partitions, std::chrono::milliseconds most);
  Result<Assignment> bounds_of(const TopicPartition& partition, int timeout_ms);
  Result<void> assign(std::vector<Assignment>& partitions);
  Result<void> take(rd_kafka_message_t* message);
  Result<void> position_is_gone(const TopicPartition& partition, std::int64_t position);
  void pass_gap(const Assignment& bounds, std::int64_t wanted, std::int64_t lost);
  void hold(const Assignment& bounds, std::int64_t wanted);
  void show_held() const;
  Result<void> commit_together(const std::vector<const Commit*>& commits);

  const KafkaBusConfig bus_;
  const ConsumerConfig config_;
  RebalanceListener& listener_;
  Client client_;
  std::map<TopicPartition, std::int64_t> owned_;  // with the offset where reading began
  std::vector<TopicPartition> waiting_;           // assigned by the group, bounds not read yet
  std::optional<Error> waiting_reason_;           // told by poll() until they are
  std::uint64_t look_up_at_ns_ = 0;               // not before this time
  std::chrono::milliseconds look_up_wait_{0};     // doubles while it fails
  std::map<TopicPartition, std::string> held_;    // out of range, with the reason; poll() tells it each time
  std::uint64_t next_discovery_ns_ = 0;           // without a group
  std::vector<InRecord>* out_ = nullptr;          // of the poll that runs
  std::size_t out_begin_ = 0;
  std::optional<Error> rebalance_error_;
};

}  // namespace naru::bus::kafka
