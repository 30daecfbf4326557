#include "prepper/prepper.h"

#include <atomic>
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
        telemetry::Registry& metrics, telemetry::Health& checks)
      : config(std::move(prepper_config)),
        bus(message_bus),
        opensearch(std::move(access)),
        registry(metrics),
        health(checks),
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
  std::atomic<std::uint64_t> undecodable{0};
  PipelineMetrics pipeline_metrics;
  Tap tap;
  std::shared_ptr<PipelineSource> pipelines;  // nullptr: none are configured

  // Destroyed from the last to the first: answers of the bus to what is set aside tell the writer, and
  // messages report to their consumers to the end.
  std::unique_ptr<Consumer> consumer;
  std::unique_ptr<Parking> parking;
  std::unique_ptr<IndexAdmin> admin;
  std::unique_ptr<BulkWriter> writer;
  std::unique_ptr<DeadLetterWriter> dead_letters;
  std::unique_ptr<DeadLetterWriter> parked;
  std::unique_ptr<PipelineReloader> reloader;
  std::unique_ptr<LifecycleDriver> lifecycle;
  std::unique_ptr<CountService> counter;
};

Prepper::Prepper(PrepperConfig config, bus::Bus& bus, ClusterAccess opensearch, telemetry::Registry& registry,
                 telemetry::Health& health)
    : parts_(std::make_unique<Parts>(std::move(config), bus, std::move(opensearch), registry, health)) {}

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
    parts.counter = std::make_unique<CountService>(parts.config.count, parts.config.topics, parts.bus,
                                                   parts.pipelines, parts.registry, parts.health);
    NARU_TRY_VOID(parts.counter->start());
  }
  if (parts.config.index) {
    NARU_TRY_VOID(start_index());
  }
  if (parts.reloader != nullptr) {
    parts.reloader->start([&parts](const std::function<void()>& change) -> Result<void> {
      if (parts.consumer != nullptr) {
        return parts.consumer->at_rest(parts.config.pipelines.rest_max, change);
      }
      change();
      return {};
    });
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
  parts.consumer = std::make_unique<Consumer>(
      consumer_config(parts.config), parts.bus,
      [&parts](const std::string& cluster_id) {
        parts.dead_letters->set_cluster_id(cluster_id);
        return std::make_unique<Encoder>(
            encoder_config(parts.config, cluster_id, *parts.writer, parts.pipelines, &parts.tap),
            *parts.admin, parts);
      },
      [&parts] {
        parts.dead_letters->tick();
        parts.parked->tick();
        parts.writer->tick();
      },
      parts.registry, parts.health, &parts.pipeline_metrics);
  parts.writer->start();
  parts.parking->start();
  parts.consumer->start();
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
  if (parts.counter != nullptr) {
    parts.counter->stop();
  }
  if (parts.consumer == nullptr) {
    if (parts.reloader != nullptr) {
      parts.reloader->stop();
    }
    return 0;
  }
  std::size_t left = parts.consumer->stop(drain);
  if (parts.reloader != nullptr) {
    parts.reloader->stop();
  }
  if (parts.lifecycle != nullptr) {
    parts.lifecycle->stop();
  }
  left += parts.parking->stop(std::chrono::milliseconds(0));
  parts.admin->stop();
  parts.writer->stop();
  parts.consumer->join();
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
  if (parts.consumer == nullptr) {
    return out;
  }
  const Consumer::Progress consumed = parts.consumer->progress();
  const BulkWriter::Totals written = parts.writer->totals();
  out.records = consumed.records;
  out.in_flight = consumed.in_flight;
  out.lag = consumed.lag;
  out.oldest_unfinished_seconds = consumed.oldest_unfinished_seconds;
  out.created = written.created;
  out.duplicates = written.duplicates;
  out.dead_letters = written.dead_letters + parts.undecodable;
  out.bulk_bytes = written.bytes;
  return out;
}

}  // namespace naru::prepper
