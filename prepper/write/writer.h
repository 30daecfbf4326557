// The bulk writers: a bounded number of threads that send batches and settle each document by its outcome.
//
// Every document that comes in ends created (perhaps in the index of late records), as a duplicate of what is
// there, or as a dead letter; until then it waits here, by index, and its source message is not finished. One
// held index does not stop another.
// Threads: `threads` of its own; submit() from any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/flow/retry_policy.h"
#include "core/flow/token_bucket.h"
#include "core/net/http.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"
#include "prepper/deadletter/dead_letter_writer.h"
#include "prepper/process/batch.h"
#include "prepper/write/batch_size.h"
#include "prepper/write/bulk_outcome.h"
#include "prepper/write/cluster_access.h"
#include "prepper/write/index_admin.h"
#include "prepper/write/index_gate.h"
#include "prepper/write/node_pool.h"
#include "prepper/write/write_limit.h"

namespace naru::prepper {

struct WriterConfig {
  std::uint32_t threads = 2;  // requests in flight at most
  std::size_t batch_bytes_min = 5u << 20, batch_bytes_max = 15u << 20;
  bool discovery = true;  // ask the cluster for its nodes, instead of the seeds alone
  std::string zone;       // nodes of this zone come first
  std::string zone_attribute = "zone";
  // Documents received longer ago than this are written at this rate at most; 0: at once.
  std::chrono::milliseconds backfill_after{0};
  std::uint64_t backfill_bytes_per_second = 0;
  std::uint32_t queue_batches_max = 4;  // encoded and not sent yet; submit() waits beyond
  std::chrono::milliseconds request_timeout{60'000};
  bool gzip = false;  // compress requests
  flow::RetryConfig retry{.first = std::chrono::milliseconds(200)};
  IndexGateConfig gate;
  std::uint64_t held_bytes_max = 32u << 20;    // of one data set, while others move on; beyond: parked
  std::chrono::milliseconds held_max{60'000};  // likewise
  std::string pipeline = "main";
  std::uint64_t seed = 1;  // of the jitter
};

// Takes documents of a data set that is held, so that they hold up no other. See prepper/parking/.
class ParkingSpace {
 public:
  virtual ~ParkingSpace() = default;
  virtual bool takes(const std::string& dataset) const = 0;
  // Finishes each document at its source when it is durable elsewhere.
  virtual void park(BulkBatch batch, DeadLetterWriter::Written parked) = 0;
};

class BulkWriter {
 public:
  // Everything must outlive this. `admin` creates missing indices.
  BulkWriter(WriterConfig config, ClusterAccess opensearch, IndexAdmin& admin, DeadLetterWriter& dead_letters,
             telemetry::Registry& registry, telemetry::Health& health);
  ~BulkWriter();  // stops

  // Before start(). Without it everything waits here.
  void set_parking(ParkingSpace* parking) { parking_ = parking; }
  // Likewise. nullptr: requests go out as fast as they are answered.
  void set_limit(WriteLimit* limit) { limit_ = limit; }
  void start();
  // Waits while the queue is full; after stop() the batch is dropped, its messages stay unfinished.
  void submit(BulkBatch batch);
  // Ends the threads; requests that are not answered are given up. What waits is dropped unfinished: it will
  // be consumed again, with the same ids.
  void stop();

  struct Totals {
    std::uint64_t created = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t dead_letters = 0;
    std::uint64_t bytes = 0;  // of bulk requests sent
  };
  Totals totals() const;
  // How long the encoders make a batch now.
  std::shared_ptr<const std::atomic<std::size_t>> batch_bytes() const { return batch_size_.now(); }
  // Logs what is held (every 30 s), sets the gauges, parks what is over its bound; about once a second.
  void tick();

 private:
  using Lock = std::unique_lock<std::mutex>;
  // Documents by the ledger of their partition; few.
  using DocumentCounts = std::vector<std::pair<std::shared_ptr<PartitionLedger>, std::int64_t>>;
  struct Work {
    enum class Kind : std::uint8_t {
      kBulk,
      kLook,      // nothing to send: ask whether OpenSearch is there
      kRetry,     // whether a node that failed answers again
      kDiscover,  // which nodes there are
    };
    Kind kind = Kind::kBulk;
    NodePool::Lease lease;
    BulkBatch batch;
    bool index_probe = false;
  };

  static void count_documents(const BulkBatch& batch, DocumentCounts& counts);
  void run(std::size_t thread);
  // The next batch to send; waits. False: stopping.
  bool take(Lock& lock, Work& work);
  bool take_index_probe(std::uint64_t now, Work& work);
  bool take_batch(std::uint64_t now, Work& work);
  bool look_due(std::uint64_t now) const;
  // Whether an old batch must wait for its rate; then it does, until its turn.
  bool wait_for_rate(BulkBatch& batch, std::uint64_t now);
  std::uint64_t next_wake() const;
  void set_held_apart(BulkBatch& batch);
  std::vector<BulkBatch> take_to_park(std::uint64_t now);

  Result<net::HttpResponse> send(net::HttpTransport& transport, const BulkBatch& batch);
  net::HttpTransport* transport_to(std::size_t thread, const std::string& url);
  // Asks what Work::Kind says; gives the lease back.
  void ask(net::HttpTransport* transport, const Work& work);
  void looked(Work::Kind kind, const Result<net::HttpResponse>& answer);
  void discover(net::HttpTransport& transport, const Work& work);
  // Tells pool and batch size how a bulk request went. Under the lock.
  void learn(const NodePool::Lease& lease, const BulkOutcome& outcome, double seconds, std::size_t bytes);
  void show_nodes();
  void settle(Work work, const BulkOutcome& outcome);
  void settle_items(BulkBatch batch, const BulkOutcome& outcome);
  void settle_request(BulkBatch batch, const BulkOutcome& outcome);
  void halve(const BulkBatch& batch, bool at_once);
  void create_missing(const BulkBatch& batch, std::span<const std::uint32_t> positions);
  // Documents of one index that is declared read-only: those that are there are done, the others are late.
  void find_or_divert(const BulkBatch& batch, std::span<const std::uint32_t> positions,
                      const std::string& reason);
  // Documents of one index that takes none of their period any more: to the index of late records, else dead
  // letters of type `late`.
  void divert(const BulkBatch& batch, std::span<const std::uint32_t> positions, int status,
              const std::string& reason);
  // `positions` empty: all.
  void finish_documents(const BulkBatch& batch, std::span<const std::uint32_t> positions,
                        std::span<const std::uint32_t> duplicates);
  void to_dead_letter(const BulkBatch& batch, std::uint32_t position, int status, std::string type,
                      std::string reason);
  void retry_later(BulkBatch batch, bool at_once = false);
  void hold_documents(BulkBatch batch, HoldCause cause, const std::string& reason);
  void index_succeeded(std::string_view index);
  void index_answered(std::string_view index);
  void release(std::string_view index);
  bool another_works();
  void cluster_answers();
  void cluster_fails(HoldCause cause, const std::string& reason);

  WriterConfig config_;
  ClusterAccess access_;
  IndexAdmin& admin_;
  DeadLetterWriter& dead_letters_;
  ParkingSpace* parking_ = nullptr;
  WriteLimit* limit_ = nullptr;
  telemetry::Registry& registry_;
  telemetry::Health& health_;
  telemetry::Histogram request_seconds_;
  telemetry::Counter request_bytes_;
  telemetry::Gauge waiting_batches_, concurrency_, batch_bytes_;
  telemetry::Counter backfill_waits_;
  std::map<HoldCause, telemetry::Gauge> indices_held_;
  telemetry::Counter late_found_, late_diverted_, late_letters_;

  mutable std::mutex mutex_;
  std::condition_variable work_, room_;
  bool stopping_ = false;
  std::deque<BulkBatch> ready_;
  std::multimap<std::uint64_t, BulkBatch> delayed_;                 // by the time when they are due
  std::map<std::string, std::deque<BulkBatch>, std::less<>> held_;  // by index
  std::map<std::string, std::uint64_t, std::less<>> moved_;  // by data set: when it last took something
  std::map<std::size_t, DocumentCounts> active_;             // documents being sent, by thread
  DocumentCounts counted_;                                   // by the last tick()
  std::uint32_t in_flight_ = 0;                              // requests
  std::vector<std::map<std::string, std::unique_ptr<net::HttpTransport>>>
      transports_;  // by thread and address
  NodePool pool_;
  BatchSize batch_size_;
  flow::TokenBucket backfill_;
  std::uint64_t discover_at_ = 0;
  std::map<std::string, telemetry::Gauge> node_limits_, node_up_;  // by address
  IndexGate gate_;  // the empty name stands for the whole cluster
  flow::RetryPolicy retry_;
  Totals totals_;
  std::uint64_t logged_ = 0;
  std::uint64_t look_at_ = 0;  // next look at an OpenSearch that nothing is sent to
  std::vector<std::thread> threads_;
};

}  // namespace naru::prepper
