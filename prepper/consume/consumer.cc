#include "prepper/consume/consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/telemetry/log.h"

namespace naru::prepper {
namespace {

constexpr std::size_t kPollRecordsMax = 512;
constexpr std::chrono::milliseconds kPollWait{50};
constexpr std::uint64_t kTickEvery = kNanosPerSecond;
constexpr std::uint64_t kLogEvery = 30 * kNanosPerSecond;
constexpr std::uint64_t kRetentionEvery = 600 * kNanosPerSecond;
constexpr double kRetentionAlarm = 0.5;
constexpr double kOldestUnfinishedMax = 120;  // seconds until /readyz turns red

std::uint64_t nanos(std::chrono::milliseconds duration) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(duration).count());
}

}  // namespace

namespace {

// What tells the checks of several buses apart.
std::string suffix_of(const ConsumerConfig& config) {
  return config.bus_name == ConsumerConfig().bus_name ? std::string() : ", " + config.bus_name;
}

}  // namespace

Consumer::Consumer(ConsumerConfig config, bus::Bus& bus,
                   std::function<std::unique_ptr<Encoder>(const std::string&)> make_encoder,
                   std::function<void()> tick, telemetry::Registry& registry, telemetry::Health& health,
                   PipelineMetrics* pipelines)
    : config_(std::move(config)),
      bus_(bus),
      make_encoder_(std::move(make_encoder)),
      tick_(std::move(tick)),
      registry_(registry),
      health_(health),
      pipelines_(pipelines),
      late_results_(registry.counter("naru_prepper_late_results_total",
                                     "Messages that finished after their partition was taken away.",
                                     {{"pipeline", config_.pipeline}})),
      commit_failures_(registry.counter("naru_prepper_commit_failures_total",
                                        "Commits that the bus did not take; they are repeated.",
                                        {{"pipeline", config_.pipeline}})),
      skipped_(registry.counter("naru_prepper_skipped_messages_total",
                                "Messages read again that were finished before, by the commit's metadata.",
                                {{"pipeline", config_.pipeline}})),
      metadata_ignored_(registry.counter(
          "naru_prepper_commit_metadata_ignored_total",
          "Commits whose metadata belongs to another cluster, topic or offset, or is damaged.",
          {{"pipeline", config_.pipeline}})),
      retention_used_(registry.gauge(
          "naru_prepper_retention_used_ratio",
          "Age of the oldest unfinished record, in parts of the time that its topic keeps records.",
          {{"pipeline", config_.pipeline}})),
      bytes_held_(registry.gauge("naru_prepper_held_bytes",
                                 "Consumed values and their documents that are not finished.",
                                 {{"pipeline", config_.pipeline}})),
      budget_(config_.bytes_max),
      tasks_(config_.concurrency, config_.order) {
  for (const otlp::Signal signal : otlp::kSignals) {
    if (const auto topic = config_.topics.find(signal); topic != config_.topics.end()) {
      signals_.emplace(topic->second, signal);
    }
  }
  const auto counter = [&](const std::string& what, const std::string& help) {
    encode_counters_.emplace(
        what, registry.counter("naru_prepper_" + what + "_total", help, {{"pipeline", config_.pipeline}}));
  };
  counter("documents", "Documents encoded.");
  counter("document_bytes", "Bytes of documents with their action lines.");
  counter("undecodable", "Records or messages that are no valid OTLP.");
  counter("time_out_of_range", "Documents whose own time was out of range.");
  counter("invalid_utf8", "Bodies with bytes that are not UTF-8; the original is kept beside.");
  counter("cut_leaves", "Attribute texts or names that were cut to their limit.");
  counter("overflowed_bags", "Bags with more leaves than their limit; the rest is one text.");
  counter("nested_cut", "Events, links and exemplars over the limit of one document, left out.");
  counter("refused_type", "Values not promoted because of their type; they are in their bag.");
  counter("refused_length", "Values not promoted because of their length; they are in their bag.");
  counter("dataset_replaced", "Resources whose data set name is invalid; they went to `default`.");
}

Consumer::~Consumer() {
  stop(std::chrono::milliseconds(0));
  join();
}

void Consumer::start() {
  health_.set_dependency(config_.bus_name, false, "has not answered yet");
  age_check_ =
      health_.watch_age("prepper oldest unfinished record" + suffix_of(config_), kOldestUnfinishedMax,
                        [this] { return progress().oldest_unfinished_seconds; });
  thread_ = std::thread([this] { run(); });
}

std::size_t Consumer::stop(std::chrono::milliseconds drain) {
  if (thread_.joinable()) {
    drain_ = drain;
    stopping_ = true;
    thread_.join();
    age_check_.reset();
  }
  return left_;
}

void Consumer::join() {
  for (std::thread& worker : workers_) {
    worker.join();
  }
  workers_.clear();
}

void Consumer::completed(const std::shared_ptr<SourceMessage>& message) {
  budget_.release(message->charged_bytes);
  message->ledger->add_held_bytes(-static_cast<std::int64_t>(message->charged_bytes));
  in_flight_.fetch_sub(message->records, std::memory_order_relaxed);
  message->ledger->add_in_flight(Stage::kPrepper, -static_cast<std::int64_t>(message->records));
  message->count(Stage::kPrepper, Fate::kDelivered, static_cast<std::uint32_t>(message->documents));
  message->count(Stage::kPrepper, Fate::kDeadlettered, static_cast<std::uint32_t>(message->letters));
  message->count(Stage::kPrepper, Fate::kCreated, static_cast<std::uint32_t>(message->created));
  message->count(Stage::kPrepper, Fate::kDropped, static_cast<std::uint32_t>(message->dropped));
  message->count(Stage::kPrepper, Fate::kMerged, static_cast<std::uint32_t>(message->merged));
  const std::lock_guard lock(done_mutex_);
  done_.push_back(message);
}

// --- the workers

void Consumer::work(std::size_t worker) {
  std::unique_ptr<Encoder> encoder = make_encoder_(cluster_id_);
  std::uint64_t opened = 0;
  while (true) {
    std::shared_ptr<SourceMessage> message;
    {
      std::unique_lock lock(tasks_mutex_);
      const auto wakes = [&] { return workers_stop_ || tasks_.has(worker) || flush_now_.load(); };
      if (!encoder->has_open_batch()) {
        tasks_ready_.wait(lock, [&] { return workers_stop_ || tasks_.has(worker); });
      } else {
        const std::uint64_t now = monotonic_now();
        const std::uint64_t due = opened + nanos(config_.linger);
        tasks_ready_.wait_for(lock, std::chrono::nanoseconds(due > now ? due - now : 0), wakes);
      }
      message = tasks_.take(worker).value_or(nullptr);
      if (workers_stop_ && message == nullptr) {
        break;
      }
    }
    if (message == nullptr) {
      encoder->flush();
      continue;
    }
    const bool was_open = encoder->has_open_batch();
    message->hold(1);  // until it is counted: documents may be durable before encode() returns
    encoder->encode(message);
    message->count(Stage::kPrepper, Fate::kAccepted, static_cast<std::uint32_t>(message->records));
    message->ledger->add_in_flight(Stage::kPrepper, static_cast<std::int64_t>(message->records));
    records_.fetch_add(message->records, std::memory_order_relaxed);
    in_flight_.fetch_add(message->records, std::memory_order_relaxed);
    const std::uint64_t document_bytes = message->charged_bytes - message->record.value.size();
    budget_.charge(document_bytes);
    message->ledger->add_held_bytes(static_cast<std::int64_t>(document_bytes));
    finish(message, 1);
    const std::uint64_t now = monotonic_now();
    if (encoder->has_open_batch() && !was_open) {
      opened = now;
    }
    if (encoder->has_open_batch() && now - opened >= nanos(config_.linger)) {
      encoder->flush();
    }
    if (pipelines_ != nullptr) {
      encoder->take_tally(
          [&](const PipelineSet& set, const PipelineTally& tally) { pipelines_->add(set, tally); });
    }
    if (const UnixNanos delay = encoder->take_delay(); delay > 0) {
      encoder->flush();
      std::unique_lock lock(tasks_mutex_);
      tasks_ready_.wait_for(lock, std::chrono::nanoseconds(delay), [&] { return workers_stop_; });
    }
    const EncodeStats stats = encoder->take_stats();
    const auto add = [&](const char* what, std::uint64_t n) {
      if (n > 0) {
        encode_counters_.at(what).add(n);
      }
    };
    add("documents", stats.documents);
    add("document_bytes", stats.document_bytes);
    add("undecodable", stats.undecodable);
    add("time_out_of_range", stats.time_out_of_range);
    add("invalid_utf8", stats.invalid_utf8);
    add("cut_leaves", stats.cut_leaves);
    add("overflowed_bags", stats.overflowed_bags);
    add("nested_cut", stats.nested_cut);
    add("refused_type", stats.refused_type);
    add("refused_length", stats.refused_length);
    add("dataset_replaced", stats.dataset_replaced);
  }
  encoder->flush();
}

// --- the poll thread

bool Consumer::open_consumer() {
  std::uint64_t logged = 0;
  while (!stopping_) {
    Result<std::string> id = bus_.cluster_id();
    Result<std::unique_ptr<bus::Consumer>> consumer = fail(ErrorCode::kUnavailable, "not tried");
    if (id) {
      bus::ConsumerConfig wanted;
      wanted.group = config_.group;
      for (const auto& [topic, signal] : signals_) {
        wanted.topics.push_back(topic);
      }
      consumer = bus_.consumer(wanted, *this);
      if (consumer) {
        cluster_id_ = *id;
        shared_cluster_id_ = std::make_shared<const std::string>(cluster_id_);
        consumer_ = std::move(*consumer);
        return true;
      }
    }
    const std::string reason = id ? consumer.error().message() : id.error().message();
    health_.set_dependency(config_.bus_name, false, reason);
    if (const std::uint64_t now = monotonic_now(); logged == 0 || now - logged > kLogEvery) {
      logged = now;
      telemetry::log_warn("prepper", "the bus cannot be read yet: {}", reason);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return false;
}

void Consumer::run() {
  if (open_consumer()) {
    consume();
  }
  const std::lock_guard lock(rest_mutex_);
  ended_ = true;
  rest_over_.notify_all();
}

void Consumer::consume() {
  health_.set_dependency(config_.bus_name, true);
  for (std::uint32_t i = 0; i < config_.concurrency; ++i) {
    workers_.emplace_back([this, i] { work(i); });
  }
  std::vector<bus::InRecord> records;
  std::uint64_t committed_at = monotonic_now(), ticked_at = 0, failed_logged = 0;
  std::optional<std::uint64_t> drain_until;
  while (true) {
    const std::uint64_t now = monotonic_now();
    if (stopping_ && !drain_until.has_value()) {
      drain_until = now + nanos(drain_);
      flush_now_ = true;
      tasks_ready_.notify_all();
    }
    take_completions();
    if (drain_until.has_value()) {
      const std::size_t open = unfinished();
      if (open == 0 || now >= *drain_until) {
        left_ = open;
        break;
      }
      flush_now_ = true;
      tasks_ready_.notify_all();
    }
    if (resting_) {
      seek_rest();
    }
    pace();
    records.clear();
    const Result<void> polled = consumer_->poll(records, kPollRecordsMax, kPollWait);
    if (!polled) {
      health_.set_dependency(config_.bus_name, false, polled.error().message());
      if (failed_logged == 0 || now - failed_logged > kLogEvery) {
        failed_logged = now;
        telemetry::log_warn("prepper", "reading the bus fails: {}", polled.error().message());
      }
      if (records.empty()) {  // one partition may be held while the others go on
        std::this_thread::sleep_for(kPollWait);
      }
    } else if (failed_logged != 0 || ticked_at == 0) {
      failed_logged = 0;
      health_.set_dependency(config_.bus_name, true);
    }
    take_in(records);
    if (now - committed_at >= nanos(config_.commit_interval)) {
      committed_at = now;
      commit(false);
    }
    if (now - ticked_at >= kTickEvery) {
      ticked_at = now;
      observe();
      tick_();
    }
  }
  {
    const std::lock_guard lock(tasks_mutex_);
    workers_stop_ = true;
    tasks_.clear();  // unfinished: they will be consumed again
  }
  tasks_ready_.notify_all();
  commit(true);
  consumer_->close();
  consumer_.reset();
}

std::size_t Consumer::unfinished() const {
  std::size_t out = 0;
  for (const auto& [name, partition] : partitions_) {
    out += partition.progress.tracker().unfinished();
  }
  return out;
}

Result<void> Consumer::at_rest(std::chrono::milliseconds most, std::function<void()> change) {
  std::unique_lock lock(rest_mutex_);
  rest_ = std::move(change);
  resting_ = true;
  const bool rested = rest_over_.wait_for(lock, most, [&] { return !rest_ || ended_; }) && !rest_;
  rest_ = nullptr;
  resting_ = false;
  flush_now_ = stopping_.load();
  if (!rested) {
    return ended_ ? fail(ErrorCode::kUnavailable, "the prepper stops")
                  : fail(ErrorCode::kTimeout,
                         fmt::format("after {} s records were still in flight or not committed",
                                     most.count() / 1000));
  }
  return {};
}

// Somebody waits for a moment without anything in flight.
void Consumer::seek_rest() {
  {
    const std::lock_guard lock(rest_mutex_);
    if (!rest_) {
      return;  // given up meanwhile
    }
    flush_now_ = true;
  }
  tasks_ready_.notify_all();
  if (unfinished() > 0 || !commit(true)) {
    return;
  }
  const std::lock_guard lock(rest_mutex_);
  if (rest_) {
    rest_();
    rest_ = nullptr;
    rest_over_.notify_all();
  }
}

void Consumer::take_in(std::vector<bus::InRecord>& records) {
  if (records.empty()) {
    return;
  }
  std::vector<std::shared_ptr<SourceMessage>> messages;
  messages.reserve(records.size());
  const UnixNanos now = monotonic_now();
  for (bus::InRecord& record : records) {
    const auto signal = signals_.find(record.topic);
    const auto at = partitions_.find(bus::TopicPartition{std::string(record.topic), record.partition});
    if (signal == signals_.end() || at == partitions_.end()) {
      continue;  // of a partition that was taken away in this very poll
    }
    Partition& partition = at->second;
    partition.newest_timestamp_ms = record.timestamp_ms;
    NARU_CHECK(!partition.progress.tracker().full(), "pace() leaves room for a poll");
    switch (partition.progress.add(record.offset, now, record.timestamp_ms)) {
      case flow::AckTracker::Added::kNew: break;
      case flow::AckTracker::Added::kFinished: skipped_.add(); continue;
      case flow::AckTracker::Added::kRefused: continue;  // delivered twice by the bus: the first is under way
    }
    if (record.tombstone) {
      partition.progress.finish(record.offset, {});
      continue;
    }
    const std::size_t bytes = record.value.size();
    auto message = std::make_shared<SourceMessage>(std::move(record), signal->second, partition.generation,
                                                   this, partition.ledger);
    message->charged_bytes = bytes;
    message->cluster_id = shared_cluster_id_;
    budget_.charge(bytes);
    partition.ledger->add_held_bytes(static_cast<std::int64_t>(bytes));
    messages.push_back(std::move(message));
  }
  {
    const std::lock_guard lock(tasks_mutex_);
    for (std::shared_ptr<SourceMessage>& message : messages) {
      const std::string_view key = message->record.key;
      tasks_.put(key, std::move(message));
    }
  }
  tasks_ready_.notify_all();
}

void Consumer::take_completions() {
  std::vector<std::shared_ptr<SourceMessage>> done;
  {
    const std::lock_guard lock(done_mutex_);
    done.swap(done_);
  }
  for (const std::shared_ptr<SourceMessage>& message : done) {
    const auto at =
        partitions_.find(bus::TopicPartition{std::string(message->record.topic), message->record.partition});
    // The fence: a result from before a rebalance must not move the position of the new owner, or of ours
    // after the partition came back.
    if (at == partitions_.end() || at->second.generation != message->generation) {
      late_results_.add();
      continue;
    }
    at->second.progress.finish(message->record.offset, message->tally.counts());
  }
}

std::optional<bus::Commit> Consumer::commit_of(const bus::TopicPartition& name,
                                               const Partition& partition) const {
  std::optional<PartitionProgress::Commit> due = partition.progress.commit(cluster_id_, name.topic);
  return due.has_value() ? std::optional(bus::Commit{name, due->offset, std::move(due->metadata)})
                         : std::nullopt;
}

bool Consumer::commit(bool final) {
  if (final) {
    take_completions();
  }
  std::vector<bus::Commit> commits;
  for (const auto& [name, partition] : partitions_) {
    if (std::optional<bus::Commit> due = commit_of(name, partition)) {
      commits.push_back(std::move(*due));
    }
  }
  if (commits.empty()) {
    return true;
  }
  if (const Result<void> stored = consumer_->commit(commits); !stored) {
    commit_failures_.add();
    telemetry::log_warn("prepper", "a position was not stored, it is stored again later: {}",
                        stored.error().message());
    return false;
  }
  for (const bus::Commit& stored : commits) {
    partitions_.at(stored.partition).progress.stored();
  }
  return true;
}

// Pauses what must not be read on, resumes what may.
void Consumer::pace() {
  const bool over = budget_.paused() || stopping_ || resting_;
  std::vector<bus::TopicPartition> pause, resume;
  for (auto& [name, partition] : partitions_) {
    // Room for a whole poll, or records would be fetched that cannot be tracked.
    const bool full = partition.progress.tracker().size() + kPollRecordsMax > config_.messages_max;
    // Likewise its own share of the bytes, so that one stuck partition does not stop the others.
    const std::uint64_t most = config_.partition_bytes_max;
    const bool heavy = partition.ledger->held_bytes() >= (partition.paused ? most / 4 * 3 : most);
    const bool wanted = over || full || heavy;
    if (wanted != partition.paused) {
      partition.paused = wanted;
      (wanted ? pause : resume).push_back(name);
    }
  }
  const auto say = [](const Result<void>& done, std::string_view what) {
    if (!done) {
      telemetry::log_warn("prepper", "{} partitions: {}", what, done.error().message());
    }
  };
  if (!pause.empty()) {
    say(consumer_->pause(pause), "pausing");
  }
  if (!resume.empty()) {
    say(consumer_->resume(resume), "resuming");
  }
}

telemetry::Gauge Consumer::lag_gauge(const bus::TopicPartition& partition) {
  return registry_.gauge("naru_prepper_lag_messages", "Messages of a partition that were not consumed yet.",
                         {{"topic", partition.topic}, {"partition", std::to_string(partition.partition)}});
}

void Consumer::observe() {
  Progress now;
  const std::uint64_t clock = monotonic_now();
  for (const auto& [name, partition] : partitions_) {
    if (const std::optional<UnixNanos> oldest = partition.progress.tracker().oldest_unfinished()) {
      const double age = static_cast<double>(clock - *oldest) / static_cast<double>(kNanosPerSecond);
      now.oldest_unfinished_seconds = std::max(now.oldest_unfinished_seconds.value_or(0), age);
    }
  }
  std::map<bus::TopicPartition, std::int64_t> unread;
  for (const bus::Consumer::Progress& partition : consumer_->progress()) {
    const std::int64_t lag = std::max<std::int64_t>(partition.high - partition.position, 0);
    now.lag += lag;
    unread.emplace(partition.partition, lag);
    lag_gauge(partition.partition).set(static_cast<double>(lag));
  }
  registry_
      .gauge("naru_prepper_oldest_unfinished_seconds", "Age of the oldest consumed and unfinished message.",
             {{"pipeline", config_.pipeline}})
      .set(now.oldest_unfinished_seconds.value_or(0));
  bytes_held_.set(static_cast<double>(budget_.used()));
  ask_retention(clock);
  watch_retention(unread);
  const std::lock_guard lock(progress_mutex_);
  progress_.lag = now.lag;
  progress_.oldest_unfinished_seconds = now.oldest_unfinished_seconds;
}

void Consumer::ask_retention(std::uint64_t now) {
  if (now < retention_due_) {
    return;
  }
  retention_due_ = now + kRetentionEvery;
  for (const auto& [topic, signal] : signals_) {
    if (const Result<std::chrono::milliseconds> kept = bus_.retention(topic)) {
      retention_[topic] = *kept;
    } else {
      telemetry::log_warn("prepper", "no alarm before topic {} drops records, its retention is not known: {}",
                          topic, kept.error().message());
    }
  }
}

// An alarm long before the bus deletes what is not finished.
void Consumer::watch_retention(const std::map<bus::TopicPartition, std::int64_t>& lag) {
  const auto now_ms = static_cast<UnixMillis>(wall_now() / kNanosPerMilli);
  double worst = 0;
  bus::TopicPartition of;
  for (const auto& [name, partition] : partitions_) {
    const auto kept = retention_.find(name.topic);
    const auto behind = lag.find(name);
    std::optional<UnixMillis> oldest = partition.progress.tracker().oldest_timestamp_ms();
    if (!oldest && behind != lag.end() && behind->second > 0 && partition.newest_timestamp_ms > 0) {
      oldest = partition.newest_timestamp_ms;  // what comes next is hardly older
    }
    if (!oldest || kept == retention_.end()) {
      continue;
    }
    const double used = static_cast<double>(now_ms - *oldest) / static_cast<double>(kept->second.count());
    if (used > worst) {
      worst = used;
      of = name;
    }
  }
  retention_used_.set(worst);
  const bool alarm = worst >= kRetentionAlarm;
  std::string reason;
  if (alarm) {
    reason = fmt::format(
        "the oldest unfinished record of {}/{} has used {:.0f} % of the topic's retention: raise "
        "retention.ms, or find out what the prepper waits for, before the bus deletes it",
        of.topic, of.partition, worst * 100);
    if (const std::uint64_t now = monotonic_now();
        retention_logged_ == 0 || now - retention_logged_ > kLogEvery) {
      retention_logged_ = now;
      telemetry::log_error("prepper", "{}", reason);
    }
  }
  health_.set("prepper retention" + suffix_of(config_), !alarm, reason);
}

Consumer::Progress Consumer::progress() const {
  const std::lock_guard lock(progress_mutex_);
  Progress out = progress_;
  out.records = records_.load(std::memory_order_relaxed);
  out.in_flight = in_flight_.load(std::memory_order_relaxed);
  out.bytes_held = budget_.used();
  return out;
}

// Positions outside the log are the bus's business: it holds the partition, or goes on by declared policy.
void Consumer::on_assigned(std::span<bus::Assignment> partitions) {
  for (const bus::Assignment& assignment : partitions) {
    const bus::TopicPartition& name = assignment.partition;
    PartitionProgress::Restored restored;
    if (assignment.committed.has_value() && !assignment.metadata.empty()) {
      if (auto told = PartitionProgress::read(
              assignment.metadata, {cluster_id_, name.topic, *assignment.committed}, assignment.high)) {
        restored = std::move(*told);
      } else {
        metadata_ignored_.add();
        telemetry::log_warn("prepper",
                            "the metadata committed with offset {} of {}/{} belongs to another cluster or "
                            "topic, or is damaged: "
                            "it is ignored, so records above that offset may be written again (with the same "
                            "ids) and the ledger "
                            "of the partition begins at zero",
                            *assignment.committed, name.topic, name.partition);
      }
    }
    const auto signal = signals_.find(name.topic);
    auto ledger = std::make_shared<PartitionLedger>(restored.counts);
    LedgerSeries series(registry_, ledger,
                        std::string(signal == signals_.end() ? "" : otlp::to_string(signal->second)),
                        config_.pipeline, name.topic, name.partition);
    partitions_.erase(name);
    partitions_.emplace(name, Partition{.generation = ++generations_,
                                        .progress = PartitionProgress(config_.messages_max, assignment.start,
                                                                      std::move(restored)),
                                        .ledger = std::move(ledger),
                                        .series = std::move(series)});
  }
}

// They never came in, so that each is one record taken in and lost. How many records they held nobody knows.
void Consumer::on_lost(const bus::TopicPartition& name, std::uint64_t records, std::int64_t next) {
  const auto at = partitions_.find(name);
  if (at == partitions_.end()) {
    return;
  }
  at->second.progress.pass_gap(records, next);
  at->second.ledger->add(Stage::kPrepper, Fate::kAccepted, records);
  at->second.ledger->add(Stage::kPrepper, Fate::kLost, records);
}

void Consumer::on_revoked(std::span<const bus::TopicPartition> partitions, bool lost) {
  take_completions();
  for (const bus::TopicPartition& name : partitions) {
    const auto at = partitions_.find(name);
    if (at == partitions_.end()) {
      continue;
    }
    if (!lost && consumer_ != nullptr) {
      if (const std::optional<bus::Commit> due = commit_of(name, at->second)) {
        if (const Result<void> stored = consumer_->commit({&*due, 1}); !stored) {
          commit_failures_.add();
        }
      }
    }
    partitions_.erase(at);
    lag_gauge(name).set(0);
  }
}

}  // namespace naru::prepper
