#include "alerting/rule_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <utility>

#include "core/base/check.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

constexpr std::string_view kComponent = "alerting";
constexpr std::string_view kRulePrefix = "rule/";
constexpr std::string_view kResentHeader = "naru.resent";  // contracts.md 3
constexpr std::size_t kSentAtOnceMax = 100;
constexpr UnixNanos kComplainEvery = 30 * kNanosPerSecond;

std::vector<CountingRule> counting_rules(const AlertingConfig& config) {
  std::vector<CountingRule> rules;
  for (const RuleConfig& rule : config.rules) {
    rules.push_back({.name = rule.name,
                     .critical_more_than = rule.more_than,
                     .caution_more_than = rule.caution_more_than,
                     .window_s = static_cast<std::uint32_t>(rule.window.count()),
                     .hold_s = static_cast<std::uint32_t>(rule.hold.count())});
  }
  return rules;
}

CountingLimits counting_limits(const CountingConfig& config) {
  return {.lateness_s = static_cast<std::uint32_t>(config.lateness.count()),
          .targets_max = config.targets_max};
}

// What a commit says beside its offset: up to which receive time everything had been decided.
constexpr std::string_view kMetadataPrefix = "v1|";

std::string make_metadata(UnixNanos caught_up_to) {
  return fmt::format("{}{}", kMetadataPrefix, caught_up_to);
}

// nullopt: empty, or of another writer.
std::optional<UnixNanos> parse_metadata(std::string_view text) {
  UnixNanos time = 0;
  if (!text.starts_with(kMetadataPrefix)) {
    return std::nullopt;
  }
  text.remove_prefix(kMetadataPrefix.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), time);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return time;
}

std::string reason_of(const Transition& transition, const RuleConfig& rule) {
  if (transition.status > transition.previous) {
    return fmt::format("{} records of rule \"{}\" within {} s, more than {}", transition.count, rule.name,
                       rule.window.count(), transition.more_than);
  }
  return fmt::format("no window of {} s had more than {} records of rule \"{}\" for {} s",
                     rule.window.count(), transition.more_than, rule.name, rule.hold.count());
}

}  // namespace

// The answer to one status event, filled in on a thread of the bus.
struct RuleService::Delivery {
  enum class State : std::uint8_t { kWaiting, kDurable, kFailed };
  std::atomic<State> state{State::kWaiting};
};

// Reads the status topic up to what it held at the beginning.
class RuleService::Restore final : private bus::RebalanceListener {
 public:
  static Result<std::unique_ptr<Restore>> begin(bus::Bus& bus, const std::string& topic) {
    std::unique_ptr<Restore> restore(new Restore());
    NARU_TRY(restore->consumer_, bus.consumer({.group = {}, .topics = {topic}}, *restore));
    return restore;
  }
  ~Restore() override { consumer_.reset(); }  // calls back while it closes

  // True: all was read.
  Result<bool> read(std::chrono::milliseconds wait) {
    constexpr std::size_t kRecordsMax = 1'000;
    batch_.clear();
    const Result<void> polled = consumer_->poll(batch_, kRecordsMax, wait);
    for (const bus::InRecord& record : batch_) {
      take(record);
    }
    batch_.clear();
    NARU_TRY_VOID(polled);
    for (const bus::Consumer::Progress& progress : consumer_->progress()) {
      if (const auto end = ends_.find(progress.partition);
          end != ends_.end() && progress.position >= end->second) {
        ends_.erase(end);
      }
    }
    return assigned_ && ends_.empty();
  }

  const std::map<std::string, StatusEvent>& latest() const { return latest_; }
  std::uint64_t highest_epoch() const { return highest_epoch_; }

 private:
  Restore() = default;

  void on_assigned(std::span<bus::Assignment> partitions) override {
    assigned_ = true;
    for (const bus::Assignment& partition : partitions) {
      if (partition.start < partition.high) {
        ends_.emplace(partition.partition, partition.high);
      }
    }
  }
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}

  void take(const bus::InRecord& record) {
    if (record.tombstone) {
      latest_.erase(std::string(record.key));
      return;
    }
    Result<StatusEvent> event = parse_status_event(record.value);
    if (!event) {
      telemetry::log_warn(kComponent, "status event {} of {}[{}] is passed over: {}", record.offset,
                          record.topic, record.partition, event.error().message());
      return;
    }
    highest_epoch_ = std::max(highest_epoch_, event->epoch);
    StatusEvent& known = latest_[event->target];
    if (std::pair(event->epoch, event->sequence) >= std::pair(known.epoch, known.sequence)) {
      known = std::move(*event);
    }
  }

  std::unique_ptr<bus::Consumer> consumer_;
  std::vector<bus::InRecord> batch_;
  bool assigned_ = false;
  std::map<bus::TopicPartition, std::int64_t> ends_;  // of partitions that are not read to their end yet
  std::map<std::string, StatusEvent> latest_;
  std::uint64_t highest_epoch_ = 0;
};

Result<std::unique_ptr<RuleService>> RuleService::make(const AlertingConfig& config, bus::Bus& bus,
                                                       telemetry::Registry& registry,
                                                       telemetry::Health& health) {
  std::vector<Rule> rules;
  for (const RuleConfig& rule : config.rules) {
    Result<Matcher> matcher = Matcher::compile(rule.match);
    if (!matcher) {
      return fail(matcher.error().with_context("rule " + rule.name));
    }
    Result<TargetTemplate> target = TargetTemplate::parse(rule.target);
    if (!target) {
      return fail(target.error().with_context("rule " + rule.name));
    }
    rules.push_back(
        {rule.name, std::move(*matcher), std::move(*target),
         registry.counter("naru_rule_matches_total", "Records that a rule counted.", {{"rule", rule.name}})});
  }
  return std::unique_ptr<RuleService>(new RuleService(config, bus, registry, health, std::move(rules)));
}

RuleService::RuleService(const AlertingConfig& config, bus::Bus& bus, telemetry::Registry& registry,
                         telemetry::Health& health, std::vector<Rule> rules)
    : config_(config),
      bus_(bus),
      registry_(registry),
      health_(health),
      rules_(std::move(rules)),
      counting_(std::make_unique<Counting>(counting_rules(config), counting_limits(config.counting))),
      repeats_(config.counting.sources_max),
      wanted_(rules_.size()),
      records_(registry.counter("naru_rules_records_total", "Records that the rules looked at.")),
      repeats_dropped_(registry.counter("naru_rules_repeats_total",
                                        "Matching records that had been counted before and were left out.")),
      undecodable_(registry.counter("naru_rules_undecodable_total",
                                    "Bus records that are no OTLP logs, wholly or in part.")),
      refused_(registry.counter("naru_rules_targets_refused_total",
                                "Matching records not counted because counting.targets_max was reached.")),
      sources_evicted_(registry.counter("naru_rules_sources_evicted_total",
                                        "Sources forgotten because counting.sources_max was reached.")),
      counts_dropped_(
          registry.counter("naru_rules_counts_dropped_total",
                           "Counted records forgotten early because one target had too many seconds.")),
      targets_gauge_(registry.gauge("naru_rules_targets", "Targets with counts or a status.")),
      pending_gauge_(registry.gauge("naru_status_events_pending", "Status events that wait for the bus.")) {
  health_.set("rules", false, "has not read the last statuses yet");
}

// First the consumers: they call back into the rest while they close.
RuleService::~RuleService() {
  restore_.reset();
  consumer_.reset();
}

Result<void> RuleService::step(UnixNanos now, std::chrono::milliseconds wait) {
  if (producer_ == nullptr) {
    NARU_TRY_VOID(connect());
  }
  if (consumer_ == nullptr) {
    return restore(wait);
  }
  const Result<void> was_read = read(now, wait);
  queue_transitions();
  const Result<void> was_published = publish();
  NARU_TRY_VOID(was_read);
  NARU_TRY_VOID(was_published);
  NARU_TRY_VOID(hold_reading_while_full());
  return commit_when_due(now);
}

Result<void> RuleService::connect() {
  bus::TopicConfig topic;
  topic.name = config_.status.topic;
  topic.partitions = 1;  // few events; readers need the order per target only
  topic.replication = config_.status.replication;
  topic.compacted = true;
  NARU_TRY_VOID(bus_.ensure_topics(std::span(&topic, 1)));
  NARU_TRY(producer_, bus_.producer());
  return {};
}

Result<void> RuleService::restore(std::chrono::milliseconds wait) {
  if (!restored_) {
    if (restore_ == nullptr) {
      NARU_TRY(restore_, Restore::begin(bus_, config_.status.topic));
    }
    NARU_TRY(const bool complete, restore_->read(wait));
    if (!complete) {
      return {};
    }
    for (const auto& [target, event] : restore_->latest()) {
      const std::string_view source = event.source;
      const std::string_view rule =
          source.starts_with(kRulePrefix) ? source.substr(kRulePrefix.size()) : source;
      if (!counting_->restore(target, event.status, event.previous, event.at, rule)) {
        telemetry::log_warn(
            kComponent, "{} is {} by {}, which is no rule here any more; it stays so until a person sets it",
            target, to_string(event.status), source);
      }
    }
    epoch_ = restore_->highest_epoch() + 1;
    telemetry::log_info(kComponent, "read the last status of {} targets; this is epoch {}",
                        restore_->latest().size(), epoch_);
    restored_ = true;
    restore_.reset();
  }
  NARU_TRY(consumer_,
           bus_.consumer({.group = config_.counting.group, .topics = {config_.counting.logs_topic}}, *this));
  return {};
}

// --- reading

Result<void> RuleService::read(UnixNanos now, std::chrono::milliseconds wait) {
  batch_.clear();
  const Result<void> polled = consumer_->poll(batch_, config_.counting.poll_records_max, wait);
  look_at_ownership();
  for (const bus::InRecord& value : batch_) {
    count_value(value, now);
  }
  batch_.clear();
  NARU_TRY_VOID(polled);
  note_progress();
  advance();
  targets_gauge_.set(static_cast<double>(counting_->targets()));
  sources_evicted_.add(repeats_.evicted() - sources_evicted_.value());
  counts_dropped_.add(counting_->counts_dropped() - counts_dropped_.value());
  return {};
}

void RuleService::advance() {
  const std::optional<UnixNanos> read_to = read_up_to();
  if (read_to && owns_every_partition_) {
    counting_->advance(*read_to, transitions_);
    caught_up_shown_.store(*read_to, std::memory_order_relaxed);
  }
}

void RuleService::count_value(const bus::InRecord& value, UnixNanos now) {
  const auto found = partitions_.find({std::string(value.topic), value.partition});
  if (found == partitions_.end() || !found->second.assigned) {
    return;  // revoked inside the same poll; it is counted by its new owner
  }
  // A collector whose clock runs ahead must not hold a status up for as long.
  const UnixNanos latest = now + static_cast<UnixNanos>(config_.counting.lateness.count()) * kNanosPerSecond;
  const UnixNanos received =
      value.timestamp_ms <= 0 ? now
                              : std::min(static_cast<UnixNanos>(value.timestamp_ms) * kNanosPerMilli, latest);
  Hit hit;
  hit.origin = found->second.origin;
  hit.offset = value.offset;
  hit.received = received;
  hit.certain = value.headers == nullptr ||
                std::ranges::none_of(*value.headers,
                                     [](const bus::Header& header) { return header.key == kResentHeader; });
  // First what silence before this value decides, then the value: a backlog read at once gives the same
  // changes as the same records one by one.
  found->second.clock.read(value.offset, received);
  advance();
  otlp::Messages resources = otlp::resource_groups(value.value);
  bool ok = true;
  while (resources.next()) {
    ok = count_resource(resources.bytes(), hit) && ok;
  }
  for (Rule& rule : rules_) {
    rule.matches.add(std::exchange(rule.matched, 0));
  }
  repeats_dropped_.add(std::exchange(repeats_in_value_, 0));
  if (!ok || !resources.ok()) {
    undecodable_.add();
    if (now >= complain_again_at_) {
      complain_again_at_ = now + kComplainEvery;
      telemetry::log_warn(kComponent,
                          "offset {} of {}[{}] is no OTLP logs request; what can be read of it counts",
                          value.offset, value.topic, value.partition);
    }
  }
}

bool RuleService::count_resource(std::string_view encoded, Hit& hit) {
  otlp::ResourceGroup resource;
  if (!otlp::parse(encoded, resource)) {
    return false;
  }
  bool any = false;
  for (std::size_t rule = 0; rule < rules_.size(); ++rule) {
    wanted_[rule] = rules_[rule].matcher.matches_resource(resource.attributes());
    any = any || wanted_[rule];
  }
  if (!any) {
    return true;
  }
  bool ok = true;
  otlp::Messages scopes = otlp::scope_groups(resource);
  while (scopes.next()) {
    ok = count_scope(resource, scopes.bytes(), hit) && ok;
  }
  return ok && scopes.ok();
}

bool RuleService::count_scope(const otlp::ResourceGroup& resource, std::string_view encoded, Hit& hit) {
  otlp::ScopeGroup scope;
  if (!otlp::parse(encoded, scope)) {
    return false;
  }
  const otlp::ScopeIdentity identity = otlp::scope_identity(scope.scope);
  otlp::Messages records = otlp::records(scope);
  otlp::LogRecord record;
  std::uint64_t index = 0;
  bool ok = true;
  for (; records.next(); ++index) {
    record = {};
    if (otlp::parse(records.bytes(), record)) {
      count_record(resource, record, identity, index, hit);
    } else {
      ok = false;
    }
  }
  records_.add(index);
  return ok && records.ok();
}

void RuleService::count_record(const otlp::ResourceGroup& resource, const otlp::LogRecord& record,
                               const otlp::ScopeIdentity& identity, std::uint64_t index, Hit& hit) {
  bool known_as_new = false;
  for (std::size_t number = 0; number < rules_.size(); ++number) {
    Rule& rule = rules_[number];
    if (!wanted_[number] || !rule.matcher.matches(record)) {
      continue;
    }
    if (identity.present && !known_as_new) {
      std::uint64_t position = identity.base + index;
      if (const auto own = record.attributes().find(otlp::kPositionKey);
          own && own->kind == otlp::AnyValue::Kind::kInt) {
        position = static_cast<std::uint64_t>(own->integer);
      }
      if (!repeats_.admit(identity.source, position, hit.origin)) {
        ++repeats_in_value_;
        return;
      }
    }
    known_as_new = true;
    hit.rule = number;
    hit.target = rule.target.render(resource.attributes(), record.attributes());
    hit.event_time = record.time != 0 ? record.time : record.observed_time;
    if (counting_->count(hit, transitions_)) {
      ++rule.matched;
    } else {
      refused_.add();
    }
  }
}

// --- progress of reading

void RuleService::on_assigned(std::span<bus::Assignment> partitions) {
  for (const bus::Assignment& assignment : partitions) {
    const auto [entry, added] = partitions_.try_emplace(assignment.partition);
    Partition& partition = entry->second;
    if (added) {
      partition.origin = static_cast<std::uint32_t>(partitions_.size() - 1);
    }
    partition.assigned = true;
    partition.clock = {};
    partition.high_at_assignment = assignment.high;
    partition.committed = assignment.start;
    partition.metadata = assignment.metadata;
    if (const std::optional<UnixNanos> caught_up_to = parse_metadata(assignment.metadata)) {
      counting_->resume(*caught_up_to);
    }
  }
  paused_ = false;  // a new assignment is read from the beginning
}

void RuleService::on_revoked(std::span<const bus::TopicPartition> partitions, bool) {
  for (const bus::TopicPartition& id : partitions) {
    Partition& partition = partitions_.at(id);
    partition.assigned = false;
    counting_->forget(partition.origin);
    repeats_.forget(partition.origin);
  }
}

void RuleService::note_progress() {
  for (const bus::Consumer::Progress& progress : consumer_->progress()) {
    const auto found = partitions_.find(progress.partition);
    if (found != partitions_.end() && found->second.assigned &&
        progress.position >= std::max(progress.high, found->second.high_at_assignment)) {
      found->second.clock.caught_up(last_contact_);
    }
  }
}

void RuleService::look_at_ownership() {
  const Result<std::int32_t> count = producer_->partition_count(config_.counting.logs_topic);
  const auto owned =
      std::ranges::count_if(partitions_, [](const auto& entry) { return entry.second.assigned; });
  owns_every_partition_ = count && owned >= *count;
  health_.set(
      "rules", owns_every_partition_,
      !count ? count.error().message()
             : fmt::format("reads only {} of {} partitions of {}; run one naru-alerting a group, or wait "
                           "for the group to settle",
                           owned, *count, config_.counting.logs_topic));
}

std::optional<UnixNanos> RuleService::read_up_to() const {
  std::optional<UnixNanos> least;
  for (const auto& [id, partition] : partitions_) {
    if (!partition.assigned) {
      continue;
    }
    const std::optional<UnixNanos> read_to = partition.clock.caught_up_to();
    if (!read_to) {
      return std::nullopt;
    }
    least = std::min(least.value_or(*read_to), *read_to);
  }
  return least;
}

// --- status events

void RuleService::queue_transitions() {
  for (const Transition& transition : transitions_) {
    const RuleConfig& rule = config_.rules[transition.rule];
    StatusEvent event;
    event.target = transition.target;
    event.status = transition.status;
    event.previous = transition.previous;
    event.epoch = epoch_;
    event.sequence = ++sequence_;
    event.at = transition.at;
    event.source = std::string(kRulePrefix) + rule.name;
    event.reason = reason_of(transition, rule);
    event.evidence.rule = rule.name;
    event.evidence.count = transition.count;
    event.evidence.more_than = transition.more_than;
    event.evidence.window_s = static_cast<std::uint32_t>(rule.window.count());
    if (transition.offset >= 0) {
      const auto of_hit = std::ranges::find_if(
          partitions_, [&](const auto& entry) { return entry.second.origin == transition.origin; });
      NARU_CHECK(of_hit != partitions_.end(), "a hit comes from a partition that was assigned");
      event.evidence.topic = of_hit->first.topic;
      event.evidence.partition = of_hit->first.partition;
      event.evidence.offset = transition.offset;
    }
    telemetry::log_info(kComponent, "{} went from {} to {}: {}", event.target, to_string(event.previous),
                        to_string(event.status), event.reason);
    pending_.push_back(std::move(event));
  }
  transitions_.clear();
  pending_gauge_.set(static_cast<double>(pending_.size()));
}

// One group of events at a time, no target twice in it: a retried event never overtakes a later one of its
// target.
Result<void> RuleService::publish() {
  if (!sent_.empty()) {
    drop_published();
  }
  if (!sent_.empty()) {
    return {};
  }
  std::set<std::string_view> targets;
  for (const StatusEvent& event : pending_) {
    if (sent_.size() == kSentAtOnceMax || !targets.insert(event.target).second) {
      break;
    }
    bus::OutRecord record;
    record.topic = config_.status.topic;
    record.key = event.target;
    record.value = to_json(event);
    record.timestamp_ms = static_cast<UnixMillis>(event.at / kNanosPerMilli);
    auto delivery = std::make_shared<Delivery>();
    NARU_TRY_VOID(producer_->send(record, [delivery](Result<bus::Position> position) {
      delivery->state = position ? Delivery::State::kDurable : Delivery::State::kFailed;
    }));
    sent_.push_back(std::move(delivery));
  }
  return {};
}

void RuleService::drop_published() {
  if (std::ranges::any_of(sent_, [](const auto& d) { return d->state == Delivery::State::kWaiting; })) {
    return;
  }
  std::deque<StatusEvent> left;
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    if (sent_[i]->state == Delivery::State::kDurable) {
      registry_
          .counter("naru_status_events_total", "Status events that are durable on the bus.",
                   {{"status", std::string(to_string(pending_[i].status))}})
          .add();
    } else {
      left.push_back(std::move(pending_[i]));
    }
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(sent_.size()));
  pending_.insert(pending_.begin(), std::make_move_iterator(left.begin()),
                  std::make_move_iterator(left.end()));
  sent_.clear();
  pending_gauge_.set(static_cast<double>(pending_.size()));
}

Result<void> RuleService::hold_reading_while_full() {
  const bool full = pending_.size() >= config_.status.pending_events_max;
  const bool room = pending_.size() <= config_.status.pending_events_max / 2;
  if (paused_ ? !room : !full) {
    return {};
  }
  std::vector<bus::TopicPartition> owned;
  for (const auto& [id, partition] : partitions_) {
    if (partition.assigned) {
      owned.push_back(id);
    }
  }
  paused_ = !paused_;
  return paused_ ? consumer_->pause(owned) : consumer_->resume(owned);
}

// --- positions

Result<void> RuleService::commit_when_due(UnixNanos now) {
  if (now < next_commit_) {
    return {};
  }
  next_commit_ = now + static_cast<UnixNanos>(config_.counting.commit_interval.count()) * kNanosPerMilli;
  return commit(now);
}

// Also when nothing moved: the answer tells that the bus is there.
Result<void> RuleService::commit(UnixNanos now) {
  const std::optional<UnixNanos> read_to = read_up_to();
  const UnixNanos horizon_size = counting_->horizon_s() * kNanosPerSecond;
  std::optional<UnixNanos> horizon;
  if (read_to && *read_to > horizon_size && pending_.empty()) {
    horizon = *read_to - horizon_size;
  }
  std::vector<bus::Commit> commits;
  for (auto& [id, partition] : partitions_) {
    if (!partition.assigned) {
      continue;
    }
    if (const auto resume = horizon ? partition.clock.resume_offset(*horizon) : std::nullopt) {
      partition.committed = std::max(partition.committed, *resume);
      partition.metadata = make_metadata(*read_to);
    }
    commits.push_back({id, partition.committed, partition.metadata});
  }
  if (commits.empty()) {
    return {};
  }
  NARU_TRY_VOID(consumer_->commit(commits));
  last_contact_ = now;
  if (horizon) {
    counting_->settle(*horizon);
  }
  return {};
}

void RuleService::close(UnixNanos now) {
  restore_.reset();
  if (consumer_ == nullptr) {
    return;
  }
  if (const Result<void> committed = commit(now); !committed) {
    telemetry::log_warn(kComponent,
                        "positions were not stored at the end ({}); the next start counts more again",
                        committed.error().message());
  }
  consumer_->close();
  consumer_.reset();
}

}  // namespace naru::alerting
