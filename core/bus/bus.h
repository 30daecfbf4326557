// The message bus between stages: Kafka, or the partitioned log of one process. Same topics, partitions,
// offsets, groups and acknowledgement on both; no stage knows which one it talks to.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::bus {

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

struct Header {
  std::string key;
  std::string value;
};

inline constexpr std::int32_t kPartitionByKey = -1;

// A record to produce. Size limit of value: contracts.md 3 (900,000 bytes), held by the caller.
struct OutRecord {
  std::string topic;
  std::int32_t partition = kPartitionByKey;  // or explicit
  std::string key;
  std::string value;
  bool tombstone = false;  // null value: deletes the key of a compacted topic
  std::vector<Header> headers;
  UnixMillis timestamp_ms = 0;  // receive time, set at admission
  // Where the record is put back before its answer when the bus took it and then refused it for its own fault
  // (kInvalidArgument, kTooLarge); nullptr: its bytes are dropped. Must live until the answer.
  OutRecord* returned = nullptr;
};

struct Position {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

// Called exactly once per accepted record, on a thread of the bus; must not block.
// Success: durable (Kafka acks=all; local: fsynced). kInvalidArgument, kTooLarge: the record's own fault, it
// will never be taken (see OutRecord::returned). Any other error: not known to be durable, the caller still
// owns the outcome (it kept what it needs to send again).
using DeliveryCallback = std::move_only_function<void(Result<Position>)>;

class Producer {
 public:
  // Answers what is left; no callback comes afterwards.
  virtual ~Producer() = default;
  // Takes the record and answers through `done`. On error (kOverloaded: the queue bound is reached;
  // kTooLarge; kNotFound: unknown topic) `record` is left as it was and `done` is not called. Thread-safe.
  virtual Result<void> send(OutRecord& record, DeliveryCallback done) = 0;
  // Waits until everything sent before was answered. kTimeout.
  virtual Result<void> flush(std::chrono::milliseconds deadline) = 0;
  // Number of partitions of a topic. kNotFound, kUnavailable. Cached; refreshed at least every minute.
  virtual Result<std::int32_t> partition_count(const std::string& topic) = 0;
};

// A consumed record. The views live as long as any copy of `owner`.
struct InRecord {
  std::string_view topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  UnixMillis timestamp_ms = 0;
  std::string_view key;
  std::string_view value;
  bool tombstone = false;
  std::shared_ptr<const void> owner;
  // Headers are rare; nullptr when there are none. Owned by `owner`.
  const std::vector<Header>* headers = nullptr;
};

struct Commit {
  TopicPartition partition;
  std::int64_t offset = 0;  // the next offset to read
  std::string metadata;     // printable ASCII, at most 4,096 bytes
};

// Where a partition was assigned: what the group had committed and what the log holds.
struct Assignment {
  TopicPartition partition;
  std::optional<std::int64_t> committed;  // nullopt: none
  std::string metadata;                   // as committed
  std::int64_t low = 0;                   // oldest offset kept
  std::int64_t high = 0;                  // next offset to be written
  std::int64_t start = 0;                 // set by the listener: where reading begins
};

// Called inside Consumer::poll only, on the caller's thread.
class RebalanceListener {
 public:
  virtual ~RebalanceListener() = default;
  // May change each `start` (preset: committed, else low).
  virtual void on_assigned(std::span<Assignment> partitions) = 0;
  // `lost`: the group gave them to others already; commits would be refused.
  virtual void on_revoked(std::span<const TopicPartition> partitions, bool lost) = 0;
  // Of an assigned partition: the log had dropped `records` that were to be read; reading goes on behind
  // them, and nothing below `next` comes any more.
  virtual void on_lost(const TopicPartition& /*partition*/, std::uint64_t /*records*/,
                       std::int64_t /*next*/) {}
};

// Used by one thread. A group's partitions are spread over its consumers; without a group the consumer reads
// all partitions of its topics from the oldest record and commits nothing.
class Consumer {
 public:
  virtual ~Consumer() = default;
  // Appends at most `records_max` records to `out`; waits at most `wait` for the first. Must be called at
  // least every few seconds, also while paused, or the group takes the partitions away.
  virtual Result<void> poll(std::vector<InRecord>& out, std::size_t records_max,
                            std::chrono::milliseconds wait) = 0;
  // Stores positions durably. Each entry by itself may fail: the first error is returned after all were
  // tried. The caller commits only partitions that it owns now.
  virtual Result<void> commit(std::span<const Commit> commits) = 0;
  virtual Result<void> pause(std::span<const TopicPartition> partitions) = 0;
  virtual Result<void> resume(std::span<const TopicPartition> partitions) = 0;
  // Position and end of each assigned partition, for lag; from memory.
  struct Progress {
    TopicPartition partition;
    std::int64_t position = 0;
    std::int64_t high = 0;
  };
  virtual std::vector<Progress> progress() = 0;
  // Leaves the group. Calls on_revoked first.
  virtual void close() = 0;
};

// Makes records and read positions durable and visible together or not at all. Used by one thread.
class TransactionalProducer {
 public:
  virtual ~TransactionalProducer() = default;
  // Waits for the outcome. `positions` are those of `consumer`'s group; nullptr: none. After any error the
  // outcome may be unknown and this producer is of no further use: make another one, which settles what this
  // one left, and read the state back from the bus. kConflict: another producer with this id has taken over,
  // or the group gave a partition to another consumer; nothing of this commit will ever be seen.
  virtual Result<void> commit(std::vector<OutRecord> records, Consumer* consumer,
                              std::span<const Commit> positions) = 0;
};

struct ConsumerConfig {
  std::string group;  // empty: no group
  std::vector<std::string> topics;
  std::size_t fetch_bytes_max = 32u << 20;  // buffered ahead of poll
  // How long the partitions of a killed member stand still; 0: as the bus has it. Kafka's brokers take 6 s
  // and more by default.
  std::chrono::milliseconds session_timeout{0};
};

struct TopicConfig {
  std::string name;
  std::int32_t partitions = 4;
  std::int16_t replication = 1;
  bool compacted = false;
  std::map<std::string, std::string> settings;  // Kafka topic settings; unknown to the local bus
};

struct TopicState {
  std::string name;
  std::int32_t partitions = 0;
  bool exists = false;
  std::int32_t replication = 0;  // copies of its first partition; 0: the bus does not tell
};

class Bus {
 public:
  virtual ~Bus() = default;
  virtual Result<std::unique_ptr<Producer>> producer() = 0;
  // Fences every earlier producer with the same id, here and in other processes, and settles what it left
  // unfinished. Waits for the bus. `topics`: those that it will write to; looking them up now spares the
  // first commit a second. kUnavailable, kTimeout; kUnsupported: this bus has no transactions.
  virtual Result<std::unique_ptr<TransactionalProducer>> transactional_producer(
      const std::string& /*id*/, const std::vector<std::string>& /*topics*/ = {}) {
    return fail(ErrorCode::kUnsupported, "this bus has no transactions");
  }
  // `listener` must outlive the consumer.
  virtual Result<std::unique_ptr<Consumer>> consumer(const ConsumerConfig& config,
                                                     RebalanceListener& listener) = 0;
  // Creates what is missing; never changes what exists. kUnavailable.
  virtual Result<void> ensure_topics(std::span<const TopicConfig> topics) = 0;
  virtual Result<std::vector<TopicState>> describe(std::span<const std::string> topics) = 0;
  // Kafka's settings of a topic that exists, defaults included; none on a bus that has no such settings.
  // kUnavailable, kTimeout, kNotFound.
  virtual Result<std::map<std::string, std::string>> settings(const std::string& /*topic*/) {
    return std::map<std::string, std::string>();
  }
  // How long a topic keeps a record that is not finished; max(): for ever. kUnavailable, kNotFound.
  virtual Result<std::chrono::milliseconds> retention(const std::string& /*topic*/) {
    return std::chrono::milliseconds::max();
  }
  // Stable name of the cluster (Kafka's cluster id; the local bus draws one at creation). kUnavailable.
  virtual Result<std::string> cluster_id() = 0;
};

}  // namespace naru::bus
