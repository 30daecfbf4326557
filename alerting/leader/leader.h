// One instance of naru-alerting: stands by until it has the one partition of naru.leader, then leads.
//
// The leader merges the counts, takes webhooks, people's words and probes, and writes what the decider
// decides in one transaction of a fixed id: taking over fences whoever led before, so a leader that was
// stopped and wakes changes nothing. Only behind the commit are callers answered, routes shown, effects and
// notices begun. Any error of the bus ends the term; the next one restores everything from the topics. Runs
// on the caller's thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "alerting/config.h"
#include "alerting/decide/decider.h"
#include "alerting/failover/effects.h"
#include "alerting/leader/settled.h"
#include "alerting/limit/limit_service.h"
#include "alerting/notify/notifier.h"
#include "alerting/rules/evaluator.h"
#include "core/bus/bus.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class Leader final : private bus::RebalanceListener {
 public:
  // What a request wants decided; an error refuses it and decides nothing.
  using Apply = std::function<Result<void>(Decider&, UnixNanos, Decisions&)>;
  using Answer = std::move_only_function<void(const Result<void>&)>;

  // The references must outlive this.
  Leader(const AlertingConfig& config, bus::Bus& bus, Settled& settled, LimitService& limits,
         Notifier& notifier, telemetry::Registry& registry, telemetry::Health& health);
  ~Leader() override;

  // kInvalidArgument: rules or mappings that cannot be used.
  Result<void> load();
  // One round: at most about `wait`. An error: the bus cannot be used now.
  Result<void> step(std::chrono::milliseconds wait);
  // Ends the term and leaves the group.
  void close();

  // From any thread. The answer comes when it is durable: an error is kUnavailable (nobody leads here, or the
  // bus took nothing), kOverloaded, or what `apply` said.
  void submit(Apply apply, Answer answer);
  // A rate that a person set, durable like a decision.
  void set_limit(const std::string& name, double per_second, const std::string& who, Answer answer);
  // From any thread: the outcome of a probe.
  void probed(const std::string& target, std::size_t route, bool well);

  bool leads() const { return term_ != nullptr; }

 private:
  struct Command {
    Apply apply;
    Answer answer;
  };
  // Everything of one term as the leader; built from the topics.
  struct Term;
  class CountsListener;

  void on_assigned(std::span<bus::Assignment> partitions) override;
  void on_revoked(std::span<const bus::TopicPartition> partitions, bool lost) override;

  Result<void> join();
  Result<void> begin_term();
  Result<void> restore(Term& term);
  void end_term(const std::string& why);
  Result<void> lead(std::chrono::milliseconds wait);
  Result<void> look_at_partitions(Term& term, UnixNanos now);
  void look_at_rules(Term& term, UnixNanos now, Decisions& out);
  void take_counts(Term& term, const bus::InRecord& record, UnixNanos now, Decisions& out);
  void apply_changes(Term& term, Decisions& out);
  std::vector<Command> take_commands();
  Result<void> commit(Term& term, const Decisions& decisions, UnixNanos now, bool positions);
  void tell(Term& term, const Decisions& decisions, UnixNanos now);
  // Target, from, to and reason of `told` are given; the rest is filled in here.
  void tell_effects(const Term& term, RouteTold told);
  static void answer_all(std::vector<Command>& commands, std::vector<Result<void>> results);

  const AlertingConfig config_;
  bus::Bus& bus_;
  Settled& settled_;
  LimitService& limits_;
  Notifier& notifier_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;

  rules::RuleDirectory directory_;
  std::shared_ptr<const rules::RuleSet> rules_;
  std::map<std::string, std::vector<std::unique_ptr<Effect>>> effects_;  // by target
  std::unique_ptr<bus::Consumer> election_;
  std::unique_ptr<bus::Producer> producer_;  // for numbers of partitions only
  bool elected_ = false;
  std::unique_ptr<Term> term_;
  UnixNanos look_at_rules_ = 0;
  UnixNanos look_at_partitions_ = 0;

  std::mutex mutex_;  // of what follows
  std::deque<Command> commands_;
  struct Probe {
    std::string target;
    std::size_t route;
    bool well;
  };
  std::deque<Probe> probes_;
  bool accepting_ = false;

  telemetry::Counter events_, changes_, terms_, rules_refused_;
  telemetry::Histogram commit_seconds_;
  telemetry::Gauge leading_, groups_, blind_;
  telemetry::Counter gaps_, groups_refused_, unknown_;
};

}  // namespace naru::alerting
