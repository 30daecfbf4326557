// One instance of naru-alerting: stands by until it has the one partition of naru.leader, then leads.
//
// The leader merges the counts, takes webhooks, people's words and probes, and writes what the decider
// decides in one transaction of a fixed id: taking over fences whoever led before, so a leader that was
// stopped and wakes changes nothing. Only behind the commit are callers answered, routes shown, effects and
// notices begun.
//
// On a list of clusters it leads on all that answer (election.h), writes to all of them (control_writer.h)
// and reads the counts of all. The loss of one costs a commit its patience, nothing else; a cluster that is
// back begins a new term, which brings its topics up to date. An error of the last one ends the term; the
// next one restores everything from the topics. Runs on the caller's thread.
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
#include "alerting/leader/control_cluster.h"
#include "alerting/leader/control_image.h"
#include "alerting/leader/control_writer.h"
#include "alerting/leader/election.h"
#include "alerting/leader/settled.h"
#include "alerting/limit/limit_service.h"
#include "alerting/notify/notifier.h"
#include "alerting/rules/evaluator.h"
#include "core/bus/bus.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::alerting {

class Leader {
 public:
  // What a request wants decided; an error refuses it and decides nothing.
  using Apply = std::function<Result<void>(Decider&, UnixNanos, Decisions&)>;
  using Answer = std::move_only_function<void(const Result<void>&)>;

  // The references must outlive this.
  Leader(const AlertingConfig& config, std::vector<ControlCluster> clusters, Settled& settled,
         LimitService& limits, Notifier& notifier, telemetry::Registry& registry, telemetry::Health& health);
  ~Leader();

  // kInvalidArgument: rules or mappings that cannot be used.
  Result<void> load();
  // One round: at most about `wait`. An error: no cluster can be used now.
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
  // What a term has on one of the clusters.
  struct Branch;

  Result<void> begin_term();
  // Takes over on the cluster and reads what it holds.
  Result<ControlImage> take_over(Term& term, std::size_t cluster);
  Result<void> read_counts(Term& term, std::size_t cluster);
  void restore(Term& term, const ControlImage& image);
  void restore_state(Term& term, const std::string& key, const std::string& value);
  void lose(Term& term, std::size_t cluster, const std::string& why);
  // Why this term cannot go on; empty: it can.
  std::string term_is_over(const Term& term) const;
  void end_term(const std::string& why);
  Result<void> lead(std::chrono::milliseconds wait);
  Result<void> take_all_counts(Term& term, std::chrono::milliseconds wait, Decisions& out);
  Result<void> look_at_partitions(Term& term);
  void look_at_rules(Term& term, UnixNanos now, Decisions& out);
  void take_counts(Term& term, Branch& branch, const bus::InRecord& record, UnixNanos now, Decisions& out);
  void apply_changes(Term& term, Decisions& out);
  std::vector<Command> take_commands();
  Result<void> commit(Term& term, const Decisions& decisions, UnixNanos now, bool positions);
  void tell(Term& term, const Decisions& decisions, UnixNanos now);
  // Target, from, to and reason of `told` are given; the rest is filled in here.
  void tell_effects(const Term& term, RouteTold told);
  static void answer_all(std::vector<Command>& commands, std::vector<Result<void>> results);

  const AlertingConfig config_;
  Settled& settled_;
  LimitService& limits_;
  Notifier& notifier_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;

  rules::RuleDirectory directory_;
  std::shared_ptr<const rules::RuleSet> rules_;
  std::map<std::string, std::vector<std::unique_ptr<Effect>>> effects_;  // by target
  Election election_;
  ControlWriter writer_;
  std::unique_ptr<Term> term_;
  // Partitions whose counts must be there, as each cluster had them last.
  std::map<std::pair<std::size_t, otlp::Signal>, std::vector<rules::Feed>> feeds_;
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
  telemetry::Gauge leading_, clusters_, groups_, blind_;
  telemetry::Counter gaps_, groups_refused_, unknown_;
};

}  // namespace naru::alerting
