// Everything that naru-alerting decides, as one pure state machine: rules, alerts of others, people and
// probes in; status events, route changes and the records that restore all of it out.
//
// What one call decides is one Decisions: it becomes durable as a whole and is told to the world afterwards.
// If it cannot become durable, this object is thrown away and built anew from what is. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/failover/route_plan.h"
#include "alerting/rules/evaluator.h"
#include "alerting/status/board.h"
#include "alerting/webhook/mapping.h"

namespace naru::alerting {

// A record of naru.rule-state (docs/formats/rule-state.md); without a value: forget the key.
struct StateRecord {
  std::string key;
  std::optional<std::string> value;
};

struct Decisions {
  std::vector<StatusEvent> events;
  std::vector<RouteChange> changes;
  std::set<std::string> routes;  // targets whose route is to be published
  std::set<std::string> stated;  // those of them that did not switch and are told to the effects all the same
  std::vector<StateRecord> state;
  bool empty() const { return events.empty() && routes.empty() && state.empty(); }
};

// One line of the time line that people look at.
struct HistoryEntry {
  std::uint64_t number = 0;
  std::string json;
};

struct DeciderConfig {
  std::vector<TargetConfig> targets;
  std::vector<MappingConfig> mappings;
  std::size_t alerts_max = 10'000;
  std::size_t history_max = 500;
};

inline constexpr std::string_view kBlindTarget = "naru.detection";

class Decider {
 public:
  // kInvalidArgument: a mapping.
  static Result<std::unique_ptr<Decider>> make(const DeciderConfig& config);

  // --- before the first decision: what was decided before, in any order, then begin()
  void restore_status(const StatusEvent& event);
  void restore_route(std::string_view json);
  // Groups of rules are the evaluator's; the rest is taken. False: not one of ours, or unreadable.
  bool restore_state(std::string_view key, std::string_view value);
  void begin(std::uint64_t epoch, UnixNanos now);
  std::uint64_t highest_epoch() const { return highest_epoch_; }

  // --- decisions
  void rule_changed(const LevelChange& change, const SavedGroup& saved, Decisions& out);
  AlertOrder::Verdict alert(const Alert& alert, UnixNanos now, Decisions& out);
  // The error is a sentence for the caller.
  Result<void> set_status(const std::string& target, Status status, const std::string& reason,
                          const std::string& who, UnixNanos now, Decisions& out);
  struct RouteOrder {
    std::string route;                // empty: no switch
    std::optional<unsigned> percent;  // so much of the traffic to `route` only: a planned move
    std::optional<bool> lock;
  };
  Result<void> set_route(std::string_view target, const RouteOrder& order, const std::string& reason,
                         const std::string& who, UnixNanos now, Decisions& out);
  void probed(std::string_view target, std::size_t route, bool well, UnixNanos now, Decisions& out);
  // `why` is empty while everything is seen.
  void blind(const std::string& why, UnixNanos now, Decisions& out);
  void tick(UnixNanos now, Decisions& out);

  const StatusBoard& board() const { return board_; }
  const RoutePlan* plan(std::string_view target) const;
  const std::map<std::string, RoutePlan, std::less<>>& plans() const { return plans_; }
  std::string route_json(std::string_view target) const;
  const std::deque<HistoryEntry>& history() const { return history_; }
  Version version() const { return version_; }

 private:
  explicit Decider(const DeciderConfig& config, Mapping mapping);
  void apply(const Signal& signal, Decisions& out);
  void tell(std::optional<StatusEvent> event, Decisions& out);
  void step_routes(UnixNanos now, Decisions& out);
  void publish_route(RoutePlan& plan, Decisions& out);
  void note(std::string json, Decisions& out);
  Version next() { return {version_.epoch, ++version_.sequence}; }

  const DeciderConfig config_;
  const Mapping mapping_;
  StatusBoard board_;
  AlertOrder alerts_;
  std::map<std::string, RoutePlan, std::less<>> plans_;
  struct SavedRoute {
    RouteState state;
    std::string active, shift_to;
  };
  std::map<std::string, SavedRoute> saved_routes_;  // until begin()
  std::deque<HistoryEntry> history_;
  std::map<std::string, std::string> held_;  // by target: what was told last
  Version version_;
  std::uint64_t highest_epoch_ = 0;
};

// Key and value of what is kept of a rule's group.
StateRecord to_state(const SavedGroup& group);
std::optional<SavedGroup> parse_saved_group(std::string_view key, std::string_view value);

}  // namespace naru::alerting
