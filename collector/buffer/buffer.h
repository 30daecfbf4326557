// From an identified request to durable: produces it to the bus, or spills it, and answers then.
//
// A request is answered with success only when all of its records were acknowledged by the bus, or (clients
// only) when the whole request is on disk; and exactly once. What the bus refuses for its own fault is cut
// into halves, and single records of it become dead letters: neither a sender nor the spill waits for it for
// ever. No call blocks; answers come on threads of the bus or of the spill. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "collector/buffer/ledger.h"
#include "collector/buffer/spill.h"
#include "collector/config.h"
#include "core/bus/bus.h"
#include "core/flow/circuit_breaker.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::collector {

class Buffer {
 public:
  struct Submission {
    otlp::Signal signal = otlp::Signal::kLogs;
    Role role = Role::kClient;
    UnixMillis received_ms = 0;
    std::uint64_t records = 0;
    std::string request;  // identified
  };
  // kInvalidArgument, kTooLarge: the request's own fault. Anything else: not durable, send again.
  using Completion = std::move_only_function<void(Result<void>)>;

  // All arguments must outlive this.
  Buffer(const CollectorConfig& config, bus::Bus& bus, telemetry::Registry& registry,
         telemetry::Health& health, spool::FileSystem& files);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  // Opens the producer and the spill. A bus that is away is no error. Errors of Spill::open().
  Result<void> start();
  void submit(Submission submission, Completion done);
  // Waits at most `drain` for answers, then ends the threads. What is left is answered kCancelled.
  void stop(std::chrono::milliseconds drain);

  struct Progress {
    std::uint64_t requests_in_flight = 0;
    std::uint64_t spilled_requests = 0;
    std::uint64_t records_delivered = 0;
  };
  Progress progress() const;

 private:
  struct Request;
  struct Sending;
  struct Value;
  using RequestPtr = std::shared_ptr<Request>;
  using SendingPtr = std::shared_ptr<Sending>;

  struct Values;

  bool bus_open();
  Error bus_away();
  void report_bus(const Result<void>& outcome);
  void log_bus_away();
  Result<Values> to_values(otlp::Signal signal, Role role, UnixMillis received_ms, std::string request,
                           std::uint64_t records);
  void forget_one_for_test(otlp::Signal signal, std::vector<Value>& values) const;
  bool send_all(const SendingPtr& sending, std::vector<Value> values);
  bool send(const SendingPtr& sending, Value value);
  bool send_again(const SendingPtr& sending, Value value, const Error& refusal);
  static std::vector<Value> cut(otlp::Signal signal, const Value& value, std::size_t bytes_max);
  std::vector<Value> letters(otlp::Signal signal, const Value& value, const Error& refusal) const;
  static void settle(const SendingPtr& sending, const Result<Outcome>& outcome);
  void finish(const RequestPtr& request, const Result<Outcome>& outcome);
  bool may_spill(const Request& request) const;
  void spill_or_refuse(const RequestPtr& request, Error error);
  void spill(const RequestPtr& request);
  void spilled(const RequestPtr& request, const Result<std::uint64_t>& offset);
  void leave_to_spill(const RequestPtr& request, std::uint64_t offset);
  void refuse(const RequestPtr& request, Error error);
  void answer(const RequestPtr& request, Completion done, Result<void> outcome);
  Result<void> deliver_spilled(std::span<Draining*> requests, const std::atomic<bool>& stop);
  void housekeeping();
  void look_up_partitions();
  void expire_waiting();
  std::optional<double> oldest_age() const;

  const CollectorConfig& config_;
  bus::Bus& bus_;
  telemetry::Registry& registry_;
  telemetry::Health& health_;
  spool::FileSystem& files_;
  Ledger ledger_;
  telemetry::Counter spilled_, cut_records_, refused_, halved_;

  std::array<std::atomic<std::int32_t>, otlp::kSignals.size()> partitions_{};  // 0: unknown
  mutable std::mutex bus_mutex_;
  flow::CircuitBreaker breaker_;
  std::string bus_reason_;  // why it counts as down
  std::uint64_t next_away_log_ns_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<RequestPtr> in_flight_;  // oldest first
  bool stop_ = false;
  bool looked_up_ = false;

  std::vector<std::shared_ptr<void>> tokens_;
  std::unique_ptr<Spill> spill_;
  std::thread thread_;
  std::unique_ptr<bus::Producer> producer_;
  bus::Producer* sender_ = nullptr;  // producer_, also while it is ending and its last answers come
  std::atomic<bool> ending_{false};  // nothing is sent any more
  std::atomic<std::uint64_t> next_refusal_log_ns_{0};
};

}  // namespace naru::collector
