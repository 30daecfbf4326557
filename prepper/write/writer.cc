#include "prepper/write/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/base/fault_point.h"
#include "core/telemetry/log.h"
#include "prepper/cluster/cluster_state.h"
#include "prepper/parking/topic.h"
#include "prepper/write/gzip.h"
#include "prepper/write/writer_parts.h"

namespace naru::prepper {
namespace {

constexpr std::uint64_t kLogEvery = 30 * kNanosPerSecond;
// Without documents nobody would notice that OpenSearch is away.
constexpr std::uint64_t kLookEvery = 10 * kNanosPerSecond;
constexpr std::uint64_t kLookAgain = 1 * kNanosPerSecond;  // while it is away
constexpr std::chrono::milliseconds kLookTimeout{5'000};
constexpr std::string_view kRetryTarget = "/_cluster/health?timeout=2s&cluster_manager_timeout=2s";
constexpr std::uint64_t kDiscoverEvery = 30 * kNanosPerSecond;
constexpr int kServerErrors = 500;
constexpr std::uint64_t kMoves = 10 * kNanosPerSecond;  // a data set that took something within this moves
// Kept: what the outcome needs.
constexpr std::string_view kBulkTarget = "/_bulk?filter_path=took,errors,items.*.status,items.*.error";

telemetry::Counter late_counter(telemetry::Registry& registry, const std::string& pipeline,
                                std::string_view outcome) {
  return registry.counter("naru_late_records_total",
                          "Documents whose index takes no more: found there, written to the data set "
                          "<dataset>_late, or dead letters.",
                          {{"pipeline", pipeline}, {"outcome", std::string(outcome)}});
}

}  // namespace

BulkWriter::BulkWriter(WriterConfig config, ClusterAccess opensearch, IndexAdmin& admin,
                       DeadLetterWriter& dead_letters, telemetry::Registry& registry,
                       telemetry::Health& health)
    : config_(std::move(config)),
      access_(std::move(opensearch)),
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
      concurrency_(registry.gauge("naru_writer_concurrency_limit",
                                  "Bulk requests in flight at most, now, over all nodes that answer.",
                                  {{"pipeline", config_.pipeline}})),
      batch_bytes_(registry.gauge("naru_writer_batch_bytes", "Size at which a bulk request is sent, now.",
                                  {{"pipeline", config_.pipeline}})),
      backfill_waits_(
          registry.counter("naru_writer_backfill_waits_total",
                           "Batches of old records that had to wait for bulk.backfill_bytes_per_second.",
                           {{"pipeline", config_.pipeline}})),
      late_found_(late_counter(registry, config_.pipeline, "found")),
      late_diverted_(late_counter(registry, config_.pipeline, "diverted")),
      late_letters_(late_counter(registry, config_.pipeline, "dead_letter")),
      pool_({.in_flight_max = config_.threads, .zone = config_.zone}, access_.seeds),
      batch_size_(config_.batch_bytes_min, config_.batch_bytes_max),
      backfill_(static_cast<double>(std::max<std::uint64_t>(config_.backfill_bytes_per_second, 1))),
      gate_(config_.gate, config_.seed),
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
  transports_.resize(config_.threads);
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
  if (limit_ != nullptr) {
    limit_->stop();
  }
  {
    const Lock lock(mutex_);
    for (const auto& of_thread : transports_) {
      for (const auto& [url, transport] : of_thread) {
        transport->cancel();
      }
    }
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
    if (!work.batch.empty() && !wait_for_rate(work.batch, now)) {
      return true;
    }
  }
}

bool BulkWriter::wait_for_rate(BulkBatch& batch, std::uint64_t now) {
  if (config_.backfill_bytes_per_second == 0 || batch.attempts > 0) {
    return false;
  }
  const auto newest =
      std::ranges::max(batch.sources, {}, [](const auto& source) { return source->record.timestamp_ms; });
  const auto received = static_cast<UnixNanos>(newest->record.timestamp_ms) * kNanosPerMilli;
  if (const UnixNanos wall = wall_now();
      wall < received || wall - received < to_nanos(config_.backfill_after)) {
    return false;
  }
  const std::uint64_t wait = backfill_.take(static_cast<double>(batch.body.size()), now);
  if (wait == 0) {
    return false;
  }
  backfill_waits_.add();
  delayed_.emplace(now + wait, std::move(batch));
  return true;
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
  return gate_.open(kCluster) ? std::min(at, pool_.retry_at())
                              : std::max(ready_.empty() ? at : 0, gate_.probe_at(kCluster));
}

bool BulkWriter::take(Lock& lock, Work& work) {
  constexpr std::chrono::milliseconds kLongest{500};
  constexpr std::chrono::milliseconds kShortest{1};
  while (!stopping_) {
    work = Work{};
    const std::uint64_t now = monotonic_now();
    if (!gate_.open(kCluster)) {
      // What goes out is the cluster's probe; perhaps only held indices have something.
      if (gate_.probe_due(kCluster, now) && (take_index_probe(now, work) || take_batch(now, work))) {
        gate_.take_probe(kCluster);
        work.lease = pool_.take_probe();
        return true;
      }
    } else if (auto retried = pool_.take_retry(now)) {
      work.kind = Work::Kind::kRetry;
      work.lease = std::move(*retried);
      return true;
    } else if (auto lease = pool_.take()) {
      work.lease = std::move(*lease);
      if (config_.discovery && now >= discover_at_) {
        discover_at_ = now + kDiscoverEvery;
        work.kind = Work::Kind::kDiscover;
        return true;
      }
      if (take_index_probe(now, work) || take_batch(now, work)) {
        return true;
      }
      if (look_due(now)) {
        look_at_ = now + kLookEvery;
        work.kind = Work::Kind::kLook;
        return true;
      }
      pool_.unused(work.lease);
    }
    const std::uint64_t wake = next_wake();
    const auto wait = wake > now ? std::chrono::nanoseconds(std::min(wake - now, to_nanos(kLongest)))
                                 : std::chrono::nanoseconds(kShortest);
    work_.wait_for(lock, wait);
  }
  return false;
}

net::HttpTransport* BulkWriter::transport_to(std::size_t thread, const std::string& url) {
  {
    const Lock lock(mutex_);
    if (const auto known = transports_[thread].find(url); known != transports_[thread].end()) {
      return known->second.get();
    }
  }
  std::unique_ptr<net::HttpTransport> made = access_.node(url);
  const Lock lock(mutex_);
  return stopping_ ? nullptr : (transports_[thread][url] = std::move(made)).get();
}

void BulkWriter::run(std::size_t thread) {
  BulkReader reader;
  Work work;
  Lock lock(mutex_);
  while (take(lock, work)) {
    if (work.kind != Work::Kind::kBulk) {
      lock.unlock();
      ask(transport_to(thread, work.lease.url), work);
      lock.lock();
      work_.notify_all();
      continue;
    }
    ++in_flight_;
    active_[thread] = {};
    count_documents(work.batch, active_[thread]);
    lock.unlock();
    if (limit_ != nullptr) {
      limit_->acquire(work.batch.entries.size());  // when it stops, so does the request
    }
    const std::uint64_t begin = monotonic_now();
    net::HttpTransport* const transport = transport_to(thread, work.lease.url);
    const Result<net::HttpResponse> answer =
        transport == nullptr ? fail(ErrorCode::kUnavailable, "no connection to " + work.lease.url)
                             : send(*transport, work.batch);
    const BulkOutcome outcome = reader.read(answer, work.batch.entries.size());
    const double seconds =
        static_cast<double>(monotonic_now() - begin) / static_cast<double>(kNanosPerSecond);
    request_seconds_.observe(seconds);
    request_bytes_.add(work.batch.body.size());
    {
      const Lock learning(mutex_);
      learn(work.lease, outcome, seconds, work.batch.body.size());
    }
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

void BulkWriter::learn(const NodePool::Lease& lease, const BulkOutcome& outcome, double seconds,
                       std::size_t bytes) {
  if (is_node_fault(outcome)) {
    pool_.failed(lease, monotonic_now());
    return;
  }
  const bool too_large =
      outcome.request == RequestVerdict::kHalve || outcome.request == RequestVerdict::kTooHeavy;
  const bool overloaded =
      outcome.request == RequestVerdict::kOverloaded || outcome.request == RequestVerdict::kTooHeavy ||
      std::ranges::any_of(outcome.items,
                          [](const ItemOutcome& item) { return item.verdict == Verdict::kOverloaded; });
  overloaded ? pool_.overloaded(lease) : pool_.answered(lease, seconds, bytes);
  if (too_large || overloaded) {
    batch_size_.refused();
  } else if (outcome.request == RequestVerdict::kItems) {
    batch_size_.answered(bytes, seconds);
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

void BulkWriter::ask(net::HttpTransport* transport, const Work& work) {
  if (transport == nullptr) {
    const Lock lock(mutex_);
    pool_.failed(work.lease, monotonic_now());
    return;
  }
  if (work.kind == Work::Kind::kDiscover) {
    discover(*transport, work);
    return;
  }
  net::HttpRequest request;
  request.method = "GET";
  // A node that lost its cluster still answers GET /, but no bulk request.
  request.target = work.kind == Work::Kind::kRetry ? kRetryTarget : "/";
  const Result<net::HttpResponse> answer = transport->exchange(std::move(request), kLookTimeout);
  const bool answers = answer.has_value() && answer->status < kServerErrors;
  {
    const Lock lock(mutex_);
    answers ? pool_.asked(work.lease) : pool_.failed(work.lease, monotonic_now());
  }
  if (answers || !another_works()) {
    looked(work.kind, answer);
  }
}

// An answer that is no server error means that bulk requests would be answered too: a user without the right
// to ask this gets 403.
void BulkWriter::looked(Work::Kind kind, const Result<net::HttpResponse>& answer) {
  constexpr int kUnauthorized = 401;
  std::string reason;
  if (!answer) {
    reason = answer.error().message();
  } else if (answer->status == kUnauthorized || answer->status >= kServerErrors) {
    reason = fmt::format("OpenSearch answered {}", answer->status);
  } else if (kind == Work::Kind::kLook) {
    reason = server_problem(*answer).value_or("");
  }
  Lock lock(mutex_);
  if (stopping_) {
    return;  // it was cut off
  }
  lock.unlock();
  health_.set_dependency(std::string(kDependency), reason.empty(), reason);
  lock.lock();
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

void BulkWriter::discover(net::HttpTransport& transport, const Work& work) {
  const Result<std::vector<ClusterNode>> nodes = read_nodes(transport, config_.zone_attribute);
  const std::string scheme = work.lease.url.starts_with("https://") ? "https://" : "http://";
  std::vector<BulkNode> found;
  if (nodes) {
    for (const ClusterNode& node : *nodes) {
      if ((node.data || node.ingest) && !node.http.empty()) {  // never a node that only manages the cluster
        found.push_back({.url = scheme + node.http, .zone = node.zone});
      }
    }
  }
  const Lock lock(mutex_);
  if (nodes) {
    pool_.asked(work.lease);
    pool_.discovered(found);
    return;
  }
  // A user without the right to ask: the seeds will do.
  const bool refused = nodes.error().code() == ErrorCode::kPermissionDenied ||
                       nodes.error().code() == ErrorCode::kInternal ||
                       nodes.error().code() == ErrorCode::kUnauthenticated;
  refused ? pool_.asked(work.lease) : pool_.failed(work.lease, monotonic_now());
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
      all.long_held = all.long_held || now - gate_.held_since(index) > to_nanos(config_.held_max);
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

// Under the lock.
void BulkWriter::show_nodes() {
  double limit = 0;
  for (auto& [url, gauge] : node_up_) {
    gauge.set(0);
    node_limits_.at(url).set(0);
  }
  for (const NodePool::NodeState& node : pool_.states()) {
    const telemetry::Labels labels = {{"pipeline", config_.pipeline}, {"node", node.url}};
    if (!node_up_.contains(node.url)) {
      node_up_.emplace(
          node.url,
          registry_.gauge("naru_writer_node_up",
                          "1: bulk requests go to this node; 0: it failed, or left the cluster.", labels));
      node_limits_.emplace(node.url,
                           registry_.gauge("naru_writer_node_in_flight_limit",
                                           "Bulk requests in flight to this node at most, now.", labels));
    }
    node_up_.at(node.url).set(node.works ? 1 : 0);
    node_limits_.at(node.url).set(node.limit);
    limit += node.works ? node.limit : 0;
  }
  concurrency_.set(std::min(limit, static_cast<double>(config_.threads)));
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
  batch_bytes_.set(static_cast<double>(batch_size_.now()->load()));
  show_nodes();
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
