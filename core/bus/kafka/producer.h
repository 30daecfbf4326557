// A producer on one librdkafka client and one thread that serves its answers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "core/bus/kafka/client.h"

namespace naru::bus::kafka {

// A record stays where it is, uncopied, until librdkafka has reported on it. After a fatal error (Kafka
// fenced this producer, or a sequence is broken) the client is thrown away and a new one made; what was not
// acknowledged is answered with an error, so that its owner sends it again. A broker refuses whole batches
// for one record: what it refuses is sent once more in a batch of its own, and only what is refused there is
// reported as its own fault. Thread-safe.
class KafkaProducer final : public Producer {
 public:
  static Result<std::unique_ptr<Producer>> create(const KafkaBusConfig& config);
  // Answers what is still unacknowledged with kCancelled.
  ~KafkaProducer() override;
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  Result<void> send(OutRecord& record, DeliveryCallback done) override;
  Result<void> flush(std::chrono::milliseconds deadline) override;
  Result<std::int32_t> partition_count(const std::string& topic) override;

 private:
  struct Pending;
  struct Partitions {
    std::int32_t count = 0;
    std::uint64_t asked_ns = 0;
  };

  explicit KafkaProducer(const KafkaBusConfig& config);
  enum class Batching : std::uint8_t { kMany, kAlone };
  Result<Client> make_client(Batching batching);
  static rd_kafka_error_t* hand_over(rd_kafka_t* client, Pending& pending);
  void serve();
  void rebuild();
  static void drain(Client client);
  void refresh_partitions();
  void add(Pending* pending);
  void remove(Pending* pending);
  bool send_alone(std::unique_ptr<Pending>& pending);
  static void on_delivery(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* opaque);

  const KafkaBusConfig config_;
  std::shared_mutex client_mutex_;  // shared while sending; exclusive while the client is replaced
  Client client_;                   // only thread_ replaces it
  std::atomic<bool> fatal_{false};
  Client alone_;  // of thread_; sends one record at a time; null until the first refusal
  std::atomic<bool> alone_fatal_{false};
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> bytes_{0};

  std::mutex pending_mutex_;
  std::condition_variable answered_;
  Pending* oldest_ = nullptr;  // doubly linked, in sending order
  Pending* newest_ = nullptr;
  std::uint64_t next_sequence_ = 0;

  std::mutex partitions_mutex_;
  std::map<std::string, Partitions> partitions_;
  std::shared_ptr<void> bytes_gauge_;
  std::uint64_t next_rebuild_ns_ = 0;  // of thread_
  std::thread thread_;
};

}  // namespace naru::bus::kafka
