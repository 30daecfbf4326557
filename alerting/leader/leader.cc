#include "alerting/leader/leader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "alerting/leader/topic_reader.h"
#include "core/base/clock.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

constexpr std::string_view kComponent = "alerting";
constexpr std::string_view kCountsPrefix = "counts/";
constexpr std::string_view kLimitPrefix = "limit/";
constexpr std::size_t kPollRecordsMax = 2'000;
constexpr std::size_t kProbesMax = 10'000;
constexpr std::chrono::milliseconds kRestoreMax{60'000};
constexpr std::chrono::milliseconds kLookAtPartitions{10'000};
constexpr std::size_t kMarksMax = 100'000;

std::optional<std::int64_t> int_in(const simdjson::dom::object& object, std::string_view field) {
  std::int64_t number = 0;
  return object.at_key(field).get(number) == simdjson::SUCCESS ? std::optional(number) : std::nullopt;
}

}  // namespace

// Offsets of the counts topic: which are decided on, and how far back a successor must read.
struct CountsPosition {
  std::int64_t next = 0;     // counts below it are decided on
  std::int64_t decided = 0;  // as found at the beginning of the term: below it windows are only filled again
  struct Mark {
    UnixNanos at;
    std::int64_t offset;
  };
  std::deque<Mark> marks;  // offsets that were next at times
};

struct Leader::Term {
  explicit Term(const EvaluatorLimits& limits);
  ~Term();

  std::unique_ptr<bus::TransactionalProducer> producer;
  std::unique_ptr<Decider> decider;
  Evaluator evaluator;
  std::unique_ptr<CountsListener> listener;
  std::unique_ptr<bus::Consumer> counts;
  std::map<std::int32_t, CountsPosition> positions;
  std::map<std::int32_t, std::pair<std::int64_t, std::int64_t>> stored;  // next, resume
  std::map<std::string, double> rates;
  std::string cluster_id;
  std::vector<LevelChange> changes;
  std::vector<bus::InRecord> batch;
  UnixNanos position_at = 0;
  UnixNanos began = 0;
  std::string blind;
  std::optional<bool> told_blind;
  bool stated = false;  // the routes as they were found were told to the effects
};

// Reads the counts from where a successor must.
class Leader::CountsListener final : public bus::RebalanceListener {
 public:
  explicit CountsListener(Term& term) : term_(term) {}
  void on_assigned(std::span<bus::Assignment> partitions) override {
    for (bus::Assignment& assignment : partitions) {
      CountsPosition& position = term_.positions[assignment.partition.partition];
      const auto stored = term_.stored.find(assignment.partition.partition);
      if (stored != term_.stored.end()) {
        position.decided = std::min(stored->second.first, assignment.high);
        assignment.start = std::clamp(stored->second.second, assignment.low, position.decided);
        if (position.decided < assignment.low) {
          position.decided = assignment.start = assignment.low;
        }
      }
      position.next = assignment.start;
    }
  }
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}

 private:
  Term& term_;
};

Leader::Term::Term(const EvaluatorLimits& limits) : evaluator(limits) {}
Leader::Term::~Term() = default;

Leader::Leader(const AlertingConfig& config, bus::Bus& bus, Settled& settled, LimitService& limits,
               Notifier& notifier, telemetry::Registry& registry, telemetry::Health& health)
    : config_(config),
      bus_(bus),
      settled_(settled),
      limits_(limits),
      notifier_(notifier),
      registry_(registry),
      health_(health),
      directory_(config_.rules.directory, config_.rules.builtin),
      events_(registry.counter("naru_status_events_total", "Status events written.")),
      changes_(registry.counter("naru_route_switches_total", "Switches of routes.")),
      terms_(registry.counter("naru_alerting_terms_total", "Times that this instance began to lead.")),
      rules_refused_(registry.counter("naru_rules_reloads_refused_total",
                                      "Changed rules that were refused; those before went on.")),
      commit_seconds_(registry.histogram("naru_alerting_commit_seconds",
                                         "How long a decision took to be durable.",
                                         {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5})),
      leading_(registry.gauge("naru_alerting_leads", "Whether this instance leads.")),
      groups_(registry.gauge("naru_rules_groups", "Groups of rules that are watched.")),
      blind_(registry.gauge("naru_rules_blind", "Whether the rules do not see everything.")),
      gaps_(registry.counter("naru_rules_count_gaps_total", "Ranges of records whose counts never came.")),
      groups_refused_(registry.counter("naru_rules_groups_refused_total",
                                       "Counts not taken because rules.groups_max was reached.")),
      unknown_(registry.counter("naru_rules_unknown_counts_total",
                                "Counts of rules that are not known here: the preppers have other files.")) {
  for (const TargetConfig& target : config_.targets) {
    effects_[target.name] = make_effects(target, [this] { return settled_.leads(); }, registry_);
  }
}

Leader::~Leader() {
  close();
}

Result<void> Leader::load() {
  NARU_TRY(rules_, directory_.look());
  NARU_TRY(const auto tried,
           Decider::make({.targets = config_.targets, .mappings = config_.webhooks.mappings}));
  return {};
}

// --- who leads

void Leader::on_assigned(std::span<bus::Assignment> partitions) {
  for (const bus::Assignment& assignment : partitions) {
    elected_ = elected_ || assignment.partition.partition == 0;
  }
}

void Leader::on_revoked(std::span<const bus::TopicPartition> partitions, bool) {
  for (const bus::TopicPartition& partition : partitions) {
    elected_ = elected_ && partition.partition != 0;
  }
}

Result<void> Leader::join() {
  std::vector<bus::TopicConfig> topics;
  const auto add = [&](const std::string& name, bool compacted) {
    bus::TopicConfig& topic = topics.emplace_back();
    topic.name = name;
    topic.partitions = 1;  // few events; the order of all of them is worth more than their number
    topic.replication = config_.control.replication;
    topic.compacted = compacted;
  };
  add(config_.control.leader_topic, false);
  add(config_.control.status_topic, true);
  add(config_.control.routes_topic, true);
  add(config_.control.state_topic, true);
  add(config_.control.counts_topic, false);
  topics.back().partitions = rules::kCountsPartitions;
  topics.back().settings = {{"retention.ms", std::to_string(rules::kCountsRetention.count())}};
  NARU_TRY_VOID(bus_.ensure_topics(topics));
  NARU_TRY(producer_, bus_.producer());
  NARU_TRY(election_, bus_.consumer({.group = config_.control.group,
                                     .topics = {config_.control.leader_topic},
                                     .session_timeout = config_.control.session_timeout},
                                    *this));
  return {};
}

Result<void> Leader::step(std::chrono::milliseconds wait) {
  if (election_ == nullptr) {
    NARU_TRY_VOID(join());
  }
  std::vector<bus::InRecord> none;
  const Result<void> polled = election_->poll(none, 1, elected_ ? std::chrono::milliseconds(0) : wait);
  if (!elected_) {
    end_term("another instance leads");
    NARU_TRY_VOID(polled);
    health_.set_dependency("bus", true);
    return {};
  }
  const auto led = [&]() -> Result<void> {
    NARU_TRY_VOID(polled);
    if (term_ == nullptr) {
      NARU_TRY_VOID(begin_term());
    }
    return lead(wait);
  }();
  if (!led) {
    end_term(led.error().message());
    return led;
  }
  health_.set_dependency("bus", true);
  return {};
}

Result<void> Leader::begin_term() {
  auto term = std::make_unique<Term>(EvaluatorLimits{.lateness = config_.rules.lateness,
                                                     .blind_after = config_.rules.blind_after,
                                                     .groups_max = config_.rules.groups_max});
  // First the fence: what is read below can change no more but by this term.
  NARU_TRY(term->producer, bus_.transactional_producer(config_.control.group, {config_.control.status_topic,
                                                                               config_.control.routes_topic,
                                                                               config_.control.state_topic}));
  NARU_TRY(term->cluster_id, bus_.cluster_id());
  NARU_TRY_VOID(restore(*term));
  term->listener = std::make_unique<CountsListener>(*term);
  NARU_TRY(term->counts,
           bus_.consumer({.group = {}, .topics = {config_.control.counts_topic}}, *term->listener));
  term_ = std::move(term);
  terms_.add();
  leading_.set(1);
  settled_.lead(*term_->decider, term_->decider->version().epoch);
  limits_.lead(term_->rates);
  {
    const std::lock_guard lock(mutex_);
    accepting_ = true;
  }
  telemetry::log_info(kComponent, "leads, epoch {}: {} targets, {} rules", term_->decider->version().epoch,
                      term_->decider->board().targets().size(), rules_->rules().size());
  return {};
}

Result<void> Leader::restore(Term& term) {
  NARU_TRY(term.decider, Decider::make({.targets = config_.targets,
                                        .mappings = config_.webhooks.mappings,
                                        .alerts_max = config_.webhooks.alerts_max}));
  std::vector<LevelChange> none;
  const UnixNanos now = wall_now();
  term.began = now;
  term.evaluator.use(rules_, now, none);
  for (const auto& [name, limit] : config_.limits) {
    term.rates[name] = limit.per_second;
  }
  // The last record of each key counts: read all, then apply.
  std::map<std::string, std::string> state;
  std::map<std::string, std::string> routes;
  NARU_TRY_VOID(TopicReader::read(
      bus_, {config_.control.status_topic, config_.control.routes_topic, config_.control.state_topic},
      [&](const bus::InRecord& record) {
        if (record.topic == config_.control.status_topic) {
          if (record.tombstone) {
            return;
          }
          if (Result<StatusEvent> event = parse_status_event(record.value)) {
            term.decider->restore_status(*event);
          } else {
            telemetry::log_warn(kComponent, "status event {} is passed over: {}", record.offset,
                                event.error().message());
          }
          return;
        }
        auto& map = record.topic == config_.control.routes_topic ? routes : state;
        if (record.tombstone) {
          map.erase(std::string(record.key));
        } else {
          map.insert_or_assign(std::string(record.key), std::string(record.value));
        }
      },
      kRestoreMax));
  for (const auto& [target, json] : routes) {
    term.decider->restore_route(json);
  }
  simdjson::dom::parser parser;
  for (const auto& [key, value] : state) {
    if (const auto group = parse_saved_group(key, value)) {
      term.evaluator.restore(*group);
      continue;
    }
    simdjson::dom::object object;
    const bool own = key.starts_with(kCountsPrefix) || key.starts_with(kLimitPrefix);
    if (own && parser.parse(value).get(object) == simdjson::SUCCESS) {
      const std::string_view name = std::string_view(key).substr(key.find('/') + 1);
      if (key.starts_with(kCountsPrefix)) {
        std::int32_t partition = -1;
        std::from_chars(name.data(), name.data() + name.size(), partition);
        const auto next = int_in(object, "next"), resume = int_in(object, "resume");
        if (partition >= 0 && next && resume) {
          term.stored[partition] = {*next, *resume};
        }
      } else if (double rate = 0; object["perSecond"].get(rate) == simdjson::SUCCESS) {
        term.rates[std::string(name)] = rate;
      }
      continue;
    }
    if (!term.decider->restore_state(key, value)) {
      telemetry::log_warn(kComponent, "state record '{}' is passed over: it cannot be read", key);
    }
  }
  term.decider->begin(term.decider->highest_epoch() + 1, now);
  return {};
}

void Leader::end_term(const std::string& why) {
  std::deque<Command> left;
  {
    const std::lock_guard lock(mutex_);
    accepting_ = false;
    left.swap(commands_);
    probes_.clear();
  }
  if (term_ != nullptr) {
    telemetry::log_info(kComponent, "leads no more: {}", why);
    settled_.resign();
    limits_.resign();
    leading_.set(0);
    term_.reset();
  }
  for (Command& command : left) {
    command.answer(fail(ErrorCode::kUnavailable, "this instance does not lead: " + why));
  }
}

void Leader::close() {
  end_term("it is shut down");
  if (election_ != nullptr) {
    election_->close();
    election_.reset();
  }
  producer_.reset();
  elected_ = false;
}

// --- leading

Result<void> Leader::lead(std::chrono::milliseconds wait) {
  Term& term = *term_;
  UnixNanos now = wall_now();
  if (now >= look_at_partitions_ || (!term.blind.empty() && !term.evaluator.knows_partitions())) {
    look_at_partitions_ = now + to_nanos(kLookAtPartitions);
    NARU_TRY_VOID(look_at_partitions(term, now));
  }
  term.batch.clear();
  bool waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = !commands_.empty() || !probes_.empty();
  }
  const Result<void> polled =
      term.counts->poll(term.batch, kPollRecordsMax, waiting ? std::chrono::milliseconds(0) : wait);
  now = wall_now();
  Decisions decisions;
  look_at_rules(term, now, decisions);
  for (const bus::InRecord& record : term.batch) {
    take_counts(term, record, now, decisions);
  }
  term.batch.clear();
  NARU_TRY_VOID(polled);
  term.evaluator.tick(now, term.changes);
  apply_changes(term, decisions);

  std::deque<Probe> probes;
  {
    const std::lock_guard lock(mutex_);
    probes.swap(probes_);
  }
  for (const Probe& probe : probes) {
    term.decider->probed(probe.target, probe.route, probe.well, now, decisions);
  }
  std::vector<Command> commands = take_commands();
  std::vector<Result<void>> results;
  for (Command& command : commands) {
    results.push_back(command.apply(*term.decider, now, decisions));
  }
  // A leader that just began has not been told anything yet: that is not blindness.
  const bool settling = now < term.began + 2 * to_nanos(config_.rules.blind_after);
  std::string blind = settling ? std::string() : term.evaluator.blind(now);
  if (!settling && term.told_blind != std::optional(!blind.empty())) {
    term.told_blind = !blind.empty();
    term.decider->blind(blind, now, decisions);
  }
  term.blind = std::move(blind);
  blind_.set(term.blind.empty() ? 0 : 1);
  health_.set("rules", term.blind.empty(), "blind: " + term.blind);
  term.decider->tick(now, decisions);

  const bool positions = now >= term.position_at;
  if (!decisions.empty() || positions) {
    if (Result<void> committed =
            commit(term, decisions, now, positions || !decisions.events.empty() || !decisions.state.empty());
        !committed) {
      for (Result<void>& result : results) {
        result = fail(ErrorCode::kUnavailable, "not durable: " + committed.error().message());
      }
      answer_all(commands, std::move(results));
      return committed;
    }
    if (positions) {
      term.position_at = now + to_nanos(config_.control.position_every);
    }
    tell(term, decisions, now);
  }
  answer_all(commands, std::move(results));
  settled_.beat(term.blind);
  if (!std::exchange(term.stated, true)) {
    // A successor states the routes again: what its predecessor did not get to do is done now.
    for (const auto& [name, plan] : term.decider->plans()) {
      if (plan.state().version.epoch == 0) {
        continue;
      }
      tell_effects(term, {.target = name,
                          .from = {},
                          .to = plan.config().routes[plan.state().active].name,
                          .reason = plan.state().reason});
    }
  }
  return {};
}

Result<void> Leader::look_at_partitions(Term& term, UnixNanos) {
  const std::pair<otlp::Signal, const std::string*> topics[] = {
      {otlp::Signal::kLogs, &config_.control.logs_topic},
      {otlp::Signal::kMetrics, &config_.control.metrics_topic},
      {otlp::Signal::kTraces, &config_.control.traces_topic}};
  for (const auto& [signal, topic] : topics) {
    const Result<std::int32_t> count = producer_->partition_count(*topic);
    if (!count && count.error().code() != ErrorCode::kNotFound) {
      return fail(count.error());
    }
    std::vector<rules::Feed> feeds;
    for (std::int32_t partition = 0; partition < count.value_or(0); ++partition) {
      feeds.push_back({term.cluster_id, *topic, partition});
    }
    term.evaluator.expect(signal, std::move(feeds));
  }
  return {};
}

void Leader::look_at_rules(Term& term, UnixNanos now, Decisions& out) {
  if (now < look_at_rules_) {
    return;
  }
  look_at_rules_ = now + to_nanos(config_.rules.look_every);
  Result<std::shared_ptr<const rules::RuleSet>> looked = directory_.look();
  if (!looked) {
    rules_refused_.add();
    health_.set("rules-files", false,
                "the rules changed and are refused; those before go on: " + looked.error().message());
    telemetry::log_error(kComponent, "the changed rules are refused, those before go on:\n{}",
                         looked.error().message());
    return;
  }
  if (*looked == nullptr) {
    return;
  }
  rules_ = *looked;
  health_.set("rules-files", true);
  telemetry::log_info(kComponent, "deciding by {} rules", rules_->rules().size());
  term.evaluator.use(rules_, now, term.changes);
  apply_changes(term, out);
}

void Leader::take_counts(Term& term, const bus::InRecord& record, UnixNanos now, Decisions& out) {
  CountsPosition& position = term.positions[record.partition];
  const bool refill = record.offset < position.decided;
  const UnixNanos at =
      record.timestamp_ms <= 0 ? now : static_cast<UnixNanos>(record.timestamp_ms) * kNanosPerMilli;
  position.next = record.offset + 1;
  if (position.marks.empty() || at > position.marks.back().at + kNanosPerSecond) {
    position.marks.push_back({at, record.offset});
  }
  const UnixNanos keep = to_nanos(term.evaluator.horizon());
  while (position.marks.size() > 1 &&
         (position.marks[1].at + keep < now || position.marks.size() > kMarksMax)) {
    position.marks.pop_front();
  }
  if (at + keep < now) {
    return;  // no window can hold it any more
  }
  const Result<rules::Feed> feed = rules::parse_feed(record.key);
  const Result<rules::Counts> counts = rules::parse_counts(record.value);
  if (!feed || !counts) {
    telemetry::log_warn(kComponent, "counts at offset {} are passed over: {}", record.offset,
                        (!feed ? feed.error() : counts.error()).message());
    return;
  }
  if (refill) {
    term.evaluator.refill(*feed, *counts);
    return;
  }
  term.evaluator.count(*feed, *counts, term.changes);
  apply_changes(term, out);
}

void Leader::apply_changes(Term& term, Decisions& out) {
  for (const LevelChange& change : term.changes) {
    term.decider->rule_changed(change, term.evaluator.saved(change), out);
  }
  term.changes.clear();
  groups_.set(static_cast<double>(term.evaluator.groups()));
  gaps_.add(term.evaluator.gaps() - std::min(term.evaluator.gaps(), gaps_.value()));
  groups_refused_.add(term.evaluator.groups_refused() -
                      std::min(term.evaluator.groups_refused(), groups_refused_.value()));
  unknown_.add(term.evaluator.unknown() - std::min(term.evaluator.unknown(), unknown_.value()));
}

Result<void> Leader::commit(Term& term, const Decisions& decisions, UnixNanos now, bool positions) {
  std::vector<bus::OutRecord> records;
  const auto add = [&](const std::string& topic, std::string key, std::optional<std::string> value,
                       UnixNanos at) {
    bus::OutRecord& record = records.emplace_back();
    record.topic = topic;
    record.key = std::move(key);
    record.tombstone = !value.has_value();
    record.value = std::move(value).value_or("");
    record.timestamp_ms = static_cast<UnixMillis>(at / kNanosPerMilli);
  };
  for (const StatusEvent& event : decisions.events) {
    add(config_.control.status_topic, event.target, to_json(event), event.at);
  }
  for (const std::string& target : decisions.routes) {
    add(config_.control.routes_topic, target, term.decider->route_json(target), now);
  }
  // The last of each key: compaction keeps no more, and a transaction need not carry it.
  std::map<std::string, std::optional<std::string>> state;
  for (const StateRecord& record : decisions.state) {
    state.insert_or_assign(record.key, record.value);
  }
  for (auto& [key, value] : state) {
    add(config_.control.state_topic, key, std::move(value), now);
  }
  if (positions) {
    for (const auto& [partition, position] : term.positions) {
      if (position.next < position.decided) {
        continue;  // not back where the term before was
      }
      const std::int64_t resume = position.marks.empty() ? position.next : position.marks.front().offset;
      add(config_.control.state_topic, fmt::format("{}{}", kCountsPrefix, partition),
          fmt::format(R"({{"next":{},"resume":{}}})", position.next, resume), now);
    }
  }
  if (records.empty()) {
    return {};
  }
  const std::uint64_t begin = monotonic_now();
  NARU_TRY_VOID(term.producer->commit(std::move(records), nullptr, {}));
  commit_seconds_.observe(static_cast<double>(monotonic_now() - begin) / kNanosPerSecond);
  return {};
}

void Leader::tell(Term& term, const Decisions& decisions, UnixNanos now) {
  settled_.update(*term.decider, decisions);
  for (const StatusEvent& event : decisions.events) {
    events_.add();
    telemetry::log_info(kComponent, "{} {} -> {}: {}", event.target, to_string(event.previous),
                        to_string(event.status), event.reason);
  }
  for (const RouteChange& change : decisions.changes) {
    telemetry::log_info(kComponent, "{}{} route {} -> {}: {}", change.dry_run ? "dry run: " : "",
                        change.target, change.from, change.to, change.reason);
    if (change.dry_run) {
      continue;
    }
    changes_.add();
    tell_effects(term,
                 {.target = change.target, .from = change.from, .to = change.to, .reason = change.reason});
  }
  notifier_.tell(decisions, now);
}

void Leader::tell_effects(const Term& term, RouteTold told) {
  const RoutePlan& plan = *term.decider->plan(told.target);
  const auto& routes = plan.config().routes;
  const auto to = std::ranges::find(routes, told.to, &RouteConfig::name);
  told.url = to == routes.end() ? std::string() : to->url;
  told.json = term.decider->route_json(told.target);
  told.version = plan.state().version;
  for (const auto& effect : effects_.at(told.target)) {
    effect->tell(told);
  }
}

// --- requests

void Leader::submit(Apply apply, Answer answer) {
  bool overloaded;
  {
    const std::lock_guard lock(mutex_);
    if (accepting_ && commands_.size() < config_.control.commands_max) {
      commands_.push_back({std::move(apply), std::move(answer)});
      return;
    }
    overloaded = accepting_;
  }
  answer(overloaded ? fail(ErrorCode::kOverloaded, "too many requests wait; try again")
                    : fail(ErrorCode::kUnavailable, "this instance does not lead; ask another"));
}

void Leader::set_limit(const std::string& name, double per_second, const std::string& who, Answer answer) {
  submit(
      [name, per_second, who](Decider&, UnixNanos, Decisions& out) -> Result<void> {
        out.state.push_back(
            {fmt::format("{}{}", kLimitPrefix, name), fmt::format(R"({{"perSecond":{}}})", per_second)});
        telemetry::log_info(kComponent, "limit {} is set to {:g} a second by {}", name, per_second, who);
        return {};
      },
      [this, name, per_second, answer = std::move(answer)](const Result<void>& result) mutable {
        if (result) {
          limits_.set_rate(name, per_second);
        }
        answer(result);
      });
}

void Leader::probed(const std::string& target, std::size_t route, bool well) {
  const std::lock_guard lock(mutex_);
  if (accepting_ && probes_.size() < kProbesMax) {
    probes_.push_back({target, route, well});
  }
}

std::vector<Leader::Command> Leader::take_commands() {
  std::deque<Command> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(commands_);
  }
  std::vector<Command> out;
  for (Command& command : taken) {
    out.push_back(std::move(command));
  }
  return out;
}

void Leader::answer_all(std::vector<Command>& commands, std::vector<Result<void>> results) {
  for (std::size_t i = 0; i < commands.size(); ++i) {
    commands[i].answer(results[i]);
  }
  commands.clear();
}

}  // namespace naru::alerting
