// Records set aside for a data set that takes none while others move on, and their way back.
//
// One topic per data set and signal, naru.parked.<dataset>.<signal>; a record counts as finished at its
// source once it is durable there. A reader of its own, in a group of its own, takes the topic in order
// through the encoder and the writer again; what it has read waits in the writer as all else does and is
// never parked again. Only data sets that the configuration names are parked, so that the number of topics is
// bounded; with `records_max` records parked and not drained it takes no more, and the prepper pauses
// instead. Threads: one of its own; takes() and park() from any.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "core/bus/bus.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"
#include "prepper/consume/consumer.h"
#include "prepper/deadletter/dead_letter_writer.h"
#include "prepper/parking/topic.h"
#include "prepper/process/batch.h"
#include "prepper/write/writer.h"

namespace naru::prepper {

struct ParkingConfig {
  std::set<std::string> datasets;  // that may be parked
  std::uint64_t records_max = 1'000'000;
  std::int16_t replication = -1;  // of the topics
};

class Parking : public ParkingSpace {
 public:
  // A reader of these topics, not started. It writes into the same writer.
  using MakeReader = std::function<std::unique_ptr<Consumer>(std::map<otlp::Signal, std::string> topics,
                                                             telemetry::Health& health)>;
  // `letters` puts the records on the bus. Everything must outlive this.
  Parking(ParkingConfig config, bus::Bus& bus, DeadLetterWriter& letters, MakeReader make_reader,
          telemetry::Registry& registry, std::string pipeline);
  ~Parking() override;  // stops without draining

  // Finds what an earlier run has parked and begins to drain it.
  void start();
  // Stops the readers within the deadline. Returns how many of their messages were left.
  std::size_t stop(std::chrono::milliseconds drain);
  // Ends the readers' workers; what they wait for must be stopped before.
  void join();

  bool takes(const std::string& dataset) const override;
  // Every document of the batch, all of one data set. Until they are durable, also while the bus is away,
  // they wait here.
  void park(BulkBatch batch, DeadLetterWriter::Written parked) override;

 private:
  struct Task {
    BulkBatch batch;
    DeadLetterWriter::Written parked;
  };
  void run();
  bool find_parked();
  // The topics of a data set exist and are read.
  Result<void> open(const std::string& dataset);
  void read(const std::string& dataset);
  void send(const Task& task);
  void observe();

  ParkingConfig config_;
  bus::Bus& bus_;
  DeadLetterWriter& letters_;
  MakeReader make_reader_;
  telemetry::Gauge waiting_;
  telemetry::Registry own_registry_;  // parked records are old: that turns no check red
  telemetry::Health health_{own_registry_};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::string cluster_id_;
  std::deque<Task> tasks_;
  std::map<std::string, std::unique_ptr<Consumer>> readers_;  // by data set
  std::atomic<bool> full_{false};
  std::thread thread_;
};

}  // namespace naru::prepper
