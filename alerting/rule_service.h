// Reads records from the bus, counts them by the rules and publishes status events.
//
// One step at a time and without threads or clocks of its own; Alerting (alerting.h) drives it. Used by one
// thread; health checks and gauges may be asked from others.
//
// A restart neither misses nor doubles a transition: the last status of every target is read back from the
// status topic, and positions are committed only for records older than any window that can still matter, so
// the rest is counted again. While an event waits for the bus nothing is committed.
//
// Not here yet: several counting processes at once. Each sees only its own partitions; a health check turns
// red when that is so.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alerting/config.h"
#include "alerting/rules/counting.h"
#include "alerting/rules/match.h"
#include "alerting/rules/partition_clock.h"
#include "alerting/rules/repeats.h"
#include "alerting/status/status.h"
#include "core/bus/bus.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class RuleService final : private bus::RebalanceListener {
 public:
  // `bus`, `registry` and `health` must outlive this. kInvalidArgument: a rule that cannot be compiled (a
  // loaded configuration has none).
  static Result<std::unique_ptr<RuleService>> make(const AlertingConfig& config, bus::Bus& bus,
                                                   telemetry::Registry& registry, telemetry::Health& health);
  ~RuleService() override;

  // One turn: goes on with connecting and restoring until that is done, then reads at most one batch, waiting
  // at most `wait` for it, and publishes and commits what is due. `now`: wall clock. An error is one of the
  // bus; the next step tries again.
  Result<void> step(UnixNanos now, std::chrono::milliseconds wait);

  // True once the statuses are restored and records are read.
  bool running() const { return consumer_ != nullptr; }
  // Status events that are not known to be durable on the bus.
  std::size_t pending_events() const { return pending_.size(); }
  // Everything received before this was counted; 0 before the first reading. From any thread.
  UnixNanos caught_up_to() const { return caught_up_shown_.load(std::memory_order_relaxed); }
  // Commits what may be committed and leaves the group. Idempotent.
  void close(UnixNanos now);

 private:
  struct Rule {
    std::string name;
    Matcher matcher;
    TargetTemplate target;
    telemetry::Counter matches;
    std::uint64_t matched = 0;  // in the value at hand
  };
  struct Partition {
    std::uint32_t origin = 0;  // its number in counting_ and repeats_
    bool assigned = false;
    PartitionClock clock;
    std::int64_t high_at_assignment = 0;
    std::int64_t committed = 0;  // or where reading began
    std::string metadata;        // "v1|<caught-up time in ns>" of the commit that moved the offset
  };
  struct Delivery;
  class Restore;

  RuleService(const AlertingConfig& config, bus::Bus& bus, telemetry::Registry& registry,
              telemetry::Health& health, std::vector<Rule> rules);

  void on_assigned(std::span<bus::Assignment> partitions) override;
  void on_revoked(std::span<const bus::TopicPartition> partitions, bool lost) override;

  Result<void> connect();
  Result<void> restore(std::chrono::milliseconds wait);
  Result<void> read(UnixNanos now, std::chrono::milliseconds wait);
  void count_value(const bus::InRecord& value, UnixNanos now);
  // The next two: false when the bytes are malformed.
  bool count_resource(std::string_view encoded, Hit& hit);
  bool count_scope(const otlp::ResourceGroup& resource, std::string_view encoded, Hit& hit);
  void count_record(const otlp::ResourceGroup& resource, const otlp::LogRecord& record,
                    const otlp::ScopeIdentity& identity, std::uint64_t index, Hit& hit);
  void advance();
  void note_progress();
  void look_at_ownership();
  std::optional<UnixNanos> read_up_to() const;
  void queue_transitions();
  Result<void> publish();
  void drop_published();
  Result<void> hold_reading_while_full();
  Result<void> commit_when_due(UnixNanos now);
  Result<void> commit(UnixNanos now);

  const AlertingConfig config_;
  bus::Bus& bus_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;
  std::vector<Rule> rules_;
  std::unique_ptr<Counting> counting_;
  Repeats repeats_;

  std::unique_ptr<bus::Producer> producer_;
  std::unique_ptr<Restore> restore_;
  std::unique_ptr<bus::Consumer> consumer_;
  bool restored_ = false;
  std::map<bus::TopicPartition, Partition> partitions_;  // that were ever assigned
  std::vector<bus::InRecord> batch_;
  std::vector<Transition> transitions_;
  std::vector<char> wanted_;  // per rule: the resource at hand matches
  UnixNanos next_commit_ = 0;
  // When the group's coordinator last answered. What is read tells nothing about later: silence and a bus
  // that is away look alike.
  UnixNanos last_contact_ = 0;
  bool paused_ = false;
  bool owns_every_partition_ = false;

  std::uint64_t epoch_ = 1;
  std::uint64_t sequence_ = 0;
  std::deque<StatusEvent> pending_;
  std::vector<std::shared_ptr<Delivery>> sent_;  // of the first events of pending_, no target twice
  std::atomic<UnixNanos> caught_up_shown_{0};
  UnixNanos complain_again_at_ = 0;  // about undecodable values

  std::uint64_t repeats_in_value_ = 0;
  telemetry::Counter records_, repeats_dropped_, undecodable_, refused_, sources_evicted_, counts_dropped_;
  telemetry::Gauge targets_gauge_, pending_gauge_;
};

}  // namespace naru::alerting
