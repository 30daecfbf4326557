#include "prepper/count/count_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/bus/resent.h"
#include "core/telemetry/log.h"

namespace naru::prepper {
namespace {

constexpr std::string_view kComponent = "count";
constexpr std::size_t kPollRecordsMax = 1'000;
constexpr std::chrono::milliseconds kPauseAfterError{500};
constexpr std::uint64_t kComplainEvery = 30 * kNanosPerSecond;
constexpr std::size_t kMarksMax = 1'000;

// "c1|cluster id|offset from which on identities are read again". Another cluster's positions do not apply
// here: mirroring copies metadata unchanged (contracts.md 3).
std::string make_metadata(const std::string& cluster_id, std::int64_t rewind) {
  return fmt::format("c1|{}|{}", cluster_id, rewind);
}

std::optional<std::int64_t> parse_metadata(std::string_view text, const std::string& cluster_id) {
  const std::string prefix = fmt::format("c1|{}|", cluster_id);
  std::int64_t rewind = 0;
  if (!text.starts_with(prefix)) {
    return std::nullopt;
  }
  text.remove_prefix(prefix.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rewind);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(rewind) : std::nullopt;
}

std::string drawn_instance() {
  const auto bytes = random_16();
  return to_hex({reinterpret_cast<const char*>(bytes.data()), 8});
}

}  // namespace

CountService::CountService(CountConfig config, TopicsConfig topics, bus::Bus& bus,
                           std::shared_ptr<const PipelineSource> pipelines, telemetry::Registry& registry,
                           telemetry::Health& health)
    : config_(std::move(config)),
      topics_(std::move(topics)),
      bus_(bus),
      pipelines_(std::move(pipelines)),
      registry_(registry),
      health_(health),
      directory_(config_.rules, config_.builtin),
      repeats_(config_.sources_max),
      records_(registry.counter("naru_rules_records_total", "Records that the rules looked at.")),
      matches_(registry.counter("naru_rules_matches_total", "Records counted, once for each rule.")),
      repeats_total_(registry.counter("naru_rules_repeats_total",
                                      "Matching records that had been counted before and were left out.")),
      refused_(registry.counter("naru_rules_groups_refused_total",
                                "Matching records not counted because count.groups_max was reached.")),
      undecodable_(registry.counter("naru_rules_undecodable_total",
                                    "Bus records that are no OTLP request, wholly or in part.")),
      publications_(registry.counter("naru_rules_publications_total", "Transactions with counts.")),
      commit_seconds_(registry.histogram("naru_rules_commit_seconds",
                                         "How long a transaction with counts took.",
                                         {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5})),
      rules_refused_(registry.counter("naru_rules_reloads_refused_total",
                                      "Changed rules that were refused; those before went on.")) {}

// Tells the checks of several clusters apart.
std::string CountService::named(const std::string& check) const {
  return config_.cluster.empty() ? check : check + " " + config_.cluster;
}

CountService::~CountService() {
  stop();
}

Result<void> CountService::start() {
  NARU_TRY(rules_, directory_.look());
  NARU_TRY_VOID(compile(rules_));
  health_.set(named("rules"), true);
  health_.set_dependency(named("rules-bus"), false, "has not answered yet");
  const UnixNanos started = wall_now();
  const auto lag = [this, started] {
    const UnixNanos from = std::max(caught_up_to_.load(), started);
    const UnixNanos now = wall_now();
    return now <= from ? 0.0 : static_cast<double>(now - from) / static_cast<double>(kNanosPerSecond);
  };
  tokens_.push_back(registry_.sampled_gauge(
      "naru_rules_lag_seconds", "Age of the time up to which this counter has counted everything.",
      config_.cluster.empty() ? telemetry::Labels{} : telemetry::Labels{{"cluster", config_.cluster}}, lag));
  tokens_.push_back(health_.watch_age(named("rules-blind"),
                                      std::chrono::duration<double>(config_.blind_after).count(),
                                      [lag] { return std::optional(lag()); }));
  thread_ = std::thread([this] { run(); });
  return {};
}

void CountService::stop() {
  stopping_ = true;
  {
    const std::lock_guard lock(mutex_);
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
  tokens_.clear();
}

void CountService::run() {
  std::uint64_t complain_at = 0;
  while (!stopping_) {
    const Result<void> stepped = step();
    if (stepped) {
      continue;
    }
    health_.set_dependency(named("rules-bus"), false, stepped.error().message());
    if (const std::uint64_t now = monotonic_now(); now >= complain_at) {
      complain_at = now + kComplainEvery;
      telemetry::log_warn(kComponent, "rules cannot be counted now, trying on: {}",
                          stepped.error().message());
    }
    disconnect();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kPauseAfterError, [this] { return stopping_.load(); });
  }
  if (consumer_ != nullptr) {
    if (const Result<void> last = publish(wall_now()); !last) {
      telemetry::log_info(kComponent, "the last counts were not published ({}); the next start counts them",
                          last.error().message());
    }
  }
  disconnect();
}

Result<void> CountService::connect() {
  bus::TopicConfig topic;
  topic.name = config_.topic;
  topic.partitions = config_.partitions;
  topic.replication = config_.replication;
  topic.settings = {{"retention.ms", std::to_string(rules::kCountsRetention.count())}};
  NARU_TRY_VOID(bus_.ensure_topics(std::span(&topic, 1)));
  NARU_TRY(cluster_id_, bus_.cluster_id());
  NARU_TRY(producer_, bus_.transactional_producer(
                          "naru-rules-" + (config_.instance.empty() ? drawn_instance() : config_.instance),
                          {config_.topic}));
  // All topics, also those that no rule looks at now: rules come and go without a new assignment.
  NARU_TRY(consumer_,
           bus_.consumer({.group = config_.group, .topics = {topics_.logs, topics_.metrics, topics_.traces}},
                         *this));
  return {};
}

void CountService::disconnect() {
  if (consumer_ != nullptr) {
    consumer_->close();
    consumer_.reset();
  }
  producer_.reset();
  partitions_.clear();
}

Result<void> CountService::step() {
  if (consumer_ == nullptr) {
    NARU_TRY_VOID(connect());
    publish_at_ = wall_now() + to_nanos(config_.publish_every);
  }
  const UnixNanos before = wall_now();
  const auto left = std::chrono::nanoseconds(publish_at_ > before ? publish_at_ - before : 0);
  batch_.clear();
  const Result<void> polled =
      consumer_->poll(batch_, kPollRecordsMax,
                      std::min(std::chrono::ceil<std::chrono::milliseconds>(left), config_.publish_every));
  const UnixNanos now = wall_now();
  for (const bus::InRecord& record : batch_) {
    take(record, now);
  }
  batch_.clear();
  NARU_TRY_VOID(polled);
  // A clock that was set back must not silence the counter.
  if (now >= publish_at_ || publish_at_ > now + 2 * to_nanos(config_.publish_every)) {
    NARU_TRY_VOID(publish(now));
    publish_at_ = now + to_nanos(config_.publish_every);
  }
  if (now >= look_at_ || look_at_ > now + 2 * to_nanos(config_.look_every)) {
    look_at_ = now + to_nanos(config_.look_every);
    NARU_TRY_VOID(look_at_rules(now));
  }
  return {};
}

void CountService::take(const bus::InRecord& record, UnixNanos now) {
  const auto found = partitions_.find({std::string(record.topic), record.partition});
  if (found == partitions_.end()) {
    return;  // revoked inside the same poll
  }
  Partition& partition = found->second;
  // A collector whose clock runs ahead must not hold a status up for as long.
  const UnixNanos latest = now + to_nanos(config_.lateness);
  const UnixNanos received =
      record.timestamp_ms <= 0
          ? now
          : std::min(static_cast<UnixNanos>(record.timestamp_ms) * kNanosPerMilli, latest);
  partition.next = record.offset + 1;
  partition.caught_up_to = std::max(partition.caught_up_to, std::min(received, now));
  counter_->count({.signal = partition.signal,
                   .value = record.value,
                   .received = received,
                   .origin = partition.origin,
                   .certain = !bus::is_resent(record),
                   .counted = record.offset < partition.count_from},
                  partition.tally);
}

void CountService::note_progress(UnixNanos now) {
  for (const bus::Consumer::Progress& progress : consumer_->progress()) {
    const auto found = partitions_.find(progress.partition);
    if (found != partitions_.end() && found->second.next >= progress.high && contact_ != 0) {
      found->second.caught_up_to = std::max(found->second.caught_up_to, std::min(contact_, now));
    }
  }
}

bus::Commit CountService::position_of(const bus::TopicPartition& where, Partition& partition,
                                      UnixNanos now) const {
  const UnixNanos keep = to_nanos(config_.remember);
  if (partition.marks.empty() || partition.marks.back().offset != partition.next) {
    partition.marks.push_back({now, partition.next});
  }
  while (partition.marks.size() > 1 &&
         (partition.marks[1].at + keep < now || partition.marks.size() > kMarksMax)) {
    partition.marks.pop_front();
  }
  const std::int64_t next = std::max(partition.next, partition.count_from);
  return {where, next, make_metadata(cluster_id_, std::min(partition.marks.front().offset, next))};
}

Result<void> CountService::publish(UnixNanos now) {
  if (partitions_.empty()) {
    return {};
  }
  note_progress(now);
  std::vector<bus::OutRecord> records;
  std::vector<bus::Commit> positions;
  std::vector<rules::RuleCount> counted;
  UnixNanos oldest = now;
  for (auto& [where, partition] : partitions_) {
    rules::Counts counts;
    counts.from = partition.published;
    counts.to = std::max(partition.next, partition.count_from);
    counts.caught_up_to = partition.next < partition.count_from ? 0 : partition.caught_up_to;
    counts.rules = partition.tally.take(counter_->rules());
    counted.insert(counted.end(), counts.rules.begin(), counts.rules.end());
    oldest = std::min(oldest, counts.caught_up_to);
    const std::string key = rules::format_feed({cluster_id_, where.topic, where.partition});
    for (std::string& value : rules::encode(counts)) {
      bus::OutRecord& record = records.emplace_back();
      record.topic = config_.topic;
      record.key = key;
      record.value = std::move(value);
      record.timestamp_ms = static_cast<UnixMillis>(now / kNanosPerMilli);
    }
    positions.push_back(position_of(where, partition, now));
  }
  const std::uint64_t begin = monotonic_now();
  NARU_TRY_VOID(producer_->commit(std::move(records), consumer_.get(), positions));
  commit_seconds_.observe(static_cast<double>(monotonic_now() - begin) / kNanosPerSecond);
  for (auto& [where, partition] : partitions_) {
    partition.published = std::max(partition.next, partition.count_from);
  }
  contact_ = now;
  caught_up_to_ = oldest;
  publications_.add();
  show_groups(counted);
  health_.set_dependency(named("rules-bus"), true);
  show_stats();
  return {};
}

void CountService::on_assigned(std::span<bus::Assignment> assigned) {
  const auto stored = [&](const std::string& topic) {
    return std::ranges::any_of(assigned,
                               [&](const bus::Assignment& one) {
                                 return one.partition.topic == topic && one.committed.has_value();
                               }) ||
           std::ranges::any_of(partitions_, [&](const auto& entry) { return entry.first.topic == topic; });
  };
  for (bus::Assignment& assignment : assigned) {
    Partition partition;
    partition.signal = assignment.partition.topic == topics_.logs      ? otlp::Signal::kLogs
                       : assignment.partition.topic == topics_.metrics ? otlp::Signal::kMetrics
                                                                       : otlp::Signal::kTraces;
    partition.origin = origins_++;
    // Rules speak of now: a group that never counted here begins at the end. A partition that was added later
    // is counted from its beginning.
    partition.count_from =
        assignment.committed.value_or(stored(assignment.partition.topic) ? assignment.low : assignment.high);
    const std::int64_t rewind =
        parse_metadata(assignment.metadata, cluster_id_).value_or(partition.count_from);
    assignment.start =
        std::clamp(rewind, std::min(assignment.low, partition.count_from), partition.count_from);
    partition.next = assignment.start;
    partition.published = partition.count_from;
    partitions_.insert_or_assign(assignment.partition, std::move(partition));
  }
}

void CountService::on_revoked(std::span<const bus::TopicPartition> partitions, bool) {
  for (const bus::TopicPartition& where : partitions) {
    if (const auto found = partitions_.find(where); found != partitions_.end()) {
      repeats_.forget(found->second.origin);
      partitions_.erase(found);
    }
  }
}

void CountService::on_lost(const bus::TopicPartition& where, std::uint64_t records, std::int64_t next) {
  telemetry::log_error(kComponent, "{}/{}: {} records were gone before the rules had counted them",
                       where.topic, where.partition, records);
  if (const auto found = partitions_.find(where); found != partitions_.end()) {
    found->second.next = std::max(found->second.next, next);
  }
}

Result<void> CountService::compile(std::shared_ptr<const rules::RuleSet> rules) {
  std::shared_ptr<const PipelineSet> pipelines;
  if (pipelines_ != nullptr) {
    pipelines_version_ = pipelines_->version();
    pipelines = pipelines_->current();
  }
  NARU_TRY(auto made,
           RecordCounter::compile(rules, std::move(pipelines),
                                  {.lateness = to_nanos(config_.lateness), .groups_max = config_.groups_max},
                                  repeats_));
  if (counter_ != nullptr) {
    show_stats();
    shown_ = {};
  }
  counter_ = std::move(made);
  rules_ = std::move(rules);
  return {};
}

// Between two publications, so that no tally holds counts of two sets.
Result<void> CountService::look_at_rules(UnixNanos now) {
  Result<std::shared_ptr<const rules::RuleSet>> looked = directory_.look();
  if (!looked) {
    refuse(looked.error().message());
    return {};
  }
  const bool others = pipelines_ != nullptr && pipelines_->version() != pipelines_version_;
  if (*looked == nullptr && !others) {
    return {};
  }
  NARU_TRY_VOID(publish(now));
  if (Result<void> compiled = compile(*looked != nullptr ? *looked : rules_); !compiled) {
    refuse(compiled.error().message());
    return {};
  }
  health_.set(named("rules"), true);
  telemetry::log_info(kComponent, "counting by {} rules", rules_->rules().size());
  return {};
}

void CountService::refuse(const std::string& why) {
  rules_refused_.add();
  health_.set(named("rules"), false, "the rules changed and are refused; those before go on: " + why);
  telemetry::log_error(kComponent, "the changed rules are refused, those before go on:\n{}", why);
}

// What Prometheus rules ask for. Beyond metrics_groups_max a group is published and not shown.
void CountService::show_groups(const std::vector<rules::RuleCount>& counts) {
  for (const rules::RuleCount& count : counts) {
    const rules::Rule* const rule = rules_->find(count.rule);
    if (rule == nullptr) {
      continue;
    }
    for (const rules::GroupCount& group : count.groups) {
      std::string key = rule->name;
      for (const std::string& label : group.labels) {
        key += '\x1f' + label;
      }
      auto shown = shown_groups_.find(key);
      if (shown == shown_groups_.end()) {
        if (shown_groups_.size() >= config_.metrics_groups_max) {
          continue;
        }
        telemetry::Labels labels = {{"alert", rule->name}};
        std::size_t at = 0;
        for (const auto& [name, expression] : rule->by) {
          labels.emplace(name, group.labels[at++]);
        }
        shown = shown_groups_
                    .emplace(std::move(key),
                             ShownGroup{
                                 registry_.counter("naru_rule_records_total",
                                                   "Records that a rule counted, by its labels.", labels),
                                 registry_.counter("naru_rule_share_total",
                                                   "Those of them for which `of` of a ratio held.", labels)})
                    .first;
      }
      std::uint64_t records = 0, share = 0;
      for (const rules::SecondCount& second : group.seconds) {
        records += second.certain;
        share += second.share;
      }
      shown->second.records.add(records);
      shown->second.share.add(share);
    }
  }
}

void CountService::show_stats() {
  const CountStats& now = counter_->stats();
  records_.add(now.records - shown_.records);
  matches_.add(now.matches - shown_.matches);
  repeats_total_.add(now.repeats - shown_.repeats);
  refused_.add(now.refused - shown_.refused);
  undecodable_.add(now.undecodable - shown_.undecodable);
  shown_ = now;
}

}  // namespace naru::prepper
