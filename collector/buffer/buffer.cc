#include "collector/buffer/buffer.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/fault_point.h"
#include "core/base/hash.h"
#include "core/bus/dead_letter.h"
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

bool is_own_fault(ErrorCode code) {
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kTooLarge;
}

// No output has been chosen, so there is no _id: the hash of the letter, so that a repeat has the same key.
std::string letter_key(std::string_view value) {
  const Hash128 hash = xxh3_128(value);
  unsigned char bytes[sizeof(hash)];
  std::ranges::copy(hash, bytes);
  std::string out(kId22Size, '\0');
  write_id22(bytes, out.data());
  return out;
}

}  // namespace

// One bus record, and how many log records, points or spans it holds.
struct Buffer::Value {
  bus::OutRecord record;
  std::uint64_t records = 0;
  bool letter = false;  // a dead letter
};

struct Buffer::Values {
  std::vector<Value> values;     // empty: the number of partitions is not known
  std::vector<RoutingKey> keys;  // of clients
};

// What waits for the answers of the values of one request.
struct Buffer::Sending {
  explicit Sending(otlp::Signal of) : signal(of) {}
  const otlp::Signal signal;
  std::mutex mutex;
  std::size_t waiting = 1;  // values without an answer, and whoever is sending them
  Outcome outcome;
  std::optional<Error> error;  // the first
  std::move_only_function<void(Result<Outcome>)> done;
};

struct Buffer::Request {
  otlp::Signal signal;
  Role role;
  UnixMillis received_ms;
  std::uint64_t records;
  std::uint64_t started_ns = 0;
  std::string kept;              // the identified request, where it may have to be spilled
  std::vector<RoutingKey> keys;  // likewise
  std::list<RequestPtr>::iterator place;

  std::mutex mutex;
  enum class State : std::uint8_t {
    kSent,      // the bus will answer
    kSpilling,  // the disk will answer
    kEnded,     // accepted or refused
  } state = State::kSent;
  bool bus_asked = false;                        // its values are with the bus
  bool bus_answered = false;                     // about all of them
  std::optional<Outcome> bus_outcome;            // all of it is on the bus
  std::shared_ptr<std::atomic<bool>> under_way;  // told to the spill: the bus may still take it
  std::optional<std::uint64_t> spill_offset;     // it is on the disk
  Completion done;                               // empty: answered
};

Buffer::Buffer(const CollectorConfig& config, bus::Bus& bus, telemetry::Registry& registry,
               telemetry::Health& health, spool::FileSystem& files)
    : config_(config),
      bus_(bus),
      registry_(registry),
      health_(health),
      files_(files),
      ledger_(registry),
      spilled_(
          registry.counter("naru_collector_spilled_requests_total", "Requests that went through the spill.")),
      cut_records_(
          registry.counter("naru_collector_truncated_records_total",
                           "Records shortened because one alone was over the size of a Kafka value.")),
      refused_(registry.counter("naru_collector_undelivered_requests_total",
                                "Requests whose senders were asked to send them again.")),
      halved_(registry.counter("naru_collector_halved_values_total",
                               "Values cut into halves because the bus refused them as too large.")),
      breaker_({1, config.retry_after, std::max(kBreakerMax, config.retry_after)}) {}

Buffer::~Buffer() {
  stop(std::chrono::milliseconds(0));
}

Result<void> Buffer::start() {
  NARU_TRY(producer_, bus_.producer());
  sender_ = producer_.get();
  if (!config_.spill.directory.empty()) {
    NARU_TRY(spill_, Spill::open(files_, config_.spill, ledger_, registry_));
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
    spill_->start([this](auto requests, const auto& stop) { return deliver_spilled(requests, stop); });
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
  ending_ = true;
  producer_.reset();  // answers what is left; may still spill
  if (spill_ != nullptr) {
    spill_->close();
  }
}

Buffer::Progress Buffer::progress() const {
  Progress out;
  {
    const std::scoped_lock lock(mutex_);
    out.requests_in_flight = in_flight_.size();
  }
  out.spilled_requests = spill_ == nullptr ? 0 : spill_->requests();
  out.records_delivered = ledger_.delivered_here();
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

// With the cause: a full disk of the embedded bus is mended by the person who reads it at the sender's end.
Error Buffer::bus_away() {
  const std::scoped_lock lock(bus_mutex_);
  return Error(ErrorCode::kUnavailable, "the bus takes no records now, send again: " + bus_reason_);
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
  if (may_spill(*request)) {
    request->kept = submission.request;
  }
  auto values = to_values(submission.signal, submission.role, submission.received_ms,
                          std::move(submission.request), submission.records);
  {
    const std::scoped_lock lock(mutex_);
    request->place = in_flight_.insert(in_flight_.end(), request);
  }
  if (!values) {
    refuse(request, values.error());
    return;
  }
  if (may_spill(*request)) {
    const std::scoped_lock lock(request->mutex);
    request->keys = std::move(values->keys);
  }
  // Behind what waits already, so that the order of a sender stays.
  if (may_spill(*request) && spill_->holds(request->keys)) {
    spill(request);
    return;
  }
  if (values->values.empty()) {
    spill_or_refuse(request,
                    Error(ErrorCode::kUnavailable, "the topics of the bus are not known yet; send again"));
    return;
  }
  if (!bus_open()) {
    spill_or_refuse(request, bus_away());
    return;
  }
  forget_one_for_test(request->signal, values->values);
  {
    const std::scoped_lock lock(request->mutex);
    request->bus_asked = true;
  }
  const auto sending = std::make_shared<Sending>(request->signal);
  sending->done = [this, request](Result<Outcome> outcome) { finish(request, outcome); };
  send_all(sending, std::move(values->values));
}

// The fault point of the ledger's test: one record that vanishes between admission and the bus.
void Buffer::forget_one_for_test(otlp::Signal signal, std::vector<Value>& values) const {
  if (values.empty() || !fault_point("collector.drop_record")) {
    return;
  }
  std::vector<Value> left = cut(signal, values.front(), 1);
  left.erase(left.begin());
  left.insert(left.end(), std::move_iterator(values.begin() + 1), std::move_iterator(values.end()));
  values = std::move(left);
}

Result<Buffer::Values> Buffer::to_values(otlp::Signal signal, Role role, UnixMillis received_ms,
                                         std::string request, std::uint64_t records) {
  const std::int32_t partitions = partitions_[index_of(signal)];
  otlp::RegroupOptions options;
  options.signal = signal;
  options.partitions = std::max(partitions, 1);
  options.value_bytes_max = config_.value_bytes_max;
  options.want_keys = role == Role::kClient;
  NARU_TRY(otlp::Regrouped regrouped, otlp::regroup(options, std::move(request), records));
  Values out;
  out.keys.reserve(regrouped.keys.size());
  for (const Hash128& key : regrouped.keys) {
    out.keys.push_back(routing_key(signal, key));
  }
  if (partitions == 0) {
    return out;
  }
  if (regrouped.cut_records > 0) {
    cut_records_.add(regrouped.cut_records);
  }
  for (otlp::PartitionValue& part : regrouped.values) {
    Value value;
    value.record.topic = config_.topics.of(signal);
    value.record.partition = part.partition;
    value.record.key = std::move(part.key);
    value.record.value = std::move(part.value);
    value.record.timestamp_ms = received_ms;
    value.records = part.records;
    out.values.push_back(std::move(value));
  }
  return out;
}

// The bus has answered every value.
void Buffer::finish(const RequestPtr& request, const Result<Outcome>& outcome) {
  report_bus(outcome ? Result<void>{} : fail(outcome.error()));
  Completion done;
  bool settled = false;
  std::optional<std::uint64_t> on_disk;
  {
    const std::scoped_lock lock(request->mutex);
    request->bus_answered = true;
    on_disk = request->spill_offset;
    if (outcome) {
      request->bus_outcome = *outcome;
      done = std::exchange(request->done, nullptr);
      // While the disk is writing it, spilled() counts it: only then is known where it ends up.
      settled = request->state == Request::State::kSent;
      if (settled) {
        request->state = Request::State::kEnded;
        request->kept.clear();
      }
    }
  }
  if (settled) {
    ledger_.settled(request->signal, request->records, *outcome);
  }
  if (on_disk) {
    leave_to_spill(request, *on_disk);
  }
  if (done) {
    answer(request, std::move(done), {});
  }
  if (!outcome) {
    spill_or_refuse(request, outcome.error().with_context("not durable yet, send again"));
  }
}

// Bus and disk have answered: the spill drains the request, unless the bus has it.
void Buffer::leave_to_spill(const RequestPtr& request, std::uint64_t offset) {
  if (request->bus_outcome) {
    spill_->finished_elsewhere(offset, *request->bus_outcome, request->keys);
  }
  if (request->under_way != nullptr) {
    *request->under_way = false;
    spill_->recheck();
  }
}

bool Buffer::may_spill(const Request& request) const {
  return spill_ != nullptr && request.role == Role::kClient;
}

void Buffer::spill_or_refuse(const RequestPtr& request, Error error) {
  if (may_spill(*request)) {
    spill(request);
  } else {
    refuse(request, std::move(error));
  }
}

// Hands the request to the disk, whose answer counts from then on. The bus may still take it too; identities
// make that one record, and the spill leaves it out when it hears of it in time.
void Buffer::spill(const RequestPtr& request) {
  std::string bytes;
  {
    const std::scoped_lock lock(request->mutex);
    if (request->state != Request::State::kSent) {
      return;
    }
    request->state = Request::State::kSpilling;
    bytes = std::move(request->kept);
    if (request->bus_asked && !request->bus_answered) {
      request->under_way = std::make_shared<std::atomic<bool>>(true);
    }
  }
  const auto taken = spill_->append(
      request->signal, request->received_ms, request->records, bytes, request->keys, request->under_way,
      [this, request](Result<std::uint64_t> offset) { spilled(request, offset); });
  if (!taken) {
    spilled(request, fail(taken.error()));
  }
}

// The disk has answered.
void Buffer::spilled(const RequestPtr& request, const Result<std::uint64_t>& offset) {
  Completion done;
  std::optional<Outcome> bus_outcome;
  bool bus_silent = false;
  {
    const std::scoped_lock lock(request->mutex);
    request->state = Request::State::kEnded;
    bus_outcome = request->bus_outcome;
    bus_silent = request->bus_asked && !request->bus_answered;  // then finish() goes on
    done = std::exchange(request->done, nullptr);
    if (offset) {
      request->spill_offset = *offset;
    }
  }
  if (offset) {
    spilled_.add();
    if (!bus_silent) {
      leave_to_spill(request, *offset);
    }
  } else if (bus_outcome) {
    ledger_.settled(request->signal, request->records, *bus_outcome);
  } else {
    refused_.add();
  }
  if (done) {
    answer(request, std::move(done),
           offset ? Result<void>{}
                  : fail(ErrorCode::kUnavailable,
                         "neither the bus nor the spill takes records now, send again: " +
                             offset.error().message()));
  }
}

void Buffer::refuse(const RequestPtr& request, Error error) {
  Completion done;
  {
    const std::scoped_lock lock(request->mutex);
    if (request->state != Request::State::kSent) {
      return;
    }
    request->state = Request::State::kEnded;
    request->kept.clear();
    done = std::exchange(request->done, nullptr);
  }
  refused_.add();
  const bool own_fault = is_own_fault(error.code());
  answer(request, std::move(done),
         own_fault ? fail(std::move(error)) : fail(ErrorCode::kUnavailable, error.message()));
}

// The one place where a sender is answered.
void Buffer::answer(const RequestPtr& request, Completion done, Result<void> outcome) {
  done(std::move(outcome));
  {
    const std::scoped_lock lock(mutex_);
    in_flight_.erase(request->place);
  }
  changed_.notify_all();
}

// --- values on their way to the bus

// Sends in order and stops at the first value that the bus does not even take. False: there was one. The
// caller's own hold on `sending` ends here.
bool Buffer::send_all(const SendingPtr& sending, std::vector<Value> values) {
  {
    const std::scoped_lock lock(sending->mutex);
    sending->waiting += values.size();
  }
  std::size_t sent = 0;
  bool taken = true;
  while (taken && sent < values.size()) {
    taken = send(sending, std::move(values[sent]));
    ++sent;
  }
  {
    const std::scoped_lock lock(sending->mutex);
    sending->waiting -= values.size() - sent;
  }
  settle(sending, Outcome{});
  return taken;
}

bool Buffer::send(const SendingPtr& sending, Value value) {
  if (ending_) {
    settle(sending, fail(ErrorCode::kCancelled, "the collector stops"));
    return false;
  }
  struct Sent {
    SendingPtr sending;
    Value value;  // its record is with the bus until it comes back
  };
  const auto sent = std::make_shared<Sent>(sending, Value{{}, value.records, value.letter});
  value.record.returned = &sent->value.record;
  const auto taken = sender_->send(value.record, [this, sent](Result<bus::Position> position) {
    if (position) {
      const std::uint64_t records = sent->value.records;
      settle(sent->sending, sent->value.letter ? Outcome{.delivered = 0, .deadlettered = records, .lost = 0}
                                               : Outcome{.delivered = records, .deadlettered = 0, .lost = 0});
    } else if (is_own_fault(position.error().code()) && !sent->value.record.topic.empty()) {
      send_again(sent->sending, std::move(sent->value), position.error());
    } else {
      settle(sent->sending, fail(position.error()));
    }
  });
  if (taken) {
    return true;
  }
  if (is_own_fault(taken.error().code())) {
    return send_again(sending, std::move(value), taken.error());
  }
  settle(sending, fail(taken.error()));
  return false;
}

// The bus will never take the value as it is.
bool Buffer::send_again(const SendingPtr& sending, Value value, const Error& refusal) {
  if (value.letter) {
    telemetry::log_error(kComponent,
                         "{} records are lost: the bus refuses them, and their dead letter too: {}",
                         value.records, refusal.message());
    settle(sending, Outcome{.delivered = 0, .deadlettered = 0, .lost = value.records});
    return true;
  }
  std::vector<Value> parts;
  if (refusal.code() == ErrorCode::kTooLarge && value.records > 1) {
    parts = cut(sending->signal, value, value.record.value.size() / 2);
  }
  if (parts.size() > 1) {
    halved_.add();
  } else {
    parts = letters(sending->signal, value, refusal);
    const std::uint64_t now = monotonic_now();
    std::uint64_t next = next_refusal_log_ns_;
    if (now >= next && next_refusal_log_ns_.compare_exchange_strong(next, now + kAwayLogPauseNs)) {
      telemetry::log_warn(kComponent, "{} records become dead letters on {}: {}", value.records,
                          config_.topics.dead_letters, refusal.message());
    }
  }
  return send_all(sending, std::move(parts));
}

// Into values of at most `bytes_max`, except where a single record (of a metric: with all its points) is
// larger. The value itself when its records cannot be told apart.
std::vector<Buffer::Value> Buffer::cut(otlp::Signal signal, const Value& value, std::size_t bytes_max) {
  otlp::RegroupOptions options;
  options.signal = signal;
  options.value_bytes_max = bytes_max;
  options.shorten = false;
  auto regrouped = otlp::regroup(options, value.record.value, value.records);
  std::vector<Value> out;
  if (!regrouped) {
    out.push_back(value);
    return out;
  }
  for (otlp::PartitionValue& part : regrouped->values) {
    Value piece;
    piece.record.topic = value.record.topic;
    piece.record.partition = value.record.partition;
    piece.record.key = std::move(part.key);
    piece.record.value = std::move(part.value);
    piece.record.timestamp_ms = value.record.timestamp_ms;
    piece.records = part.records;
    out.push_back(std::move(piece));
  }
  return out;
}

// One for each record.
std::vector<Buffer::Value> Buffer::letters(otlp::Signal signal, const Value& value,
                                           const Error& refusal) const {
  const UnixNanos now = wall_now();
  bus::DeadLetterHead head;
  head.kind = otlp::to_string(signal);
  const bool too_large = refusal.code() == ErrorCode::kTooLarge;
  head.type = too_large ? "value_too_large" : "value_refused";
  head.reason = refusal.message();
  head.status = too_large ? 413 : 400;
  head.attempts = 1;
  head.source = fmt::format("{}/{}/-1", value.record.topic, value.record.partition);
  head.first_failed_at = head.failed_at = now;
  head.pipeline = "default";
  std::vector<Value> out = cut(signal, value, 1);
  for (Value& letter : out) {
    letter.record.topic = config_.topics.dead_letters;
    letter.record.partition = bus::kPartitionByKey;
    letter.record.key = letter_key(letter.record.value);
    letter.record.headers = bus::dead_letter_headers(head);
    letter.letter = true;
  }
  return out;
}

void Buffer::settle(const SendingPtr& sending, const Result<Outcome>& outcome) {
  Result<Outcome> all;
  {
    const std::scoped_lock lock(sending->mutex);
    if (outcome) {
      sending->outcome += *outcome;
    } else if (!sending->error) {
      sending->error = outcome.error();
    }
    if (--sending->waiting > 0) {
      return;
    }
    all = sending->error ? Result<Outcome>(fail(*sending->error)) : sending->outcome;
  }
  sending->done(std::move(all));
}

// --- the spill's way back

Result<void> Buffer::deliver_spilled(std::span<Draining*> requests, const std::atomic<bool>& stop) {
  struct Round {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::optional<Result<Outcome>>> answers;
    std::size_t waiting = 0;
    bool failed = false;
  };
  const auto round = std::make_shared<Round>();
  round->answers.resize(requests.size());
  Result<void> result;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Draining& entry = *requests[i];
    const SpilledRequest& request = entry.request;
    auto values = to_values(request.signal, Role::kClient, request.received_ms, std::string(request.request),
                            request.records);
    if (values) {
      entry.keys = values->keys;
    } else {
      // It could be cut when it was taken in; the limit is another one today.
      Value whole;
      whole.record.topic = config_.topics.of(request.signal);
      whole.record.value = request.request;
      whole.record.timestamp_ms = request.received_ms;
      whole.records = request.records;
      values = Values{letters(request.signal, whole, values.error()), {}};
    }
    if (values->values.empty()) {
      result = fail(ErrorCode::kUnavailable, "the topics of the bus are not known yet");
      break;
    }
    forget_one_for_test(request.signal, values->values);
    {
      const std::scoped_lock lock(round->mutex);
      if (round->failed) {
        break;  // what comes behind must not overtake it
      }
      ++round->waiting;
    }
    const auto sending = std::make_shared<Sending>(request.signal);
    sending->done = [round, i](Result<Outcome> outcome) {
      {
        const std::scoped_lock lock(round->mutex);
        round->failed = round->failed || !outcome;
        round->answers[i] = std::move(outcome);
        --round->waiting;
      }
      round->changed.notify_all();
    };
    if (!send_all(sending, std::move(values->values))) {
      break;  // likewise
    }
  }
  std::unique_lock lock(round->mutex);
  // The bus answers every record within its own delivery time; a stop does not wait for it.
  while (round->waiting > 0 && !stop) {
    round->changed.wait_for(lock, kHousekeepingPause);
  }
  const bool stopped = round->waiting > 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto& answer = round->answers[i];
    if (answer && *answer) {
      requests[i]->outcome = **answer;
    } else if (answer && result) {
      result = fail(answer->error());
    }
  }
  lock.unlock();
  if (stopped) {
    return fail(ErrorCode::kCancelled, "stopped while draining");
  }
  report_bus(result);
  return result;
}

// --- background

void Buffer::housekeeping() {
  // Often enough for the limits that are looked after here.
  const auto pause = std::min({kHousekeepingPause, config_.spill.after, config_.answer_within});
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
    changed_.wait_for(lock, pause, [this] { return stop_; });
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
    refuse(request, error.with_context("not durable yet, send again"));
  }
}

}  // namespace naru::collector
