// Consumes the OTLP topics, hands messages to the encoders and commits what is finished.
//
// One poll thread that never blocks on work: when too many bytes are held it pauses its partitions and polls
// on, so that the group keeps them. `concurrency` threads encode, one message at a time each, in the order of
// keys or in any (lanes.h); there may be more of them than partitions. A partition's position is
// committed only up to its first unfinished message; what is finished above it, and the ledger of all that is
// finished, travel in the commit's metadata (docs/formats/commit-metadata.md).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/bus/bus.h"
#include "core/flow/byte_budget.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"
#include "prepper/consume/lanes.h"
#include "prepper/consume/partition_ledger.h"
#include "prepper/consume/partition_progress.h"
#include "prepper/pipeline/pipeline_metrics.h"
#include "prepper/process/batch.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

struct ConsumerConfig {
  std::string group = "naru-prepper";
  std::map<otlp::Signal, std::string> topics;
  std::uint32_t concurrency = 1;  // workers
  Order order = Order::kNone;
  std::uint64_t bytes_max = 128u << 20;           // consumed values and their documents, until finished
  std::uint64_t partition_bytes_max = 64u << 20;  // likewise, of one partition
  std::uint32_t messages_max = 10'000;    // per partition, from the oldest unfinished to the newest; >= 1,024
  std::chrono::milliseconds linger{200};  // an open batch is handed over after this
  std::chrono::milliseconds commit_interval{1'000};
  std::string pipeline = "main";
  std::string bus_name = "bus";  // among the things that this process depends on
};

class Consumer : public CompletionSink, private bus::RebalanceListener {
 public:
  // `make_encoder` gives each worker its own once the cluster id is known; `tick` is called about once a
  // second on the poll thread. `bus`, `registry` and `health` must outlive this.
  Consumer(ConsumerConfig config, bus::Bus& bus,
           std::function<std::unique_ptr<Encoder>(const std::string& cluster_id)> make_encoder,
           std::function<void()> tick, telemetry::Registry& registry, telemetry::Health& health,
           PipelineMetrics* pipelines = nullptr);
  ~Consumer() override;  // stops without draining

  void start();
  // Stops taking in, waits for what is in flight until the deadline, commits and leaves the group. Returns
  // how many messages were left unfinished; they will be consumed again.
  std::size_t stop(std::chrono::milliseconds drain);
  // Takes nothing in, waits until everything taken in is finished and committed, calls `change` on the poll
  // thread, and goes on. From any other thread, one at a time. kTimeout: not within `most`; kUnavailable: the
  // consumer stops. Then `change` was not called.
  Result<void> at_rest(std::chrono::milliseconds most, std::function<void()> change);
  // Ends the workers, after stop(). They may wait for a contract or for room behind them: stop those first.
  void join();

  void completed(const std::shared_ptr<SourceMessage>& message) override;

  struct Progress {
    std::uint64_t records = 0;    // decoded since the start
    std::uint64_t in_flight = 0;  // records
    std::uint64_t bytes_held = 0;
    std::int64_t lag = 0;  // messages not consumed yet
    std::optional<double> oldest_unfinished_seconds;
  };
  Progress progress() const;

 private:
  struct Partition {
    std::uint64_t generation;
    PartitionProgress progress;
    std::shared_ptr<PartitionLedger> ledger;
    LedgerSeries series;
    bool paused = false;                 // as the bus was told
    UnixMillis newest_timestamp_ms = 0;  // of the last record taken in
  };

  void run();
  void consume();
  bool open_consumer();
  void take_in(std::vector<bus::InRecord>& records);
  void take_completions();
  // False: the bus did not take it.
  bool commit(bool final);
  // What the partition has to store now; nullopt: nothing, or not yet.
  std::optional<bus::Commit> commit_of(const bus::TopicPartition& name, const Partition& partition) const;
  void pace();
  void observe();
  void ask_retention(std::uint64_t now);
  void watch_retention(const std::map<bus::TopicPartition, std::int64_t>& lag);
  telemetry::Gauge lag_gauge(const bus::TopicPartition& partition);
  void work(std::size_t worker);
  std::size_t unfinished() const;
  void seek_rest();
  void on_assigned(std::span<bus::Assignment> partitions) override;
  void on_revoked(std::span<const bus::TopicPartition> partitions, bool lost) override;
  void on_lost(const bus::TopicPartition& name, std::uint64_t records, std::int64_t next) override;

  ConsumerConfig config_;
  bus::Bus& bus_;
  std::function<std::unique_ptr<Encoder>(const std::string&)> make_encoder_;
  std::function<void()> tick_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;
  PipelineMetrics* pipelines_;  // may be null
  std::map<std::string, telemetry::Counter> encode_counters_;
  telemetry::Counter late_results_, commit_failures_, skipped_, metadata_ignored_;
  telemetry::Gauge retention_used_, bytes_held_;

  // The poll thread's own
  std::unique_ptr<bus::Consumer> consumer_;
  std::map<bus::TopicPartition, Partition> partitions_;
  std::uint64_t generations_ = 0;
  flow::ByteBudget budget_;
  std::map<std::string, otlp::Signal, std::less<>> signals_;  // by topic
  std::string cluster_id_;
  std::shared_ptr<const std::string> shared_cluster_id_;        // for its messages
  std::map<std::string, std::chrono::milliseconds> retention_;  // by topic
  std::uint64_t retention_due_ = 0, retention_logged_ = 0;

  // Messages for the workers
  std::mutex tasks_mutex_;
  std::condition_variable tasks_ready_;
  Lanes<std::shared_ptr<SourceMessage>> tasks_;
  bool workers_stop_ = false;
  std::atomic<bool> flush_now_{false};

  // Results from anybody
  std::mutex done_mutex_;
  std::vector<std::shared_ptr<SourceMessage>> done_;

  // What at_rest() wants done
  std::mutex rest_mutex_;
  std::condition_variable rest_over_;
  std::function<void()> rest_;  // empty: nothing, or done
  bool ended_ = false;          // the poll thread
  std::atomic<bool> resting_{false};

  mutable std::mutex progress_mutex_;
  Progress progress_;
  std::atomic<std::uint64_t> records_{0};    // decoded since the start
  std::atomic<std::uint64_t> in_flight_{0};  // records of unfinished messages

  std::atomic<bool> stopping_{false};
  std::chrono::milliseconds drain_{0};
  std::size_t left_ = 0;
  std::thread thread_;
  std::vector<std::thread> workers_;
  std::shared_ptr<void> age_check_;
};

}  // namespace naru::prepper
