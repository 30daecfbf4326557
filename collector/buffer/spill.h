// Requests on disk while the bus is away, for senders that cannot wait (design.md invariant 1).
//
// docs/formats/collector-spill.md. Answers after fsync. One thread drains the oldest first, and again from
// the last stored position after a crash: identities make a repeat harmless. Belongs to no cluster:
// partitions are chosen when it drains. Does not decide what is spilled; Buffer does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "collector/config.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/otlp/otlp.h"
#include "core/spool/file_system.h"
#include "core/spool/group_commit_log.h"
#include "core/telemetry/ledger.h"
#include "core/telemetry/metrics.h"

namespace naru::collector {

// An identified export request.
struct SpilledRequest {
  otlp::Signal signal = otlp::Signal::kLogs;
  UnixMillis received_ms = 0;
  std::uint32_t records = 0;
  std::string_view request;
};

inline constexpr std::size_t kSpillHeadSize = 16;
std::string encode_spill_head(const SpilledRequest& request);
// kCorrupt: too short or an unknown signal; kUnsupported: a newer version.
Result<SpilledRequest> parse_spill_entry(std::string_view payload);

// Thread-safe.
class Spill {
 public:
  // Delivers all of them or fails; called on the spill's thread, may block until `stop` says so.
  using Deliver = std::function<Result<void>(std::span<const SpilledRequest>, const std::atomic<bool>& stop)>;
  // A request left the spill: delivered, or lost because its bytes are damaged (records 0: unknown).
  using Left = std::function<void(otlp::Signal, std::uint64_t records, bool delivered)>;

  // Counts what an earlier process left into `found` (one call per signal). Errors as SegmentLog::open().
  static Result<std::unique_ptr<Spill>> open(spool::FileSystem& files, const SpillConfig& config,
                                             std::function<void(otlp::Signal, std::uint64_t)> found);
  ~Spill();
  Spill(const Spill&) = delete;
  Spill& operator=(const Spill&) = delete;

  // Begins to drain.
  void start(Deliver deliver, Left left);
  // Stops draining; appends go on until destruction.
  void stop();

  // `done` is called on the writer's thread when the request is durable, or could not be made so. On error
  // `done` is not called and `request` is left as it was.
  using Done = std::move_only_function<void(Result<void>)>;
  Result<void> append(otlp::Signal signal, UnixMillis received_ms, std::uint64_t records,
                      std::string& request, Done done);

  // Requests taken and not yet drained. While there are any, new ones of the same senders go behind them.
  std::uint64_t requests() const { return requests_.load(std::memory_order_acquire); }
  std::uint64_t bytes() const;
  // When the oldest request was received; 0: none.
  UnixMillis oldest_ms() const { return oldest_ms_.load(std::memory_order_relaxed); }

 private:
  Spill(spool::FileSystem& files, const SpillConfig& config) : files_(files), config_(config) {}
  Result<void> load_position();
  Result<void> count_left_over(const std::function<void(otlp::Signal, std::uint64_t)>& found);
  void run();
  Result<bool> drain_some(spool::LogReader& reader);
  Result<void> store_position(std::uint64_t offset);
  void count_damage(const std::vector<spool::Damage>& damage);

  spool::FileSystem& files_;
  const SpillConfig config_;
  std::unique_ptr<spool::GroupCommitLog> log_;
  std::uint64_t position_ = 0;  // everything below is drained; of the drain thread
  Deliver deliver_;
  Left left_;
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<UnixMillis> oldest_ms_{0};
  std::atomic<bool> stop_{false};
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace naru::collector
