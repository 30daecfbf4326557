#include "collector/buffer/buffer.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/otlp/rewrite.h"
#include "core/telemetry/log.h"

namespace naru::collector {
namespace {

constexpr std::string_view kComponent = "collector";
constexpr const char* kDependency = "bus";
constexpr std::chrono::milliseconds kHousekeepingPause{100};
constexpr std::uint64_t kAwayLogPauseNs = 30 * kNanosPerSecond;
constexpr std::uint64_t kLookUpPauseNs = kNanosPerSecond;
constexpr std::uint64_t kLookUpFreshNs = 60 * kNanosPerSecond;
constexpr std::chrono::milliseconds kFirstLookUpWait{2'000};
constexpr std::chrono::milliseconds kBreakerMax{5'000};

double seconds_since(std::uint64_t start_ns) {
  return static_cast<double>(monotonic_now() - start_ns) / static_cast<double>(kNanosPerSecond);
}

std::size_t index_of(otlp::Signal signal) {
  return static_cast<std::size_t>(signal);
}

}  // namespace

struct Buffer::Request {
  otlp::Signal signal;
  Role role;
  UnixMillis received_ms;
  std::uint64_t records;
  std::string kept;  // the identified request, where it may have to be spilled
  std::uint64_t started_ns = 0;
  std::list<RequestPtr>::iterator place;

  std::mutex mutex;
  std::size_t waiting = 0;  // values without an answer
  std::optional<Error> error;
  Completion done;  // empty: answered
};

Buffer::Buffer(const CollectorConfig& config, bus::Bus& bus, telemetry::Registry& registry,
               telemetry::Health& health, spool::FileSystem& files)
    : config_(config),
      bus_(bus),
      registry_(registry),
      health_(health),
      files_(files),
      spilled_(
          registry.counter("naru_collector_spilled_requests_total", "Requests that went through the spill.")),
      cut_records_(
          registry.counter("naru_collector_truncated_records_total",
                           "Records shortened because one alone was over the size of a Kafka value.")),
      refused_(registry.counter("naru_collector_undelivered_requests_total",
                                "Requests whose senders were asked to send them again.")),
      breaker_({1, config.retry_after, std::max(kBreakerMax, config.retry_after)}) {
  for (const otlp::Signal signal : otlp::kSignals) {
    ledgers_.emplace_back(registry, "collector", std::string(otlp::to_string(signal)), "default");
  }
}

Buffer::~Buffer() {
  stop(std::chrono::milliseconds(0));
}

Result<void> Buffer::start() {
  NARU_TRY(producer_, bus_.producer());
  if (!config_.spill.directory.empty()) {
    NARU_TRY(spill_, Spill::open(files_, config_.spill, [this](otlp::Signal signal, std::uint64_t records) {
               ledger(signal).accepted.add(records);
               ledger(signal).in_flight.add(static_cast<double>(records));
             }));
    tokens_.push_back(registry_.sampled_gauge("naru_collector_spill_bytes", "Bytes of the spill's segments.",
                                              {}, [this] { return static_cast<double>(spill_->bytes()); }));
    tokens_.push_back(registry_.sampled_gauge("naru_collector_spill_requests",
                                              "Requests that wait in the spill.", {},
                                              [this] { return static_cast<double>(spill_->requests()); }));
  }
  tokens_.push_back(registry_.sampled_gauge("naru_collector_oldest_request_seconds",
                                            "Age of the oldest request that is not durable yet.", {},
                                            [this] { return oldest_age().value_or(0); }));
  tokens_.push_back(health_.watch_age("collector", std::chrono::duration<double>(config_.stall_limit).count(),
                                      [this] { return oldest_age(); }));
  health_.set_dependency(kDependency, false, "has not answered yet");
  thread_ = std::thread([this] { housekeeping(); });
  {
    // So that the first requests do not meet an unknown topic; a bus that is away is waited for later.
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kFirstLookUpWait, [this] { return looked_up_; });
  }
  if (spill_ != nullptr) {
    spill_->start([this](auto requests, const auto& stop) { return deliver_spilled(requests, stop); },
                  [this](otlp::Signal signal, std::uint64_t records, bool delivered) {
                    ledger(signal).in_flight.add(-static_cast<double>(records));
                    (delivered ? ledger(signal).delivered : ledger(signal).lost).add(records);
                    if (delivered) {
                      delivered_ += records;
                    }
                  });
  }
  return {};
}

void Buffer::stop(std::chrono::milliseconds drain) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, drain, [this] { return in_flight_.empty(); });
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
  if (spill_ != nullptr) {
    spill_->stop();
  }
  tokens_.clear();
  producer_.reset();  // answers what is left; may still spill
  spill_.reset();
}

Buffer::Progress Buffer::progress() const {
  Progress out;
  {
    const std::scoped_lock lock(mutex_);
    out.requests_in_flight = in_flight_.size();
  }
  out.spilled_requests = spill_ == nullptr ? 0 : spill_->requests();
  out.records_delivered = delivered_;
  return out;
}

std::optional<double> Buffer::oldest_age() const {
  const std::scoped_lock lock(mutex_);
  if (in_flight_.empty()) {
    return std::nullopt;
  }
  return seconds_since(in_flight_.front()->started_ns);
}

// --- the bus, up or down

bool Buffer::bus_open() {
  const std::scoped_lock lock(bus_mutex_);
  return breaker_.allow(monotonic_now());
}

void Buffer::report_bus(const Result<void>& outcome) {
  bool changed = false;
  {
    const std::scoped_lock lock(bus_mutex_);
    if (outcome) {
      changed = !bus_reason_.empty();
      bus_reason_.clear();
      breaker_.success();
    } else if (outcome.error().code() != ErrorCode::kOverloaded ||
               breaker_.state() != flow::CircuitBreaker::State::kClosed) {
      changed = bus_reason_.empty();
      bus_reason_ = outcome.error().message();
      breaker_.failure(monotonic_now());
    }
  }
  if (changed) {
    health_.set_dependency(kDependency, outcome.has_value(), outcome ? "" : outcome.error().message());
    if (outcome) {
      telemetry::log_info(kComponent, "the bus takes records again");
    } else {
      log_bus_away();
    }
  }
}

void Buffer::log_bus_away() {
  const std::scoped_lock lock(bus_mutex_);
  const std::uint64_t now = monotonic_now();
  if (!bus_reason_.empty() && now >= next_away_log_ns_) {
    next_away_log_ns_ = now + kAwayLogPauseNs;
    telemetry::log_warn(kComponent, "the bus does not take records, senders wait or are spilled: {}",
                        bus_reason_);
  }
}

// --- a request

void Buffer::submit(Submission submission, Completion done) {
  if (submission.records == 0) {
    done({});
    return;
  }
  auto request = std::make_shared<Request>();
  request->signal = submission.signal;
  request->role = submission.role;
  request->received_ms = submission.received_ms;
  request->records = submission.records;
  request->done = std::move(done);
  request->started_ns = monotonic_now();
  {
    const std::scoped_lock lock(mutex_);
    request->place = in_flight_.insert(in_flight_.end(), request);
  }
  if (may_spill(*request)) {
    request->kept = submission.request;
  }
  auto records = to_records(submission.signal, submission.received_ms, std::move(submission.request),
                            submission.records);
  if (!records) {
    answer(request, fail(records.error()));
    return;
  }
  // Behind what waits already, so that the order of a sender stays.
  if (may_spill(*request) && spill_->requests() > 0) {
    spill(request);
    return;
  }
  if (records->empty()) {
    answer(request, fail(ErrorCode::kUnavailable, "the topics of the bus are not known yet; send again"));
    return;
  }
  if (!bus_open()) {
    answer(request, fail(ErrorCode::kUnavailable, "the bus is away; send again"));
    return;
  }
  produce(request, std::move(*records));
}

// Empty: the number of partitions is not known.
Result<std::vector<bus::OutRecord>> Buffer::to_records(otlp::Signal signal, UnixMillis received_ms,
                                                       std::string request, std::uint64_t records) {
  const std::int32_t partitions = partitions_[index_of(signal)];
  otlp::RegroupOptions options;
  options.signal = signal;
  options.partitions = std::max(partitions, 1);
  options.value_bytes_max = config_.value_bytes_max;
  NARU_TRY(otlp::Regrouped regrouped, otlp::regroup(options, std::move(request), records));
  std::vector<bus::OutRecord> out;
  if (partitions == 0) {
    return out;
  }
  if (regrouped.cut_records > 0) {
    cut_records_.add(regrouped.cut_records);
  }
  for (otlp::PartitionValue& value : regrouped.values) {
    bus::OutRecord record;
    record.topic = config_.topics.of(signal);
    record.partition = value.partition;
    record.key = std::move(value.key);
    record.value = std::move(value.value);
    record.timestamp_ms = received_ms;
    out.push_back(std::move(record));
  }
  return out;
}

void Buffer::produce(const RequestPtr& request, std::vector<bus::OutRecord> records) {
  request->waiting = records.size() + 1;  // one for this loop
  for (bus::OutRecord& record : records) {
    auto sent =
        producer_->send(record, [this, request](Result<bus::Position> outcome) { settle(request, outcome); });
    if (!sent) {
      settle(request, fail(sent.error()));
    }
  }
  settle(request, bus::Position{});
}

void Buffer::settle(const RequestPtr& request, const Result<bus::Position>& outcome) {
  {
    const std::scoped_lock lock(request->mutex);
    if (!outcome && !request->error) {
      request->error = outcome.error();
    }
    if (--request->waiting > 0) {
      return;
    }
  }
  finish(request);
}

void Buffer::finish(const RequestPtr& request) {
  if (!request->error) {
    report_bus({});
    answer(request, {});
    return;
  }
  report_bus(fail(*request->error));
  answer(request, fail(ErrorCode::kUnavailable, "not durable yet, send again: " + request->error->message()));
}

bool Buffer::may_spill(const Request& request) const {
  return spill_ != nullptr && request.role == Role::kClient;
}

// The one place where a request ends without the disk. An outcome that comes later than the first changes
// nothing.
void Buffer::answer(const RequestPtr& request, Result<void> outcome) {
  const bool own_fault = !outcome && (outcome.error().code() == ErrorCode::kInvalidArgument ||
                                      outcome.error().code() == ErrorCode::kTooLarge);
  if (!outcome && !own_fault && may_spill(*request)) {
    spill(request);
    return;
  }
  Completion done;
  {
    const std::scoped_lock lock(request->mutex);
    if (!request->done) {
      return;
    }
    done = std::exchange(request->done, nullptr);
    request->kept.clear();
  }
  if (outcome) {
    ledger(request->signal).accepted.add(request->records);
    ledger(request->signal).delivered.add(request->records);
    delivered_ += request->records;
  } else {
    refused_.add();
  }
  done(std::move(outcome));
  {
    const std::scoped_lock lock(mutex_);
    in_flight_.erase(request->place);
  }
  changed_.notify_all();
}

// Answers when the request is on disk. Once it is handed over, the bus may still take it too; identities
// make that one record.
void Buffer::spill(const RequestPtr& request) {
  std::string bytes;
  {
    const std::scoped_lock lock(request->mutex);
    if (!request->done || request->kept.empty()) {
      return;  // answered, or on its way to the disk
    }
    bytes = std::move(request->kept);
    request->kept.clear();
  }
  const auto finished = [this, request](Result<void> outcome) {
    Completion done;
    {
      const std::scoped_lock lock(request->mutex);
      done = std::exchange(request->done, nullptr);
    }
    if (!done) {  // the bus was faster
      if (outcome) {
        ledger(request->signal).created.add(request->records);
        ledger(request->signal).in_flight.add(static_cast<double>(request->records));
      }
      return;
    }
    if (outcome) {
      spilled_.add();
      ledger(request->signal).accepted.add(request->records);
      ledger(request->signal).in_flight.add(static_cast<double>(request->records));
    } else {
      refused_.add();
      outcome =
          fail(ErrorCode::kUnavailable,
               "neither the bus nor the spill takes records now, send again: " + outcome.error().message());
    }
    done(std::move(outcome));
    {
      const std::scoped_lock lock(mutex_);
      in_flight_.erase(request->place);
    }
    changed_.notify_all();
  };
  if (auto taken = spill_->append(request->signal, request->received_ms, request->records, bytes, finished);
      !taken) {
    finished(fail(taken.error()));
  }
}

// --- the spill's way back

Result<void> Buffer::deliver_spilled(std::span<const SpilledRequest> requests,
                                     const std::atomic<bool>& stop) {
  struct Outcome {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t waiting = 0;
    std::optional<Error> error;
  };
  const auto outcome = std::make_shared<Outcome>();
  const auto settle_one = [outcome](const Result<bus::Position>& result) {
    {
      const std::scoped_lock lock(outcome->mutex);
      --outcome->waiting;
      if (!result && !outcome->error) {
        outcome->error = result.error();
      }
    }
    outcome->changed.notify_all();
  };
  Result<void> sent;
  for (const SpilledRequest& request : requests) {
    auto records =
        to_records(request.signal, request.received_ms, std::string(request.request), request.records);
    if (records && records->empty()) {
      records = fail(ErrorCode::kUnavailable, "the topics of the bus are not known yet");
    }
    if (!records) {
      sent = fail(records.error());
      break;
    }
    for (bus::OutRecord& record : *records) {
      {
        const std::scoped_lock lock(outcome->mutex);
        ++outcome->waiting;
      }
      sent = producer_->send(record, settle_one);
      if (!sent) {
        const std::scoped_lock lock(outcome->mutex);
        --outcome->waiting;
        break;
      }
    }
    if (!sent) {
      break;
    }
  }
  std::unique_lock lock(outcome->mutex);
  // The bus answers every record within its own delivery time; a stop does not wait for it.
  while (outcome->waiting > 0 && !stop) {
    outcome->changed.wait_for(lock, kHousekeepingPause);
  }
  if (sent && outcome->waiting > 0) {
    return fail(ErrorCode::kCancelled, "stopped while draining");
  }
  if (outcome->error) {
    sent = fail(*outcome->error);
  }
  lock.unlock();
  report_bus(sent);
  return sent;
}

// --- background

void Buffer::housekeeping() {
  std::uint64_t next_look_up = 0;
  while (true) {
    const std::uint64_t now = monotonic_now();
    if (now >= next_look_up) {
      look_up_partitions();
      const bool known = std::ranges::all_of(partitions_, [](const auto& count) { return count > 0; });
      next_look_up = monotonic_now() + (known ? kLookUpFreshNs : kLookUpPauseNs);
    }
    expire_waiting();
    log_bus_away();
    std::unique_lock lock(mutex_);
    if (!looked_up_) {
      looked_up_ = true;
      changed_.notify_all();
    }
    if (stop_) {
      return;
    }
    changed_.wait_for(lock, kHousekeepingPause, [this] { return stop_; });
    if (stop_) {
      return;
    }
  }
}

void Buffer::look_up_partitions() {
  for (const otlp::Signal signal : otlp::kSignals) {
    const std::string& topic = config_.topics.of(signal);
    const auto count = producer_->partition_count(topic);
    const bool known = partitions_[index_of(signal)] > 0;
    if (count) {
      partitions_[index_of(signal)] = *count;
      health_.set("topic " + topic, true);
    } else if (!known) {
      health_.set("topic " + topic, false, count.error().message());
      telemetry::log(telemetry::LogLevel::kDebug, kComponent, "topic {}: {}", topic, count.error().message());
      if (disposition(count.error().code()) == Disposition::kRetry) {
        report_bus(fail(count.error()));
      }
      return;  // the others would wait as long
    }
  }
  const std::scoped_lock lock(bus_mutex_);
  if (bus_reason_.empty()) {
    health_.set_dependency(kDependency, true);
  }
}

// What the bus has not taken for a while goes to disk, or back to its sender.
void Buffer::expire_waiting() {
  const auto nanos = [](std::chrono::milliseconds limit) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(limit).count());
  };
  const std::uint64_t now = monotonic_now();
  std::vector<RequestPtr> due;
  {
    const std::scoped_lock lock(mutex_);
    for (const RequestPtr& request : in_flight_) {
      if (now - request->started_ns >=
          nanos(may_spill(*request) ? config_.spill.after : config_.answer_within)) {
        due.push_back(request);
      }
    }
  }
  for (const RequestPtr& request : due) {
    if (may_spill(*request)) {
      spill(request);
      continue;
    }
    const Error error(ErrorCode::kTimeout,
                      fmt::format("not acknowledged within {} ms", config_.answer_within.count()));
    report_bus(fail(error));
    answer(request, fail(ErrorCode::kUnavailable, "not durable yet, send again: " + error.message()));
  }
}

}  // namespace naru::collector
