#include "prepper/write/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/base/fault_point.h"
#include "core/telemetry/log.h"
#include "prepper/parking/topic.h"
#include "prepper/write/gzip.h"

namespace naru::prepper {
namespace {

constexpr std::string_view kCluster;  // the gate's name for the cluster as a whole
constexpr std::string_view kDependency = "opensearch";
constexpr std::uint64_t kLogEvery = 30 * kNanosPerSecond;
// Without documents nobody would notice that OpenSearch is away.
constexpr std::uint64_t kLookEvery = 10 * kNanosPerSecond;
constexpr std::uint64_t kLookAgain = 1 * kNanosPerSecond;  // while it is away
constexpr std::chrono::milliseconds kLookTimeout{5'000};
constexpr std::uint64_t kMoves = 10 * kNanosPerSecond;  // a data set that took something within this moves
// Kept: what the outcome needs.
constexpr std::string_view kBulkTarget = "/_bulk?filter_path=took,errors,items.*.status,items.*.error";
// After so many failures of the same request it is halved, in case that one document is the cause.
constexpr std::uint32_t kFailuresBeforeHalving = 4;

std::uint64_t nanos(std::chrono::milliseconds duration) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(duration).count());
}

// Calls with each message and how many of the documents at `positions` (empty: all) come from it, once per
// run of neighbours.
template <class Use>
void each_source(const BulkBatch& batch, std::span<const std::uint32_t> positions, Use&& use) {
  const std::size_t size = positions.empty() ? batch.entries.size() : positions.size();
  std::uint32_t run = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto source_at = [&](std::size_t k) {
      return batch.entries[positions.empty() ? k : positions[k]].source;
    };
    ++run;
    if (i + 1 == size || source_at(i + 1) != source_at(i)) {
      use(batch.sources[source_at(i)], std::exchange(run, 0));
    }
  }
}

telemetry::Counter late_counter(telemetry::Registry& registry, const std::string& pipeline,
                                std::string_view outcome) {
  return registry.counter("naru_late_records_total",
                          "Documents whose index takes no more: found there, written to the data set "
                          "<dataset>_late, or dead letters.",
                          {{"pipeline", pipeline}, {"outcome", std::string(outcome)}});
}

std::vector<std::uint32_t> range(std::uint32_t begin, std::uint32_t end) {
  std::vector<std::uint32_t> out;
  for (; begin < end; ++begin) {
    out.push_back(begin);
  }
  return out;
}

}  // namespace

BulkWriter::BulkWriter(WriterConfig config, const net::HttpTransportFactory& opensearch, IndexAdmin& admin,
                       DeadLetterWriter& dead_letters, telemetry::Registry& registry,
                       telemetry::Health& health)
    : config_(std::move(config)),
      factory_(opensearch),
      admin_(admin),
      dead_letters_(dead_letters),
      registry_(registry),
      health_(health),
      request_seconds_(registry.histogram("naru_bulk_request_seconds", "Time of a bulk request.",
                                          {0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60},
                                          {{"pipeline", config_.pipeline}})),
      request_bytes_(registry.counter("naru_bulk_request_bytes_total",
                                      "Bytes of bulk requests before compression.",
                                      {{"pipeline", config_.pipeline}})),
      waiting_batches_(registry.gauge("naru_writer_waiting_batches",
                                      "Batches that wait to be sent or sent again.",
                                      {{"pipeline", config_.pipeline}})),
      concurrency_(registry.gauge("naru_writer_concurrency_limit", "Bulk requests in flight at most, now.",
                                  {{"pipeline", config_.pipeline}})),
      late_found_(late_counter(registry, config_.pipeline, "found")),
      late_diverted_(late_counter(registry, config_.pipeline, "diverted")),
      late_letters_(late_counter(registry, config_.pipeline, "dead_letter")),
      gate_(config_.gate, config_.seed),
      limit_(config_.threads),
      retry_(config_.retry, config_.seed + 1) {
  for (const HoldCause cause : kHoldCauses) {
    indices_held_.emplace(
        cause,
        registry.gauge("naru_writer_indices_held", "Indices that take no documents now; the log says why.",
                       {{"pipeline", config_.pipeline}, {"cause", std::string(to_string(cause))}}));
  }
}

BulkWriter::~BulkWriter() {
  stop();
}

void BulkWriter::start() {
  for (std::uint32_t i = 0; i < config_.threads; ++i) {
    transports_.push_back(factory_());
  }
  for (std::uint32_t i = 0; i < config_.threads; ++i) {
    threads_.emplace_back([this, i] { run(i); });
  }
}

void BulkWriter::stop() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  room_.notify_all();
  for (const auto& transport : transports_) {
    transport->cancel();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
}

void BulkWriter::count_documents(const BulkBatch& batch, DocumentCounts& counts) {
  std::vector<std::int64_t> of_source(batch.sources.size());
  for (const DocumentEntry& entry : batch.entries) {
    ++of_source[entry.source];
  }
  for (std::size_t i = 0; i < of_source.size(); ++i) {
    const std::shared_ptr<PartitionLedger>& ledger = batch.sources[i]->ledger;
    const auto at = std::ranges::find(counts, ledger, &DocumentCounts::value_type::first);
    (at == counts.end() ? counts.emplace_back(ledger, 0) : *at).second += of_source[i];
  }
}

void BulkWriter::submit(BulkBatch batch) {
  Lock lock(mutex_);
  room_.wait(lock, [&] { return stopping_ || ready_.size() < config_.queue_batches_max; });
  if (stopping_) {
    return;
  }
  each_source(batch, {}, [](const std::shared_ptr<SourceMessage>& source, std::uint32_t documents) {
    source->count(Stage::kWriter, Fate::kAccepted, documents);
  });
  std::shared_ptr<SourceMessage> forgotten;
  if (fault_point("writer.drop_record")) [[unlikely]] {
    forgotten = batch.sources[batch.entries[0].source];
    batch = extract(batch, range(1, static_cast<std::uint32_t>(batch.entries.size())));
  }
  if (!batch.empty()) {
    ready_.push_back(std::move(batch));
  }
  lock.unlock();
  work_.notify_one();
  if (forgotten) [[unlikely]] {
    finish(forgotten, 1);
  }
}

// Moves the documents of held indices out of `batch` into their queues.
void BulkWriter::set_held_apart(BulkBatch& batch) {
  if (std::ranges::all_of(batch.targets, [&](const auto& target) { return gate_.open(target->name); })) {
    return;
  }
  std::map<std::uint32_t, std::vector<std::uint32_t>> apart;  // by target
  std::vector<std::uint32_t> stay;
  for (std::uint32_t i = 0; i < batch.entries.size(); ++i) {
    const std::uint32_t target = batch.entries[i].target;
    (gate_.open(batch.targets[target]->name) ? stay : apart[target]).push_back(i);
  }
  for (const auto& [target, positions] : apart) {
    held_[batch.targets[target]->name].push_back(extract(batch, positions));
  }
  batch = extract(batch, stay);
}

bool BulkWriter::take_index_probe(std::uint64_t now, Work& work) {
  for (auto& [index, waiting] : held_) {
    if (waiting.empty() || !gate_.probe_due(index, now)) {
      continue;
    }
    gate_.take_probe(index);
    BulkBatch& front = waiting.front();
    if (front.entries.size() == 1) {
      work.batch = std::move(front);
      waiting.pop_front();
    } else {
      work.batch = extract(front, range(0, 1));
      front = extract(front, range(1, static_cast<std::uint32_t>(front.entries.size())));
    }
    work.index_probe = true;
    return true;
  }
  return false;
}

// What is due again comes before what is new, so that a retry never waits behind a flood.
bool BulkWriter::take_batch(std::uint64_t now, Work& work) {
  while (true) {
    if (!delayed_.empty() && delayed_.begin()->first <= now) {
      work.batch = std::move(delayed_.begin()->second);
      delayed_.erase(delayed_.begin());
    } else if (!ready_.empty()) {
      work.batch = std::move(ready_.front());
      ready_.pop_front();
      room_.notify_one();
    } else {
      return false;
    }
    set_held_apart(work.batch);
    if (!work.batch.empty()) {
      return true;
    }
  }
}

// Bulk requests tell more than a look, so one is only due while there are none.
bool BulkWriter::look_due(std::uint64_t now) const {
  return in_flight_ == 0 && delayed_.empty() && gate_.open(kCluster) && now >= look_at_;
}

std::uint64_t BulkWriter::next_wake() const {
  std::uint64_t at = delayed_.empty() ? ~std::uint64_t{0} : delayed_.begin()->first;
  for (const auto& [index, waiting] : held_) {
    if (!waiting.empty()) {
      at = std::min(at, gate_.probe_at(index));
    }
  }
  if (!gate_.open(kCluster)) {
    at = std::max(ready_.empty() ? at : 0, gate_.probe_at(kCluster));
  }
  return at;
}

bool BulkWriter::take(Lock& lock, Work& work) {
  constexpr std::chrono::milliseconds kLongest{500};
  constexpr std::chrono::milliseconds kShortest{1};
  while (!stopping_) {
    work = Work{};
    const std::uint64_t now = monotonic_now();
    if (in_flight_ < limit_.limit()) {
      const bool open = gate_.open(kCluster);
      // While the cluster is held, what goes out is its probe; perhaps only held indices have something.
      if ((open || gate_.probe_due(kCluster, now)) &&
          (take_index_probe(now, work) || take_batch(now, work))) {
        if (!open) {
          gate_.take_probe(kCluster);
        }
        return true;
      }
    }
    if (look_due(now)) {
      look_at_ = now + kLookEvery;
      work.look = true;
      return true;
    }
    const std::uint64_t wake = next_wake();
    const auto wait = wake > now ? std::chrono::nanoseconds(std::min(wake - now, nanos(kLongest)))
                                 : std::chrono::nanoseconds(kShortest);
    work_.wait_for(lock, wait);
  }
  return false;
}

void BulkWriter::run(std::size_t thread) {
  net::HttpTransport& transport = *transports_[thread];
  BulkReader reader;
  Work work;
  Lock lock(mutex_);
  while (take(lock, work)) {
    if (work.look) {
      lock.unlock();
      look(transport);
      lock.lock();
      continue;
    }
    ++in_flight_;
    active_[thread] = {};
    count_documents(work.batch, active_[thread]);
    lock.unlock();
    const std::uint64_t begin = monotonic_now();
    const Result<net::HttpResponse> answer = send(transport, work.batch);
    const BulkOutcome outcome = reader.read(answer, work.batch.entries.size());
    request_seconds_.observe(static_cast<double>(monotonic_now() - begin) /
                             static_cast<double>(kNanosPerSecond));
    request_bytes_.add(work.batch.body.size());
    const std::string probed = work.index_probe ? work.batch.target(0).name : std::string();
    settle(std::move(work), outcome);
    lock.lock();
    if (!probed.empty()) {
      gate_.end_probe(probed, monotonic_now());  // when the outcome said nothing about the index
    }
    --in_flight_;
    active_.erase(thread);
    work_.notify_all();
  }
}

Result<net::HttpResponse> BulkWriter::send(net::HttpTransport& transport, const BulkBatch& batch) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = kBulkTarget;
  request.headers.set("Content-Type", "application/x-ndjson");
  if (config_.gzip) {
    request.headers.set("Content-Encoding", "gzip");
    request.body = gzip(batch.body);
  } else {
    request.body = batch.body;  // the batch is kept: an unknown outcome sends the same ids again
  }
  return transport.exchange(std::move(request), config_.request_timeout);
}

// An answer that is no server error means that bulk requests would be answered too: a user without the right
// to ask this gets 403.
void BulkWriter::look(net::HttpTransport& transport) {
  net::HttpRequest request;
  request.method = "GET";
  request.target = "/";
  const Result<net::HttpResponse> answer = transport.exchange(std::move(request), kLookTimeout);
  constexpr int kUnauthorized = 401, kServerErrors = 500;
  std::string reason;
  if (!answer) {
    reason = answer.error().message();
  } else if (answer->status == kUnauthorized || answer->status >= kServerErrors) {
    reason = fmt::format("OpenSearch answered {} to GET /", answer->status);
  }
  health_.set_dependency(std::string(kDependency), reason.empty(), reason);
  Lock lock(mutex_);
  const std::uint64_t now = monotonic_now();
  if (reason.empty()) {
    return;
  }
  look_at_ = now + kLookAgain;
  if (logged_ == 0 || now - logged_ >= kLogEvery) {
    logged_ = now;
    lock.unlock();
    telemetry::log_warn("prepper", "OpenSearch does not answer: {}", reason);
  }
}

void BulkWriter::settle(Work work, const BulkOutcome& outcome) {
  {
    const Lock lock(mutex_);
    totals_.bytes += work.batch.body.size();
  }
  if (outcome.request == RequestVerdict::kItems) {
    cluster_answers();
    settle_items(std::move(work.batch), outcome);
  } else {
    registry_
        .counter("naru_bulk_requests_failed_total", "Bulk requests that were refused or not answered.",
                 {{"pipeline", config_.pipeline}, {"status", std::to_string(outcome.status)}})
        .add();
    settle_request(std::move(work.batch), outcome);
  }
}

void BulkWriter::finish_documents(const BulkBatch& batch, std::span<const std::uint32_t> positions,
                                  std::span<const std::uint32_t> duplicates) {
  const std::size_t all = positions.empty() ? batch.entries.size() : positions.size();
  if (!duplicates.empty()) {
    each_source(batch, duplicates, [](const std::shared_ptr<SourceMessage>& source, std::uint32_t documents) {
      source->count(Stage::kWriter, Fate::kDuplicate, documents);
    });
  }
  {
    const Lock lock(mutex_);
    totals_.created += all - duplicates.size();
    totals_.duplicates += duplicates.size();
  }
  each_source(batch, positions, [](const std::shared_ptr<SourceMessage>& source, std::uint32_t documents) {
    source->count(Stage::kWriter, Fate::kDelivered, documents);
    finish(source, documents);
  });
}

void BulkWriter::settle_items(BulkBatch batch, const BulkOutcome& outcome) {
  if (outcome.all_created) {
    finish_documents(batch, {}, {});
    const Lock lock(mutex_);
    for (const auto& target : batch.targets) {
      index_succeeded(target->name);
      moved_[target->dataset] = monotonic_now();
    }
    limit_.success();
    return;
  }
  struct Held {
    HoldCause cause = HoldCause::kUnavailable;
    std::string reason;
    std::vector<std::uint32_t> positions;
  };
  std::vector<std::uint32_t> done, duplicates, overloaded, letters;
  std::map<std::uint32_t, Held> held;  // these by target
  std::map<std::uint32_t, std::vector<std::uint32_t>> missing, blocked;
  {
    const Lock lock(mutex_);
    const auto hold = [&](std::uint32_t at, HoldCause cause, std::string reason) {
      Held& group = held[batch.entries[at].target];
      group.cause = cause;
      group.reason = std::move(reason);
      group.positions.push_back(at);
    };
    for (std::uint32_t i = 0; i < outcome.items.size(); ++i) {
      const ItemOutcome& item = outcome.items[i];
      const std::uint32_t target = batch.entries[i].target;
      const std::string& index = batch.targets[target]->name;
      const auto reason = [&] { return fmt::format("{} {}: {}", item.status, item.type, item.reason); };
      switch (item.verdict) {
        case Verdict::kDuplicate: duplicates.push_back(i); [[fallthrough]];
        case Verdict::kCreated:
          done.push_back(i);
          index_succeeded(index);
          moved_[batch.targets[target]->dataset] = monotonic_now();
          break;
        case Verdict::kOverloaded: overloaded.push_back(i); break;
        case Verdict::kDocument:
          if (std::optional<std::string> index_fault = gate_.document_fault(index, item.type)) {
            hold(i, HoldCause::kMapping, std::move(*index_fault));
          } else {
            letters.push_back(i);
            index_answered(index);
          }
          break;
        case Verdict::kUnavailable: hold(i, HoldCause::kUnavailable, reason()); break;
        case Verdict::kFloodStage: hold(i, HoldCause::kDisk, reason()); break;
        case Verdict::kWriteBlocked:
          if (admin_.declared_read_only(*batch.targets[target])) {
            blocked[target].push_back(i);
            break;
          }
          [[fallthrough]];
        case Verdict::kHold: hold(i, HoldCause::kRefused, reason()); break;
        case Verdict::kMissingIndex: missing[target].push_back(i); break;
      }
    }
    overloaded.empty() ? limit_.success() : limit_.overloaded();
  }
  if (!done.empty()) {
    finish_documents(batch, done, duplicates);
  }
  for (const std::uint32_t at : letters) {
    const ItemOutcome& item = outcome.items[at];
    admin_.forget(batch.target(at).name);
    to_dead_letter(batch, at, item.status, item.type, item.reason);
  }
  if (!overloaded.empty()) {
    retry_later(extract(batch, overloaded));
  }
  for (const auto& [target, group] : held) {
    if (group.cause == HoldCause::kMapping) {
      admin_.forget(batch.targets[target]->name);
    }
    hold_documents(extract(batch, group.positions), group.cause, group.reason);
  }
  for (const auto& [target, positions] : missing) {
    create_missing(batch, positions);
  }
  for (const auto& [target, positions] : blocked) {
    find_or_divert(batch, positions, outcome.items[positions.front()].reason);
  }
}

void BulkWriter::create_missing(const BulkBatch& batch, std::span<const std::uint32_t> positions) {
  const IndexTarget& target = batch.target(positions.front());
  admin_.forget(target.name);
  const Result<IndexAdmin::Ensured> ensured = admin_.ensure(target);
  if (!ensured) {
    const bool away = ensured.error().code() != ErrorCode::kInternal;
    hold_documents(extract(batch, positions), away ? HoldCause::kUnavailable : HoldCause::kRefused,
                   ensured.error().message());
  } else if (*ensured == IndexAdmin::Ensured::kReady) {
    {
      const Lock lock(mutex_);
      index_answered(target.name);
    }
    // An index that is created and gone again would make us turn in circles.
    retry_later(extract(batch, positions), batch.attempts < kFailuresBeforeHalving);
  } else {
    divert(batch, positions, 404, "index " + target.name + " is outside retention and is not created again");
  }
}

void BulkWriter::find_or_divert(const BulkBatch& batch, std::span<const std::uint32_t> positions,
                                const std::string& reason) {
  const IndexTarget& target = batch.target(positions.front());
  std::vector<std::string_view> ids;
  for (const std::uint32_t at : positions) {
    ids.push_back(batch.id(at));
  }
  const Result<std::vector<bool>> found = admin_.find(target.name, ids);
  if (!found) {
    hold_documents(extract(batch, positions), HoldCause::kUnavailable, found.error().message());
    return;
  }
  std::vector<std::uint32_t> present, absent;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    ((*found)[i] ? present : absent).push_back(positions[i]);
  }
  if (!present.empty()) {
    late_found_.add(present.size());
    finish_documents(batch, present, present);
  }
  if (!absent.empty()) {
    divert(batch, absent, 403,
           "index " + target.name + " is read-only by its data set's read_only_after: " + reason);
  } else {
    const Lock lock(mutex_);
    index_answered(target.name);
  }
}

void BulkWriter::divert(const BulkBatch& batch, std::span<const std::uint32_t> positions, int status,
                        const std::string& reason) {
  std::vector<std::uint32_t> moved;
  std::vector<std::shared_ptr<const IndexTarget>> targets;
  for (const std::uint32_t at : positions) {
    if (auto target = admin_.late_target(batch.target(at), batch.time(at))) {
      moved.push_back(at);
      targets.push_back(std::move(target));
    } else {
      late_letters_.add();
      to_dead_letter(batch, at, status, "late", reason);
    }
  }
  if (!moved.empty()) {
    late_diverted_.add(moved.size());
    retry_later(retarget(extract(batch, moved), targets), true);
  }
  const Lock lock(mutex_);
  index_answered(batch.target(positions.front()).name);
}

void BulkWriter::settle_request(BulkBatch batch, const BulkOutcome& outcome) {
  switch (outcome.request) {
    case RequestVerdict::kItems: return;
    case RequestVerdict::kOverloaded:
    case RequestVerdict::kTooHeavy: {
      cluster_answers();
      {
        const Lock lock(mutex_);
        limit_.overloaded();
      }
      if (outcome.request == RequestVerdict::kTooHeavy && batch.entries.size() > 1) {
        halve(batch, false);
      } else {
        retry_later(std::move(batch));
      }
      return;
    }
    case RequestVerdict::kBisect:
    case RequestVerdict::kHalve: {
      cluster_answers();
      if (batch.entries.size() > 1) {
        halve(batch, true);
        return;
      }
      const std::string type =
          outcome.request == RequestVerdict::kHalve ? "request_too_large" : "bulk_request_refused";
      Lock lock(mutex_);
      const std::optional<std::string> index_fault = gate_.document_fault(batch.target(0).name, type);
      lock.unlock();
      if (!index_fault.has_value()) {
        to_dead_letter(batch, 0, outcome.status, type, outcome.reason);
      } else {
        hold_documents(std::move(batch), HoldCause::kRefused, *index_fault);
      }
      return;
    }
    case RequestVerdict::kResend: {
      cluster_fails(HoldCause::kUnavailable, outcome.reason);
      // An answer that breaks off, or 500 again and again: perhaps one document does it. The halves take
      // turns.
      const bool suspect = outcome.status == 200 || outcome.status == 500;
      if (suspect && batch.entries.size() > 1 &&
          batch.attempts % kFailuresBeforeHalving == kFailuresBeforeHalving - 1) {
        halve(batch, false);
      } else {
        retry_later(std::move(batch), !suspect);
      }
      return;
    }
    case RequestVerdict::kFloodStage:
    case RequestVerdict::kHold:
      cluster_fails(outcome.request == RequestVerdict::kHold ? HoldCause::kRefused : HoldCause::kDisk,
                    outcome.reason);
      // The gate decides when it goes out: the cluster's probe takes what is due.
      retry_later(std::move(batch), true);
      return;
  }
}

void BulkWriter::halve(const BulkBatch& batch, bool at_once) {
  const auto size = static_cast<std::uint32_t>(batch.entries.size());
  retry_later(extract(batch, range(0, size / 2)), at_once);
  retry_later(extract(batch, range(size / 2, size)), at_once);
}

void BulkWriter::to_dead_letter(const BulkBatch& batch, std::uint32_t position, int status, std::string type,
                                std::string reason) {
  const DocumentEntry& entry = batch.entries[position];
  const DeadLetterCause cause{.type = std::move(type),
                              .reason = std::move(reason),
                              .status = status,
                              .index = batch.target(position).name,
                              .attempts = batch.attempts + 1,
                              .first_failed_at = batch.first_failed_at};
  batch.sources[entry.source]->ledger->add_in_flight(Stage::kWriter, 1);
  dead_letters_.write(batch.sources[entry.source], entry.ordinal, batch.id(position), cause,
                      [this](SourceMessage& source) {
                        source.count(Stage::kWriter, Fate::kDeadlettered, 1);
                        source.ledger->add_in_flight(Stage::kWriter, -1);
                        const Lock lock(mutex_);
                        ++totals_.dead_letters;
                      });
}

void BulkWriter::retry_later(BulkBatch batch, bool at_once) {
  ++batch.attempts;
  if (batch.first_failed_at == 0) {
    batch.first_failed_at = wall_now();
  }
  const Lock lock(mutex_);
  const std::uint64_t due = monotonic_now() + (at_once ? 0 : nanos(retry_.wait(batch.attempts)));
  delayed_.emplace(due, std::move(batch));
  work_.notify_one();
}

void BulkWriter::hold_documents(BulkBatch batch, HoldCause cause, const std::string& reason) {
  ++batch.attempts;
  if (batch.first_failed_at == 0) {
    batch.first_failed_at = wall_now();
  }
  const std::string& index = batch.target(0).name;
  const Lock lock(mutex_);
  if (gate_.hold(index, cause, reason, monotonic_now())) {
    telemetry::log_warn("prepper", "index {} takes no documents, they wait and are tried again: {}", index,
                        reason);
  }
  // Behind the others: the next probe tries another document, so that one alone cannot keep the index held.
  held_[index].push_back(std::move(batch));
}

// Under the lock, these three.
void BulkWriter::index_succeeded(std::string_view index) {
  const bool was_held = !gate_.open(index);
  gate_.succeeded(index);
  if (was_held) {
    release(index);
  }
}

void BulkWriter::index_answered(std::string_view index) {
  const bool was_held = !gate_.open(index);
  gate_.answered(index);
  if (was_held) {
    release(index);
  }
}

void BulkWriter::release(std::string_view index) {
  telemetry::log_info("prepper", "index {} takes documents again", index);
  if (const auto waiting = held_.find(index); waiting != held_.end()) {
    const std::uint64_t now = monotonic_now();
    for (BulkBatch& batch : waiting->second) {
      delayed_.emplace(now, std::move(batch));
    }
    held_.erase(waiting);
  }
  work_.notify_all();
}

void BulkWriter::cluster_answers() {
  Lock lock(mutex_);
  const bool was_held = !gate_.open(kCluster);
  gate_.succeeded(kCluster);
  lock.unlock();
  if (was_held) {
    telemetry::log_info("prepper", "OpenSearch takes bulk requests again");
    work_.notify_all();
  }
  health_.set_dependency(std::string(kDependency), true);
}

void BulkWriter::cluster_fails(HoldCause cause, const std::string& reason) {
  Lock lock(mutex_);
  const bool was_open = gate_.hold(kCluster, cause, reason, monotonic_now());
  lock.unlock();
  health_.set_dependency(std::string(kDependency), false, reason);
  if (was_open) {
    telemetry::log_warn("prepper", "OpenSearch does not take bulk requests, documents wait: {}", reason);
  }
}

BulkWriter::Totals BulkWriter::totals() const {
  const Lock lock(mutex_);
  return totals_;
}

// Under the lock. All that waits of a data set which is over its bounds while another one moves. What comes
// from the parking space stays: it is what the index is probed with.
std::vector<BulkBatch> BulkWriter::take_to_park(std::uint64_t now) {
  std::erase_if(moved_, [&](const auto& entry) { return now - entry.second > kMoves; });
  if (parking_ == nullptr || held_.empty() || moved_.empty() || !gate_.open(kCluster)) {
    return {};
  }
  const auto stays = [](const BulkBatch& batch) {
    return std::ranges::any_of(
        batch.sources, [](const auto& source) { return source->record.topic.starts_with(kParkedPrefix); });
  };
  struct Waiting {
    std::uint64_t bytes = 0;
    bool long_held = false;
  };
  std::map<std::string, Waiting, std::less<>> datasets;
  for (const auto& [index, waiting] : held_) {
    for (const BulkBatch& batch : waiting) {
      Waiting& all = datasets[batch.target(0).dataset];
      all.bytes += stays(batch) ? 0 : batch.body.size();
      all.long_held = all.long_held || now - gate_.held_since(index) > nanos(config_.held_max);
    }
  }
  std::vector<BulkBatch> out;
  for (auto& [index, waiting] : held_) {
    if (waiting.empty()) {
      continue;
    }
    const std::string& dataset = waiting.front().target(0).dataset;
    const Waiting& all = datasets[dataset];
    const bool another_moves =
        std::ranges::any_of(moved_, [&](const auto& entry) { return entry.first != dataset; });
    if (!another_moves || (all.bytes <= config_.held_bytes_max && !all.long_held) ||
        !parking_->takes(dataset)) {
      continue;
    }
    std::deque<BulkBatch> staying;
    for (BulkBatch& batch : waiting) {
      if (stays(batch)) {
        staying.push_back(std::move(batch));
      } else {
        out.push_back(std::move(batch));
      }
    }
    waiting = std::move(staying);
  }
  // Probes went behind the others; the order is that of the bus.
  std::ranges::sort(out, {}, [](const BulkBatch& batch) {
    const DocumentEntry& first = batch.entries.front();
    const bus::InRecord& record = batch.sources[first.source]->record;
    return std::tuple(record.topic, record.partition, record.offset, first.ordinal);
  });
  return out;
}

void BulkWriter::tick() {
  std::vector<BulkBatch> parked;
  {
    const Lock lock(mutex_);
    parked = take_to_park(monotonic_now());
  }
  for (BulkBatch& batch : parked) {
    each_source(batch, {}, [](const std::shared_ptr<SourceMessage>& source, std::uint32_t documents) {
      source->ledger->add_in_flight(Stage::kWriter, documents);
    });
    parking_->park(std::move(batch), [](SourceMessage& source) {
      source.count(Stage::kWriter, Fate::kDelivered, 1);
      source.count(Stage::kWriter, Fate::kParked, 1);
      source.ledger->add_in_flight(Stage::kWriter, -1);
    });
  }
  const Lock lock(mutex_);
  DocumentCounts in_flight;
  for (const auto& [ledger, documents] : counted_) {
    in_flight.emplace_back(ledger, 0);  // so that what is empty by now is seen
  }
  std::size_t batches = ready_.size() + delayed_.size();
  const auto count = [&](const BulkBatch& batch) { count_documents(batch, in_flight); };
  std::ranges::for_each(ready_, count);
  for (const auto& [due, batch] : delayed_) {
    count(batch);
  }
  for (const auto& [index, waiting] : held_) {
    std::ranges::for_each(waiting, count);
    batches += waiting.size();
  }
  for (const auto& [thread, counts] : active_) {
    for (const auto& [ledger, documents] : counts) {
      const auto at = std::ranges::find(in_flight, ledger, &DocumentCounts::value_type::first);
      (at == in_flight.end() ? in_flight.emplace_back(ledger, 0) : *at).second += documents;
    }
  }
  for (const auto& [ledger, documents] : in_flight) {
    ledger->set_queued(documents);
  }
  std::erase_if(in_flight, [](const auto& entry) { return entry.second == 0; });
  counted_ = std::move(in_flight);
  const std::vector<IndexGate::Held> held = gate_.held();
  waiting_batches_.set(static_cast<double>(batches));
  for (auto& [cause, gauge] : indices_held_) {
    gauge.set(static_cast<double>(std::ranges::count_if(
        held, [&](const IndexGate::Held& one) { return one.cause == cause && one.index != kCluster; })));
  }
  concurrency_.set(limit_.limit());
  const std::uint64_t now = monotonic_now();
  if (held.empty() || now - logged_ < kLogEvery) {
    return;
  }
  logged_ = now;
  for (const IndexGate::Held& one : held) {
    telemetry::log_warn("prepper", "{} still takes no documents: {}",
                        one.index == kCluster ? "OpenSearch" : "index " + one.index, one.reason);
  }
}

}  // namespace naru::prepper
