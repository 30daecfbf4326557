// A bus in memory: topics, groups with stored offsets, one consumer per group. Nothing in it runs by itself.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/bus/bus.h"

namespace naru::bus {

class FakeBus final : public Bus {
 public:
  struct Stored {
    std::string key;
    std::string value;
    UnixMillis timestamp_ms = 0;
    bool tombstone = false;
    std::vector<Header> headers;
  };
  using Log = std::vector<std::shared_ptr<const Stored>>;

  // What a test sets and looks at.
  std::map<std::string, std::vector<Log>> topics;
  std::map<std::pair<std::string, TopicPartition>, Commit> committed;  // by group
  bool away = false;                                                   // every call answers kUnavailable
  bool consumers_fail = false;                                         // no consumer can be made
  bool deliveries_fail = false;         // records are answered with kTimeout and not stored
  bool deliveries_wait = false;         // records are stored, answered by answer_deliveries()
  bool reassign = false;                // the next poll revokes everything and assigns it again
  std::size_t assigned_max = SIZE_MAX;  // partitions that a consumer gets at most
  std::vector<std::string> pauses;      // "pause n" and "resume n", n partitions
  std::vector<TopicConfig> ensured;

  void create(const std::string& topic, std::size_t partitions) { topics[topic].resize(partitions); }
  void append(const std::string& topic, std::int32_t partition, std::string value, UnixMillis timestamp_ms,
              std::vector<Header> headers = {}, std::string key = {}) {
    const std::lock_guard lock(mutex_);
    topics[topic][static_cast<std::size_t>(partition)].push_back(std::make_shared<Stored>(
        Stored{std::move(key), std::move(value), timestamp_ms, false, std::move(headers)}));
  }
  void answer_deliveries() {
    for (DeliveryCallback& done : std::exchange(waiting_, {})) {
      done(Position{});
    }
  }
  std::vector<std::string> values(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    const auto found = topics.find(topic);
    if (found == topics.end()) {
      return all;
    }
    for (const Log& log : found->second) {
      for (const auto& stored : log) {
        all.push_back(stored->value);
      }
    }
    return all;
  }

  Result<std::unique_ptr<Producer>> producer() override {
    NARU_TRY_VOID(reachable());
    return std::make_unique<FakeProducer>(*this);
  }
  Result<std::unique_ptr<Consumer>> consumer(const ConsumerConfig& config,
                                             RebalanceListener& listener) override {
    NARU_TRY_VOID(reachable());
    if (consumers_fail) {
      return fail(ErrorCode::kUnavailable, "the fake bus makes no consumers");
    }
    return std::make_unique<FakeConsumer>(*this, config, listener);
  }
  Result<void> ensure_topics(std::span<const TopicConfig> wanted) override {
    NARU_TRY_VOID(reachable());
    const std::lock_guard lock(mutex_);
    for (const TopicConfig& topic : wanted) {
      ensured.push_back(topic);
      if (!topics.contains(topic.name)) {
        create(topic.name, static_cast<std::size_t>(topic.partitions));
      }
    }
    return {};
  }
  Result<std::vector<TopicState>> describe(std::span<const std::string> names) override {
    std::vector<TopicState> states;
    for (const std::string& name : names) {
      states.push_back({name, static_cast<std::int32_t>(topics[name].size()), true});
    }
    return states;
  }
  Result<std::string> cluster_id() override { return std::string("fake"); }

 private:
  class FakeProducer final : public Producer {
   public:
    explicit FakeProducer(FakeBus& bus) : bus_(bus) {}
    Result<void> send(OutRecord& record, DeliveryCallback done) override {
      NARU_TRY_VOID(bus_.reachable());
      if (bus_.deliveries_fail) {
        done(fail(ErrorCode::kTimeout, "not acknowledged"));
        return {};
      }
      bus_.append(record.topic, 0, record.value, record.timestamp_ms, record.headers, record.key);
      if (bus_.deliveries_wait) {
        bus_.waiting_.push_back(std::move(done));
      } else {
        done(Position{});
      }
      return {};
    }
    Result<void> flush(std::chrono::milliseconds) override { return {}; }
    Result<std::int32_t> partition_count(const std::string& topic) override {
      NARU_TRY_VOID(bus_.reachable());
      return static_cast<std::int32_t>(bus_.topics[topic].size());
    }

   private:
    FakeBus& bus_;
  };

  class FakeConsumer final : public Consumer {
   public:
    FakeConsumer(FakeBus& bus, const ConsumerConfig& config, RebalanceListener& listener)
        : bus_(bus), config_(config), listener_(listener) {}
    ~FakeConsumer() override { close(); }

    Result<void> poll(std::vector<InRecord>& out, std::size_t records_max,
                      std::chrono::milliseconds) override {
      NARU_TRY_VOID(bus_.reachable());
      if (std::exchange(bus_.reassign, false)) {
        revoke();
      }
      if (positions_.empty()) {
        assign();
      }
      const std::lock_guard lock(bus_.mutex_);
      for (auto& [id, position] : positions_) {
        const Log& log = bus_.topics[id.topic][static_cast<std::size_t>(id.partition)];
        while (!paused_ && out.size() < records_max && position < static_cast<std::int64_t>(log.size())) {
          const auto& stored = log[static_cast<std::size_t>(position)];
          InRecord record;
          record.topic = id.topic;
          record.partition = id.partition;
          record.offset = position++;
          record.timestamp_ms = stored->timestamp_ms;
          record.key = stored->key;
          record.value = stored->value;
          record.tombstone = stored->tombstone;
          record.owner = stored;
          record.headers = stored->headers.empty() ? nullptr : &stored->headers;
          out.push_back(std::move(record));
        }
      }
      return {};
    }
    Result<void> commit(std::span<const Commit> commits) override {
      NARU_TRY_VOID(bus_.reachable());
      for (const Commit& commit : commits) {
        bus_.committed[{config_.group, commit.partition}] = commit;
      }
      return {};
    }
    Result<void> pause(std::span<const TopicPartition> partitions) override {
      paused_ = true;
      bus_.pauses.push_back("pause " + std::to_string(partitions.size()));
      return {};
    }
    Result<void> resume(std::span<const TopicPartition> partitions) override {
      paused_ = false;
      bus_.pauses.push_back("resume " + std::to_string(partitions.size()));
      return {};
    }
    std::vector<Progress> progress() override {
      const std::lock_guard lock(bus_.mutex_);
      std::vector<Progress> all;
      for (const auto& [id, position] : positions_) {
        all.push_back({id, position, bus_.high(id)});
      }
      return all;
    }
    void close() override { revoke(); }

   private:
    void assign() {
      std::vector<Assignment> assignments;
      for (const std::string& topic : config_.topics) {
        for (std::size_t i = 0; i < std::min(bus_.topics[topic].size(), bus_.assigned_max); ++i) {
          Assignment assignment;
          assignment.partition = {topic, static_cast<std::int32_t>(i)};
          const auto stored = bus_.committed.find({config_.group, assignment.partition});
          if (!config_.group.empty() && stored != bus_.committed.end()) {
            assignment.committed = stored->second.offset;
            assignment.metadata = stored->second.metadata;
          }
          assignment.high = bus_.high(assignment.partition);
          assignment.start = assignment.committed.value_or(0);
          assignments.push_back(assignment);
        }
      }
      listener_.on_assigned(assignments);
      for (const Assignment& assignment : assignments) {
        positions_[assignment.partition] = assignment.start;
      }
      paused_ = false;
    }
    void revoke() {
      std::vector<TopicPartition> all;
      for (const auto& [id, position] : positions_) {
        all.push_back(id);
      }
      if (!all.empty()) {
        listener_.on_revoked(all, false);
      }
      positions_.clear();
    }

    FakeBus& bus_;
    const ConsumerConfig config_;
    RebalanceListener& listener_;
    std::map<TopicPartition, std::int64_t> positions_;
    bool paused_ = false;
  };

  Result<void> reachable() const {
    if (away) {
      return fail(ErrorCode::kUnavailable, "the fake bus is away");
    }
    return {};
  }
  std::int64_t high(const TopicPartition& id) {
    return static_cast<std::int64_t>(topics[id.topic][static_cast<std::size_t>(id.partition)].size());
  }

  std::mutex mutex_;  // of the logs: alerting_test appends beside a running thread
  std::vector<DeliveryCallback> waiting_;
};

}  // namespace naru::bus
