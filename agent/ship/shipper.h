// Sends batches to the collector over a few connections and says when each is durable there.
//
// Every source keeps to one connection, with one request at a time, so the order of its records stands.
// Batches that wait for the same connection travel in one request, so that under load the wait for an fsync
// or for Kafka is shared. A batch is repeated until it is delivered, halved when it is refused as it is; a
// single record that is refused is held beside the queue and offered again every `held_retry`, never dropped.
// Bodies count against `in_flight_bytes_max` until they are delivered, so refusals that pile up end in
// backpressure. Does not note anything on disk: the caller does that before send() and after take_done().
// Threads: one per connection. All members may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/checkpoint/state.h"
#include "agent/config.h"
#include "agent/metrics.h"
#include "core/flow/retry_policy.h"
#include "core/net/http.h"
#include "core/telemetry/health.h"

namespace naru::agent {

struct Shipment {
  BatchNumber number = 0;
  std::uint64_t records = 0;
  std::uint64_t lost = 0;  // records of the batch whose bytes are gone; only told on
  std::string body;        // encoded request
};

struct Delivered {
  BatchNumber number = 0;
  Outcomes outcomes;  // rejected: by partial success; lost: as the shipment said
};

class Shipper {
 public:
  // `on_change` is called, from a connection's thread, when a batch was delivered or room came back.
  Shipper(const ShipConfig& config, const net::HttpTransportFactory& transports, Metrics& metrics,
          telemetry::Health& health, std::function<void()> on_change);
  ~Shipper();  // stop(0)

  void start();
  // Gives up retries, tries what is queued once more within `drain`, ends the threads. A request that is
  // under way is waited for (request_timeout). Idempotent.
  void stop(std::chrono::milliseconds drain);

  std::size_t lane_of(SourceKey key) const { return key % lanes_.size(); }
  std::size_t lanes() const { return lanes_.size(); }
  // The lane has nothing queued or under way.
  bool idle(std::size_t lane) const;
  void send(std::size_t lane, Shipment shipment);
  // Records that the journal of batches in flight holds and that were not made into shipments again yet: they
  // count as in flight until they are.
  void await_rebuild(std::uint64_t records);
  void rebuilt(std::uint64_t records);
  std::vector<Delivered> take_done();

  // Room for another batch. Held records take it too.
  bool has_room() const {
    return in_flight_bytes_.load(std::memory_order_relaxed) < config_.in_flight_bytes_max;
  }
  std::uint64_t in_flight_bytes() const { return in_flight_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t in_flight_records() const {
    return in_flight_records_.load(std::memory_order_relaxed) + expected_.load(std::memory_order_relaxed);
  }
  std::uint64_t sent_records() const { return sent_records_.load(std::memory_order_relaxed); }
  std::uint64_t delivered_records() const { return delivered_records_.load(std::memory_order_relaxed); }

 private:
  // A batch and what of it is not answered yet.
  struct Parcel {
    BatchNumber number = 0;
    std::uint64_t records_left = 0;
    Outcomes outcomes;
    std::uint64_t since = 0;  // monotonic
  };
  // One request of a parcel.
  struct Piece {
    std::shared_ptr<Parcel> parcel;
    std::string body;
    std::uint64_t records = 0;
  };
  struct Held {
    Piece piece;
    std::uint64_t due = 0;  // monotonic
  };
  struct Lane {
    std::size_t index = 0;
    std::unique_ptr<net::HttpTransport> transport;
    std::deque<Piece> queue;
    std::deque<Held> held;
    std::size_t alone = 0;              // so many pieces were refused together: each goes alone
    std::shared_ptr<Parcel> under_way;  // the oldest
    std::condition_variable changed;
    std::thread thread;
  };
  enum class Step { kGoOn, kStopped };

  void run(Lane& lane);
  Step deliver(Lane& lane, std::vector<Piece> pieces);
  // False: stopping.
  bool pause(Lane& lane, std::chrono::milliseconds wait);
  // For one request; none: stopping.
  std::vector<Piece> next_pieces(Lane& lane);
  void finish(const Piece& piece, std::uint64_t rejected);
  void refuse(Lane& lane, std::vector<Piece> pieces, const std::string& reason);
  void split_or_hold(Lane& lane, Piece piece, const std::string& reason);
  void note_answer(bool up, const std::string& reason);
  std::optional<double> oldest_age() const;

  const ShipConfig config_;
  Metrics& metrics_;
  telemetry::Health& health_;
  const std::function<void()> on_change_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Delivered> done_;
  bool stopping_ = false;
  std::uint64_t stop_at_ = 0;                        // monotonic; set with stopping_
  std::optional<bool> up_;                           // as last answered
  std::uint64_t told_at_ = 0, refusal_told_at_ = 0;  // monotonic
  std::size_t held_records_ = 0;
  std::atomic<std::uint64_t> in_flight_bytes_{0}, in_flight_records_{0}, expected_{0}, sent_records_{0},
      delivered_records_{0};
  std::shared_ptr<void> age_check_;
};

}  // namespace naru::agent
