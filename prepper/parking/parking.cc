#include "prepper/parking/parking.h"

#include <utility>

#include "core/base/check.h"
#include "core/bus/origin.h"
#include "core/telemetry/log.h"

namespace naru::prepper {
namespace {

constexpr std::chrono::milliseconds kLook{200};
constexpr std::chrono::seconds kAgain{1};  // after a bus that did not answer

}  // namespace

Parking::Parking(ParkingConfig config, bus::Bus& bus, DeadLetterWriter& letters, MakeReader make_reader,
                 telemetry::Registry& registry, std::string pipeline)
    : config_(std::move(config)),
      bus_(bus),
      letters_(letters),
      make_reader_(std::move(make_reader)),
      waiting_(registry.gauge("naru_parked_records", "Records that are parked and not drained yet.",
                              {{"pipeline", std::move(pipeline)}})) {}

Parking::~Parking() {
  stop(std::chrono::milliseconds(0));
  join();
}

void Parking::start() {
  thread_ = std::thread([this] { run(); });
}

std::size_t Parking::stop(std::chrono::milliseconds drain) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
  std::size_t left = 0;
  for (const auto& [dataset, reader] : readers_) {
    left += reader->stop(drain);
    drain = std::chrono::milliseconds(0);
  }
  return left;
}

void Parking::join() {
  for (const auto& [dataset, reader] : readers_) {
    reader->join();
  }
}

bool Parking::takes(const std::string& dataset) const {
  return !full_ && config_.datasets.contains(dataset);
}

void Parking::park(BulkBatch batch, DeadLetterWriter::Written parked) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(batch), std::move(parked)});
  }
  wake_.notify_all();
}

void Parking::run() {
  std::unique_lock lock(mutex_);
  bool found = false;
  auto look_at = std::chrono::steady_clock::now();
  while (!stopping_) {
    if (!found && std::chrono::steady_clock::now() >= look_at) {
      lock.unlock();
      found = find_parked();
      look_at = std::chrono::steady_clock::now() + kAgain;
      lock.lock();
      continue;
    }
    if (found && !tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      const Result<void> opened = open(task.batch.target(0).dataset);
      if (opened) {
        send(task);
      } else {
        telemetry::log_warn("prepper", "documents of data set {} cannot be parked yet: {}",
                            task.batch.target(0).dataset, opened.error().message());
      }
      lock.lock();
      if (!opened) {
        tasks_.push_front(std::move(task));
        wake_.wait_for(lock, kAgain, [this] { return stopping_; });
      }
      continue;
    }
    lock.unlock();
    observe();
    lock.lock();
    wake_.wait_for(lock, kLook, [&] { return stopping_ || (found && !tasks_.empty()); });
  }
}

// False: the bus does not answer.
bool Parking::find_parked() {
  if (config_.datasets.empty()) {
    return true;
  }
  Result<std::string> cluster_id = bus_.cluster_id();
  std::vector<std::string> topics;
  for (const std::string& dataset : config_.datasets) {
    topics.push_back(parked_topic(dataset, otlp::Signal::kLogs));
  }
  const auto states = bus_.describe(topics);
  if (!cluster_id || !states) {
    return false;
  }
  cluster_id_ = std::move(*cluster_id);
  auto state = states->begin();
  for (const std::string& dataset : config_.datasets) {
    if (state++->exists) {
      read(dataset);
    }
  }
  return true;
}

Result<void> Parking::open(const std::string& dataset) {
  if (readers_.contains(dataset)) {
    return {};
  }
  std::vector<bus::TopicConfig> topics;
  for (const otlp::Signal signal : otlp::kSignals) {
    bus::TopicConfig topic;
    topic.name = parked_topic(dataset, signal);
    topic.partitions = 1;  // one order
    topic.replication = config_.replication;
    topic.settings.emplace("retention.ms", "-1");  // nothing parked may expire; records_max bounds it
    topics.push_back(std::move(topic));
  }
  NARU_TRY_VOID(bus_.ensure_topics(topics));
  read(dataset);
  return {};
}

void Parking::read(const std::string& dataset) {
  std::map<otlp::Signal, std::string> topics;
  for (const otlp::Signal signal : otlp::kSignals) {
    topics.emplace(signal, parked_topic(dataset, signal));
  }
  std::unique_ptr<Consumer> reader = make_reader_(std::move(topics), health_);
  reader->start();
  readers_.emplace(dataset, std::move(reader));
}

// In the order of the batch; each record as a request of its own, with its identity and its receive time.
void Parking::send(const Task& task) {
  const BulkBatch& batch = task.batch;
  for (std::size_t i = 0; i < batch.entries.size(); ++i) {
    const DocumentEntry& entry = batch.entries[i];
    const std::shared_ptr<SourceMessage>& source = batch.sources[entry.source];
    bus::OutRecord out;
    out.topic = parked_topic(batch.target(i).dataset, source->signal);
    out.key = source->record.key;
    out.timestamp_ms = source->record.timestamp_ms;
    bus::Origin origin = bus::origin_of(source->record, cluster_id_);
    origin.index += entry.ordinal;
    out.headers.push_back({std::string(bus::kOriginHeader), bus::format_origin(origin)});
    Result<std::string> value = single_record(source->signal, source->record.value, entry.ordinal);
    NARU_CHECK(value.has_value(), "a document was made of this record");
    out.value = std::move(*value);
    letters_.send(std::move(out), source, task.parked);
  }
}

void Parking::observe() {
  std::int64_t waiting = 0;
  for (const auto& [dataset, reader] : readers_) {
    const Consumer::Progress progress = reader->progress();
    waiting += progress.lag + static_cast<std::int64_t>(progress.in_flight);
  }
  waiting_.set(static_cast<double>(waiting));
  full_ = waiting >= static_cast<std::int64_t>(config_.records_max);
}

}  // namespace naru::prepper
