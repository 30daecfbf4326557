// Role `count` of a prepper: reads the records in a consumer group of its own and publishes what the rules
// counted, on a thread of its own.
//
// Counts and read positions go out in one transaction (contracts.md 8), so a count is published once,
// whatever is killed; every `publish_every` also when nothing came, with the time up to which everything is
// counted. It never waits for a store. Which records were counted last travels as a rewind position in the
// commit's metadata: after a restart they are read again for their identities only, so that a repeat is still
// known.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/bus/bus.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"
#include "prepper/config.h"
#include "prepper/count/record_counter.h"
#include "prepper/pipeline/pipeline.h"

namespace naru::prepper {

class CountService final : private bus::RebalanceListener {
 public:
  // `pipelines` may be nullptr. The references must outlive this.
  CountService(CountConfig config, TopicsConfig topics, bus::Bus& bus,
               std::shared_ptr<const PipelineSource> pipelines, telemetry::Registry& registry,
               telemetry::Health& health);
  ~CountService() override;

  // kInvalidArgument: the rules cannot be compiled.
  Result<void> start();
  // Publishes what was counted, leaves the group. Idempotent.
  void stop();

 private:
  struct Partition {
    otlp::Signal signal = otlp::Signal::kLogs;
    std::uint32_t origin = 0;
    std::int64_t count_from = 0;  // below it records are read for their identities only
    std::int64_t next = 0;        // the next offset to read
    std::int64_t published = 0;   // positions that a transaction holds
    UnixNanos caught_up_to = 0;
    CountTally tally;
    struct Mark {
      UnixNanos at;
      std::int64_t offset;
    };
    std::deque<Mark> marks;  // offsets that were next at times of the last `remember`
  };

  void on_assigned(std::span<bus::Assignment> partitions) override;
  void on_revoked(std::span<const bus::TopicPartition> partitions, bool lost) override;
  void on_lost(const bus::TopicPartition& partition, std::uint64_t records, std::int64_t next) override;

  void run();
  Result<void> step();
  Result<void> connect();
  void disconnect();
  void take(const bus::InRecord& record, UnixNanos now);
  Result<void> publish(UnixNanos now);
  void note_progress(UnixNanos now);
  bus::Commit position_of(const bus::TopicPartition& where, Partition& partition, UnixNanos now) const;
  Result<void> compile(std::shared_ptr<const rules::RuleSet> rules);
  Result<void> look_at_rules(UnixNanos now);
  void show_stats();
  void show_groups(const std::vector<rules::RuleCount>& counts);
  void refuse(const std::string& why);
  std::string named(const std::string& check) const;

  const CountConfig config_;
  const TopicsConfig topics_;
  bus::Bus& bus_;
  const std::shared_ptr<const PipelineSource> pipelines_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;

  rules::RuleDirectory directory_;
  Repeats repeats_;
  std::unique_ptr<RecordCounter> counter_;
  std::shared_ptr<const rules::RuleSet> rules_;
  std::uint64_t pipelines_version_ = 0;
  CountStats shown_;
  struct ShownGroup {
    telemetry::Counter records, share;
  };
  std::map<std::string, ShownGroup> shown_groups_;  // by rule and labels

  std::string cluster_id_;
  std::unique_ptr<bus::TransactionalProducer> producer_;
  std::unique_ptr<bus::Consumer> consumer_;
  std::map<bus::TopicPartition, Partition> partitions_;
  std::uint32_t origins_ = 0;
  std::vector<bus::InRecord> batch_;
  UnixNanos publish_at_ = 0, look_at_ = 0, contact_ = 0;

  telemetry::Counter records_, matches_, repeats_total_, refused_, undecodable_, publications_;
  telemetry::Histogram commit_seconds_;
  telemetry::Counter rules_refused_;
  std::atomic<UnixNanos> caught_up_to_{0};
  std::vector<std::shared_ptr<void>> tokens_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace naru::prepper
