#include "alerting/leader/leader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <utility>

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

// Reads the counts from where a successor must.
class CountsListener final : public bus::RebalanceListener {
 public:
  using Stored = std::map<std::int32_t, std::pair<std::int64_t, std::int64_t>>;  // next, resume

  explicit CountsListener(Stored stored) : stored_(std::move(stored)) {}
  void on_assigned(std::span<bus::Assignment> partitions) override {
    for (bus::Assignment& assignment : partitions) {
      CountsPosition& position = positions[assignment.partition.partition];
      const auto stored = stored_.find(assignment.partition.partition);
      if (stored != stored_.end()) {
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

  std::map<std::int32_t, CountsPosition> positions;

 private:
  const Stored stored_;
};

struct Leader::Branch {
  std::string cluster_id;
  std::unique_ptr<CountsListener> listener;
  std::unique_ptr<bus::Consumer> counts;
};

struct Leader::Term {
  explicit Term(const EvaluatorLimits& limits);
  ~Term();

  std::map<std::size_t, Branch> branches;  // by cluster; those that are in use
  CommitNumber committed;
  std::unique_ptr<Decider> decider;
  Evaluator evaluator;
  std::map<std::string, CountsListener::Stored> stored;  // by the id of the cluster
  std::map<std::string, double> rates;
  std::vector<LevelChange> changes;
  std::vector<bus::InRecord> batch;
  UnixNanos position_at = 0;
  UnixNanos began = 0;
  std::string blind;
  std::optional<bool> told_blind;
  bool stated = false;  // the routes as they were found were told to the effects
};

Leader::Term::Term(const EvaluatorLimits& limits) : evaluator(limits) {}
Leader::Term::~Term() = default;

Leader::Leader(const AlertingConfig& config, std::vector<ControlCluster> clusters, Settled& settled,
               LimitService& limits, Notifier& notifier, telemetry::Registry& registry,
               telemetry::Health& health)
    : config_(config),
      settled_(settled),
      limits_(limits),
      notifier_(notifier),
      registry_(registry),
      health_(health),
      directory_(config_.rules.directory, config_.rules.builtin),
      election_(config_.control, std::move(clusters)),
      events_(registry.counter("naru_status_events_total", "Status events written.")),
      changes_(registry.counter("naru_route_switches_total", "Switches of routes.")),
      terms_(registry.counter("naru_alerting_terms_total", "Times that this instance began to lead.")),
      rules_refused_(registry.counter("naru_rules_reloads_refused_total",
                                      "Changed rules that were refused; those before went on.")),
      commit_seconds_(registry.histogram("naru_alerting_commit_seconds",
                                         "How long a decision took to be durable.",
                                         {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5})),
      leading_(registry.gauge("naru_alerting_leads", "Whether this instance leads.")),
      clusters_(registry.gauge("naru_alerting_clusters",
                               "Clusters that the leader writes its decisions to; 0 on a standby.")),
      groups_(registry.gauge("naru_rules_groups", "Groups of rules that are watched.")),
      blind_(registry.gauge("naru_rules_blind", "Whether the rules do not see everything.")),
      gaps_(registry.counter("naru_rules_count_gaps_total", "Ranges of records whose counts never came.")),
      groups_refused_(registry.counter("naru_rules_groups_refused_total",
                                       "Counts not taken because rules.groups_max was reached.")),
      unknown_(registry.counter("naru_rules_unknown_counts_total",
                                "Counts of rules that are not known here: the preppers have other files.")) {
  for (const TargetConfig& target : config_.targets) {
    effects_[target.name] = make_effects(
        target, [this] { return settled_.leads(); },
        [this](const std::string& limit) { return limits_.try_acquire(limit); }, registry_);
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

Result<void> Leader::step(std::chrono::milliseconds wait) {
  const Result<void> voted = election_.step(wait, leads());
  const auto led = [&]() -> Result<void> {
    NARU_TRY_VOID(voted);
    if (leads()) {
      if (const std::string over = term_is_over(*term_); !over.empty()) {
        end_term(over);
      }
    }
    if (!leads() && !election_.won()) {
      end_term("another instance leads");
      return {};
    }
    if (!leads()) {
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

std::string Leader::term_is_over(const Term& term) const {
  for (const auto& [cluster, branch] : term.branches) {
    if (election_.answers(cluster) && !election_.holds(cluster)) {
      return "another instance leads";
    }
  }
  for (std::size_t i = 0; i < election_.size(); ++i) {
    if (!term.branches.contains(i) && election_.steady(i)) {
      return fmt::format("cluster {} is back", election_.cluster(i).name);
    }
  }
  return term.branches.size() < config_.control.quorum
             ? fmt::format("{} of {} clusters are left", term.branches.size(), election_.size())
             : std::string();
}

// First the fence: what is read behind it can change no more but by this term.
Result<ControlImage> Leader::take_over(Term& term, std::size_t cluster) {
  bus::Bus& bus = *election_.cluster(cluster).bus;
  Branch branch;
  NARU_TRY(auto producer, bus.transactional_producer(config_.control.group, {config_.control.status_topic,
                                                                             config_.control.routes_topic,
                                                                             config_.control.state_topic}));
  NARU_TRY(branch.cluster_id, bus.cluster_id());
  NARU_TRY(ControlImage image, read_image(bus, config_.control, kRestoreMax));
  writer_.add(cluster, std::move(producer));
  term.branches.emplace(cluster, std::move(branch));
  return image;
}

Result<void> Leader::read_counts(Term& term, std::size_t cluster) {
  Branch& branch = term.branches.at(cluster);
  branch.listener = std::make_unique<CountsListener>(std::exchange(term.stored[branch.cluster_id], {}));
  NARU_TRY(branch.counts, election_.cluster(cluster).bus->consumer(
                              {.group = {}, .topics = {config_.control.counts_topic}}, *branch.listener));
  return {};
}

Result<void> Leader::begin_term() {
  auto term = std::make_unique<Term>(EvaluatorLimits{.lateness = config_.rules.lateness,
                                                     .blind_after = config_.rules.blind_after,
                                                     .groups_max = config_.rules.groups_max});
  writer_.give_up_all();
  std::map<std::size_t, ControlImage> images;
  Result<void> problem;
  for (std::size_t i = 0; i < election_.size(); ++i) {
    if (!election_.holds(i)) {
      continue;
    }
    if (Result<ControlImage> image = take_over(*term, i)) {
      images.emplace(i, std::move(*image));
    } else {
      problem = fail(image.error());
      lose(*term, i, problem.error().message());
    }
  }
  if (images.size() < std::max<std::size_t>(config_.control.quorum, 1)) {
    return problem ? fail(ErrorCode::kUnavailable, "too few clusters answer") : problem;
  }
  const ControlImage& newest =
      std::ranges::max_element(images, {}, [](const auto& entry) { return entry.second.commit; })->second;
  restore(*term, newest);
  // Two instances that reach different clusters only have different epochs.
  std::uint64_t epoch = std::max(term->decider->highest_epoch(), newest.commit.epoch) + 1;
  while (epoch % election_.size() != images.begin()->first) {
    ++epoch;
  }
  term->decider->begin(epoch, term->began);
  term->committed = {epoch, 0};
  for (const auto& [cluster, image] : images) {
    Result<void> ready = read_counts(*term, cluster);
    if (std::vector<bus::OutRecord> behind = differences(image, newest, wall_now());
        ready && !behind.empty()) {
      telemetry::log_info(kComponent, "cluster {} is brought up to date: {} records",
                          election_.cluster(cluster).name, behind.size());
      ready = writer_.commit_to(cluster, std::move(behind));
    }
    if (!ready) {
      if (term->branches.size() <= std::max<std::size_t>(config_.control.quorum, 1)) {
        return ready;
      }
      lose(*term, cluster, ready.error().message());
    }
  }
  term_ = std::move(term);
  terms_.add();
  leading_.set(1);
  clusters_.set(static_cast<double>(term_->branches.size()));
  look_at_partitions_ = 0;
  settled_.lead(*term_->decider, epoch);
  limits_.lead(term_->rates);
  {
    const std::lock_guard lock(mutex_);
    accepting_ = true;
  }
  telemetry::log_info(kComponent, "leads on {} of {} clusters, epoch {}: {} targets, {} rules",
                      term_->branches.size(), election_.size(), epoch,
                      term_->decider->board().targets().size(), rules_->rules().size());
  return {};
}

void Leader::lose(Term& term, std::size_t cluster, const std::string& why) {
  telemetry::log_warn(kComponent, "goes on without cluster {}: {}", election_.cluster(cluster).name, why);
  writer_.give_up(cluster);
  term.branches.erase(cluster);
  clusters_.set(static_cast<double>(term.branches.size()));
  election_.distrust(cluster, why);
}

void Leader::restore(Term& term, const ControlImage& image) {
  // The configuration was tried by load().
  term.decider = Decider::make({.targets = config_.targets,
                                .mappings = config_.webhooks.mappings,
                                .alerts_max = config_.webhooks.alerts_max})
                     .value();
  std::vector<LevelChange> none;
  const UnixNanos now = wall_now();
  term.began = now;
  term.evaluator.use(rules_, now, none);
  for (const auto& [name, limit] : config_.limits) {
    term.rates[name] = limit.per_second;
  }
  for (const auto& [target, json] : image.topics.at(config_.control.status_topic)) {
    if (Result<StatusEvent> event = parse_status_event(json)) {
      term.decider->restore_status(*event);
    } else {
      telemetry::log_warn(kComponent, "the status of {} is passed over: {}", target, event.error().message());
    }
  }
  for (const auto& [target, json] : image.topics.at(config_.control.routes_topic)) {
    term.decider->restore_route(json);
  }
  for (const auto& [key, value] : image.topics.at(config_.control.state_topic)) {
    restore_state(term, key, value);
  }
}

void Leader::restore_state(Term& term, const std::string& key, const std::string& value) {
  if (key == kCommitKey) {
    return;
  }
  if (const auto group = parse_saved_group(key, value)) {
    term.evaluator.restore(*group);
    return;
  }
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  const bool own = key.starts_with(kCountsPrefix) || key.starts_with(kLimitPrefix);
  if (own && parser.parse(value).get(object) == simdjson::SUCCESS) {
    const std::string_view name = std::string_view(key).substr(key.find('/') + 1);
    const std::size_t slash = name.rfind('/');
    if (key.starts_with(kCountsPrefix) && slash != std::string_view::npos) {
      std::int32_t partition = -1;
      std::from_chars(name.data() + slash + 1, name.data() + name.size(), partition);
      const auto next = int_in(object, "next"), resume = int_in(object, "resume");
      if (partition >= 0 && next && resume) {
        term.stored[std::string(name.substr(0, slash))][partition] = {*next, *resume};
        return;
      }
    } else if (double rate = 0; object["perSecond"].get(rate) == simdjson::SUCCESS) {
      term.rates[std::string(name)] = rate;
      return;
    }
  } else if (!own && term.decider->restore_state(key, value)) {
    return;
  }
  telemetry::log_warn(kComponent, "state record '{}' is passed over: it cannot be read", key);
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
    clusters_.set(0);
    term_.reset();
    writer_.give_up_all();
  }
  for (Command& command : left) {
    command.answer(fail(ErrorCode::kUnavailable, "this instance does not lead: " + why));
  }
}

void Leader::close() {
  end_term("it is shut down");
  election_.close();
}

// --- leading

Result<void> Leader::lead(std::chrono::milliseconds wait) {
  Term& term = *term_;
  UnixNanos now = wall_now();
  if (now >= look_at_partitions_ || (!term.blind.empty() && !term.evaluator.knows_partitions())) {
    look_at_partitions_ = now + to_nanos(kLookAtPartitions);
    NARU_TRY_VOID(look_at_partitions(term));
  }
  bool waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = !commands_.empty() || !probes_.empty();
  }
  Decisions decisions;
  NARU_TRY_VOID(take_all_counts(term, waiting ? std::chrono::milliseconds(0) : wait, decisions));
  now = wall_now();
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

Result<void> Leader::take_all_counts(Term& term, std::chrono::milliseconds wait, Decisions& out) {
  look_at_rules(term, wall_now(), out);
  const std::chrono::milliseconds share =
      wait / static_cast<int>(std::max<std::size_t>(term.branches.size(), 1));
  std::map<std::size_t, std::string> failed;
  for (auto& [cluster, branch] : term.branches) {
    term.batch.clear();
    const Result<void> polled = branch.counts->poll(term.batch, kPollRecordsMax, share);
    const UnixNanos now = wall_now();
    for (const bus::InRecord& record : term.batch) {
      take_counts(term, branch, record, now, out);
    }
    if (!polled && term.branches.size() == 1) {
      return polled;
    }
    if (!polled || !election_.answers(cluster)) {
      failed[cluster] = polled ? "it does not answer" : polled.error().message();
    }
  }
  term.batch.clear();
  for (const auto& [cluster, why] : failed) {
    if (term.branches.size() > 1) {
      lose(term, cluster, why);
    }
  }
  return {};
}

Result<void> Leader::look_at_partitions(Term& term) {
  const std::pair<otlp::Signal, const std::string*> topics[] = {
      {otlp::Signal::kLogs, &config_.control.logs_topic},
      {otlp::Signal::kMetrics, &config_.control.metrics_topic},
      {otlp::Signal::kTraces, &config_.control.traces_topic}};
  for (const auto& [signal, topic] : topics) {
    std::vector<rules::Feed> expected;
    for (std::size_t i = 0; i < election_.size(); ++i) {
      std::vector<rules::Feed>& feeds = feeds_[{i, signal}];
      if (const auto branch = term.branches.find(i); branch != term.branches.end()) {
        const Result<std::int32_t> count = election_.partition_count(i, *topic);
        if (!count && count.error().code() != ErrorCode::kNotFound) {
          if (election_.size() == 1) {
            return fail(count.error());
          }
          continue;  // as it was known last
        }
        feeds.clear();
        for (std::int32_t partition = 0; partition < count.value_or(0); ++partition) {
          feeds.push_back({branch->second.cluster_id, *topic, partition});
        }
      }
      if (feeds.empty() && !term.branches.contains(i)) {
        // What is on a cluster that is not seen is not known to be quiet.
        expected.push_back({election_.cluster(i).name, *topic, 0});
      }
      expected.insert(expected.end(), feeds.begin(), feeds.end());
    }
    term.evaluator.expect(signal, std::move(expected));
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

void Leader::take_counts(Term& term, Branch& branch, const bus::InRecord& record, UnixNanos now,
                         Decisions& out) {
  CountsPosition& position = branch.listener->positions[record.partition];
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
    records.push_back(control_record(topic, std::move(key), std::move(value), at));
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
    for (const auto& [cluster, branch] : term.branches) {
      for (const auto& [partition, position] : branch.listener->positions) {
        if (position.next < position.decided) {
          continue;  // not back where the term before was
        }
        const std::int64_t resume = position.marks.empty() ? position.next : position.marks.front().offset;
        add(config_.control.state_topic, fmt::format("{}{}/{}", kCountsPrefix, branch.cluster_id, partition),
            fmt::format(R"({{"next":{},"resume":{}}})", position.next, resume), now);
      }
    }
  }
  if (records.empty()) {
    return {};
  }
  ++term.committed.number;
  add(config_.control.state_topic, std::string(kCommitKey), to_json(term.committed), now);
  const std::uint64_t begin = monotonic_now();
  std::vector<std::size_t> lost;
  NARU_TRY_VOID(writer_.commit(records, config_.control.copy_wait, lost));
  commit_seconds_.observe(static_cast<double>(monotonic_now() - begin) / kNanosPerSecond);
  for (const std::size_t cluster : lost) {
    lose(term, cluster, "it did not take a decision in time");
  }
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
  for (const std::string& target : decisions.stated) {
    const RoutePlan& plan = *term.decider->plan(target);
    tell_effects(term, {.target = target,
                        .from = {},
                        .to = plan.config().routes[plan.state().active].name,
                        .reason = plan.state().reason});
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
