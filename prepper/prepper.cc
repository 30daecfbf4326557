#include "prepper/prepper.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "core/base/random.h"
#include "prepper/bootstrap/mappings.h"
#include "prepper/consume/consumer.h"
#include "prepper/count/count_service.h"
#include "prepper/deadletter/dead_letter_writer.h"
#include "prepper/lifecycle/lifecycle_driver.h"
#include "prepper/parking/parking.h"
#include "prepper/pipeline/pipeline_metrics.h"
#include "prepper/pipeline/reloader.h"
#include "prepper/write/index_admin.h"
#include "prepper/write/writer.h"

namespace naru::prepper {
namespace {

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  fill_random(&seed, sizeof(seed));
  return seed;
}

EncoderConfig encoder_config(const PrepperConfig& config, const std::string& cluster_id,
                             const BulkWriter& writer, std::shared_ptr<const PipelineSource> pipelines,
                             Tap* tap = nullptr) {
  EncoderConfig out;
  out.pipeline = config.pipeline;
  out.dataset = config.dataset;
  out.datasets = config.datasets;
  out.time = {.older_max = to_nanos(config.time.older_max), .newer_max = to_nanos(config.time.newer_max)};
  out.batch_bytes_now = writer.batch_bytes();
  out.cluster_id = cluster_id;
  out.pipelines = std::move(pipelines);
  out.tap = tap;
  return out;
}

ConsumerConfig consumer_config(const PrepperConfig& config) {
  ConsumerConfig out;
  out.group = config.consume.group;
  out.topics = {{otlp::Signal::kLogs, config.topics.logs},
                {otlp::Signal::kMetrics, config.topics.metrics},
                {otlp::Signal::kTraces, config.topics.traces}};
  out.concurrency = config.consume.concurrency;
  out.order = config.consume.order;
  out.partition_bytes_max = config.consume.partition_bytes_max;
  out.bytes_max = config.consume.bytes_max;
  out.messages_max = config.consume.messages_max;
  out.commit_interval = config.consume.commit_interval;
  out.linger = config.bulk.linger;
  out.pipeline = config.pipeline;
  return out;
}

IndexAdminConfig admin_config(const PrepperConfig& config) {
  IndexAdminConfig out;
  out.datasets = config.datasets;
  return out;
}

WriterConfig writer_config(const PrepperConfig& config) {
  WriterConfig out;
  out.threads = config.bulk.writers;
  out.batch_bytes_min = config.bulk.batch_bytes;
  out.batch_bytes_max = std::max(config.bulk.batch_bytes, config.bulk.batch_bytes_max);
  out.discovery = config.bulk.discovery;
  out.zone = config.bulk.zone;
  out.zone_attribute = config.datasets.cluster.zone_attribute;
  out.backfill_after = config.bulk.backfill_after;
  out.backfill_bytes_per_second = config.bulk.backfill_bytes_per_second;
  out.queue_batches_max = config.bulk.queue_batches_max;
  out.request_timeout = config.bulk.request_timeout;
  out.gzip = config.bulk.gzip;
  out.retry.first = config.bulk.retry_first;
  out.retry.max = config.bulk.retry_max;
  out.gate.probe.max = config.bulk.probe_max;
  out.held_bytes_max = config.parking.held_bytes_max;
  out.held_max = config.parking.held_max;
  out.gate.document_faults_max = config.bulk.document_faults_max;
  out.pipeline = config.pipeline;
  out.seed = random_seed();
  return out;
}

ParkingConfig parking_config(const PrepperConfig& config) {
  ParkingConfig out;
  out.records_max = config.parking.records_max;
  for (const auto& [name, entry] : config.datasets.datasets) {
    out.datasets.insert(name);
  }
  return out;
}

}  // namespace

struct Prepper::Parts : EncoderSink {
  Parts(PrepperConfig prepper_config, bus::Bus& message_bus, ClusterAccess access,
        telemetry::Registry& metrics, telemetry::Health& checks, std::vector<OtherBus> other_buses)
      : config(std::move(prepper_config)),
        bus(message_bus),
        opensearch(std::move(access)),
        registry(metrics),
        health(checks),
        others(std::move(other_buses)),
        pipeline_metrics(metrics) {}

  void batch_ready(BulkBatch batch) override { writer->submit(std::move(batch)); }
  void dead_letter(const std::shared_ptr<SourceMessage>& message, std::uint32_t ordinal, std::string id,
                   DeadLetterCause cause) override {
    dead_letters->write(message, ordinal, id, cause, [this](SourceMessage&) { ++undecodable; });
  }

  PrepperConfig config;
  bus::Bus& bus;
  ClusterAccess opensearch;
  telemetry::Registry& registry;
  telemetry::Health& health;
  const std::vector<OtherBus> others;
  std::atomic<std::uint64_t> undecodable{0};
  PipelineMetrics pipeline_metrics;
  Tap tap;
  std::shared_ptr<PipelineSource> pipelines;  // nullptr: none are configured

  // Destroyed from the last to the first: answers of the bus to what is set aside tell the writer, and
  // messages report to their consumers to the end.
  std::vector<std::unique_ptr<Consumer>> consumers;  // of `bus`, then of the others
  std::unique_ptr<Parking> parking;
  std::unique_ptr<IndexAdmin> admin;
  std::unique_ptr<WriteLimit> limit;
  std::unique_ptr<BulkWriter> writer;
  std::unique_ptr<DeadLetterWriter> dead_letters;
  std::unique_ptr<DeadLetterWriter> parked;
  std::unique_ptr<PipelineReloader> reloader;
  std::unique_ptr<LifecycleDriver> lifecycle;
  std::vector<std::unique_ptr<CountService>> counters;  // likewise
  std::mutex ticking;

  // About once a second, on the poll threads: any of them, since one bus may be away.
  void tick() {
    const std::unique_lock lock(ticking, std::try_to_lock);
    if (lock.owns_lock()) {
      dead_letters->tick();
      parked->tick();
      writer->tick();
    }
  }
  // All consumers at rest at once, then `change`.
  Result<void> at_rest(std::size_t number, const std::function<void()>& change) {
    if (number == consumers.size()) {
      change();
      return {};
    }
    Result<void> inner;
    NARU_TRY_VOID(
        consumers[number]->at_rest(config.pipelines.rest_max, [&] { inner = at_rest(number + 1, change); }));
    return inner;
  }
};

Prepper::Prepper(PrepperConfig config, bus::Bus& bus, ClusterAccess opensearch, telemetry::Registry& registry,
                 telemetry::Health& health, std::vector<OtherBus> others)
    : parts_(std::make_unique<Parts>(std::move(config), bus, std::move(opensearch), registry, health,
                                     std::move(others))) {}

Prepper::~Prepper() {
  stop(std::chrono::milliseconds(0));
}

Result<void> Prepper::start() {
  Parts& parts = *parts_;
  if (!parts.config.pipelines.directory.empty()) {
    parts.pipelines = std::make_shared<PipelineSource>();
    parts.reloader = std::make_unique<PipelineReloader>(
        ReloaderConfig{parts.config.pipelines.directory, parts.config.pipelines.look_every}, parts.pipelines,
        parts.registry, parts.health);
    NARU_TRY_VOID(parts.reloader->load());
  }
  if (!parts.config.count.rules.empty() || parts.config.count.builtin != nullptr) {
    const auto count = [&](bus::Bus& bus, const std::string& cluster) -> Result<void> {
      CountConfig config = parts.config.count;
      config.cluster = cluster;
      parts.counters.push_back(std::make_unique<CountService>(config, parts.config.topics, bus,
                                                              parts.pipelines, parts.registry, parts.health));
      return parts.counters.back()->start();
    };
    NARU_TRY_VOID(count(parts.bus, ""));
    for (const OtherBus& other : parts.others) {
      NARU_TRY_VOID(count(*other.bus, other.name));
    }
  }
  if (parts.config.index) {
    NARU_TRY_VOID(start_index());
  }
  if (parts.reloader != nullptr) {
    parts.reloader->start([&parts](const std::function<void()>& change) { return parts.at_rest(0, change); });
  }
  return {};
}

Result<void> Prepper::start_index() {
  Parts& parts = *parts_;
  NARU_TRY(Mappings mappings, load_mappings(parts.config.mappings_dir));
  NARU_TRY(auto producer, parts.bus.producer());
  parts.dead_letters =
      std::make_unique<DeadLetterWriter>(DeadLetterContext{.topic = parts.config.topics.dead_letters,
                                                           .pipeline = parts.config.pipeline,
                                                           .config_hash = config_hash(parts.config)},
                                         std::move(producer));
  parts.admin =
      std::make_unique<IndexAdmin>(admin_config(parts.config), parts.opensearch.any(),
                                   std::move(mappings.promoted), std::move(mappings.contracts), wall_now);
  parts.writer = std::make_unique<BulkWriter>(writer_config(parts.config), parts.opensearch, *parts.admin,
                                              *parts.dead_letters, parts.registry, parts.health);
  NARU_TRY(parts.limit, WriteLimit::connect(parts.config.bulk.limit, parts.registry));
  parts.writer->set_limit(parts.limit.get());
  NARU_TRY(auto parking_producer, parts.bus.producer());
  parts.parked = std::make_unique<DeadLetterWriter>(DeadLetterContext{}, std::move(parking_producer));
  parts.parking = std::make_unique<Parking>(
      parking_config(parts.config), parts.bus, *parts.parked,
      [&parts](std::map<otlp::Signal, std::string> topics, telemetry::Health& health) {
        ConsumerConfig reader = consumer_config(parts.config);
        reader.group += "-parked";
        reader.topics = std::move(topics);
        reader.concurrency = 1;
        reader.bytes_max =
            std::max(parts.config.bulk.batch_bytes_max * 2, parts.config.consume.bytes_max / 8);
        reader.pipeline += "/parked";
        return std::make_unique<Consumer>(
            std::move(reader), parts.bus,
            [&parts](const std::string& cluster_id) {
              return std::make_unique<Encoder>(
                  encoder_config(parts.config, cluster_id, *parts.writer, parts.pipelines), *parts.admin,
                  parts);
            },
            [] {}, parts.registry, health, &parts.pipeline_metrics);
      },
      parts.registry, parts.config.pipeline);
  parts.writer->set_parking(parts.parking.get());
  const auto consume = [&parts](bus::Bus& bus, const std::string& cluster) {
    ConsumerConfig config = consumer_config(parts.config);
    const bool several_clusters = !parts.others.empty();
    if (!cluster.empty()) {
      config.pipeline += "@" + cluster;
      config.bus_name += " " + cluster;
    }
    if (several_clusters) {  // the bound is of the process
      config.bytes_max =
          std::max(config.bytes_max / (1 + parts.others.size()), parts.config.bulk.batch_bytes_max * 2);
    }
    parts.consumers.push_back(std::make_unique<Consumer>(
        std::move(config), bus,
        [&parts, first = cluster.empty()](const std::string& cluster_id) {
          if (first) {
            parts.dead_letters->set_cluster_id(cluster_id);
          }
          return std::make_unique<Encoder>(encoder_config(parts.config, cluster_id, *parts.writer,
                                                          parts.pipelines, first ? &parts.tap : nullptr),
                                           *parts.admin, parts);
        },
        [&parts] { parts.tick(); }, parts.registry, parts.health, &parts.pipeline_metrics));
  };
  consume(parts.bus, "");
  for (const OtherBus& other : parts.others) {
    consume(*other.bus, other.name);
  }
  parts.writer->start();
  parts.parking->start();
  for (const auto& consumer : parts.consumers) {
    consumer->start();
  }
  if (parts.config.datasets.lifecycle.driver != LifecycleBy::kOff) {
    parts.lifecycle =
        std::make_unique<LifecycleDriver>(parts.config.datasets, parts.config.consume.group + "-lifecycle",
                                          parts.bus, parts.opensearch.any(), parts.registry, parts.health);
    parts.lifecycle->start();
  }
  return {};
}

std::size_t Prepper::stop(std::chrono::milliseconds drain) {
  Parts& parts = *parts_;
  for (const auto& counter : parts.counters) {
    counter->stop();
  }
  std::size_t left = 0;
  for (const auto& consumer : parts.consumers) {
    left += consumer->stop(drain);
  }
  if (parts.reloader != nullptr) {
    parts.reloader->stop();
  }
  if (parts.consumers.empty()) {
    return 0;
  }
  if (parts.lifecycle != nullptr) {
    parts.lifecycle->stop();
  }
  left += parts.parking->stop(std::chrono::milliseconds(0));
  parts.admin->stop();
  parts.writer->stop();
  for (const auto& consumer : parts.consumers) {
    consumer->join();
  }
  parts.parking->join();
  parts.dead_letters->flush(std::chrono::seconds(1));
  parts.parked->flush(std::chrono::seconds(1));
  return left;
}

bool Prepper::answer(net::HttpRequest& request, net::Responder& respond) {
  static const PipelineSource kNone;
  return parts_->tap.answer(request, parts_->pipelines != nullptr ? *parts_->pipelines : kNone, respond);
}

Progress Prepper::progress() const {
  const Parts& parts = *parts_;
  Progress out;
  if (parts.consumers.empty()) {
    return out;
  }
  const BulkWriter::Totals written = parts.writer->totals();
  for (const auto& consumer : parts.consumers) {
    const Consumer::Progress consumed = consumer->progress();
    out.records += consumed.records;
    out.in_flight += consumed.in_flight;
    out.lag += consumed.lag;
    if (consumed.oldest_unfinished_seconds) {
      out.oldest_unfinished_seconds =
          std::max(out.oldest_unfinished_seconds.value_or(0), *consumed.oldest_unfinished_seconds);
    }
  }
  out.created = written.created;
  out.duplicates = written.duplicates;
  out.dead_letters = written.dead_letters + parts.undecodable;
  out.bulk_bytes = written.bytes;
  return out;
}

}  // namespace naru::prepper
