// Requests on disk while the bus is away, for senders that cannot wait (design.md invariant 1).
//
// docs/formats/collector-spill.md. Answers after fsync. One thread drains the oldest first, and again from
// the last stored position after a crash: identities make a repeat harmless. Belongs to no cluster:
// partitions are chosen when it drains. Does not decide what is spilled; Buffer does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "collector/buffer/ledger.h"
#include "collector/buffer/spilled_keys.h"
#include "collector/config.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/otlp/otlp.h"
#include "core/spool/file_system.h"
#include "core/spool/group_commit_log.h"
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

// The file beside the log: everything below `offset` has left the spill, and `finished` counts it.
struct SpillPosition {
  std::uint64_t offset = 0;
  FinishedBySignal finished{};
};
std::string encode_spill_position(const spool::LogId& log, const SpillPosition& position);
// nullopt: of another log, or not readable.
std::optional<SpillPosition> parse_spill_position(const spool::LogId& log, std::string_view text);

// A request on its way from the spill to the bus.
struct Draining {
  SpilledRequest request;
  // Filled by the deliverer.
  std::vector<RoutingKey> keys;
  std::optional<Outcome> outcome;  // nothing of it waits any more
};

// Thread-safe.
class Spill {
 public:
  // Sends the requests in order and waits, until `stop` says so. Fills what it got an outcome for; an error
  // when that are not all. Called on the spill's thread.
  using Deliver = std::function<Result<void>(std::span<Draining*> requests, const std::atomic<bool>& stop)>;

  // Counts what an earlier process left as accepted in `ledger`, which must outlive this. Errors as
  // SegmentLog::open().
  static Result<std::unique_ptr<Spill>> open(spool::FileSystem& files, const SpillConfig& config,
                                             Ledger& ledger, telemetry::Registry& registry);
  ~Spill();  // close()
  Spill(const Spill&) = delete;
  Spill& operator=(const Spill&) = delete;

  // Begins to drain.
  void start(Deliver deliver);
  // Stops draining; appends go on until close().
  void stop();
  // stop(); makes durable and answers what was appended, stores the position. Idempotent.
  void close();

  // Called on the writer's thread with the offset of the entry when it is durable, or with why it is not.
  using Done = std::move_only_function<void(Result<std::uint64_t>)>;
  // On error `done` is not called and `request` is left as it was. kNoSpace, kIo: the disk; kOverloaded: the
  // spill's bound.
  // `under_way` (or null) is true while the bus may still take the same request: until then it is not sent
  // again, nor what stands behind it. Call recheck() when it changes.
  using Flag = std::shared_ptr<const std::atomic<bool>>;
  Result<void> append(otlp::Signal signal, UnixMillis received_ms, std::uint64_t records,
                      std::string& request, std::span<const RoutingKey> keys, Flag under_way, Done done);
  void recheck() { wake_.notify_all(); }
  // The bus has finished the request of that entry after all: it need not be sent again.
  void finished_elsewhere(std::uint64_t offset, const Outcome& outcome, std::span<const RoutingKey> keys);

  // Whether a record with one of these keys has to go behind what waits here.
  bool holds(std::span<const RoutingKey> keys) const;
  // Requests taken and not yet drained.
  std::uint64_t requests() const;
  std::uint64_t bytes() const;
  // When the oldest request was received; 0: none.
  UnixMillis oldest_ms() const { return oldest_ms_.load(std::memory_order_relaxed); }

 private:
  using Range = std::pair<std::uint64_t, std::uint64_t>;  // [first, second)
  struct Batch;

  Spill(spool::FileSystem& files, const SpillConfig& config, Ledger& ledger, telemetry::Registry& registry);
  Result<void> load_position();
  Result<std::array<std::uint64_t, otlp::kSignals.size()>> count_records(std::uint64_t from,
                                                                         std::uint64_t to);
  Result<void> count_left_over();
  bool may_drain() const;
  void note_appended(std::uint64_t offset);
  void note_failed();
  void run();
  Result<void> drain_some(spool::LogReader& reader);
  Result<Batch> next_batch(spool::LogReader& reader);
  void pass(const Draining& entry, std::uint64_t offset);
  Result<void> pass_rest(const Batch& batch);
  void move_to(std::uint64_t position);
  Error refused(const Error& error);
  Error disk_failed(const Error& error);
  void disk_works();
  void store_position();

  spool::FileSystem& files_;
  const SpillConfig config_;
  Ledger& ledger_;
  telemetry::Counter repeats_spared_, position_failures_, damaged_bytes_;
  telemetry::Counter refused_full_, refused_failing_, refused_bound_;
  telemetry::Gauge disk_failing_;
  std::atomic<bool> disk_ok_{true};
  std::unique_ptr<spool::GroupCommitLog> log_;
  Deliver deliver_;
  std::atomic<UnixMillis> oldest_ms_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;

  // Of the drain thread.
  SpillPosition stored_;
  std::uint64_t next_store_ns_ = 0;

  mutable std::mutex mutex_;  // taken before the log's own
  std::condition_variable wake_;
  std::uint64_t position_ = 0;     // everything below it has left
  std::uint64_t settled_end_ = 0;  // what became of every append below it is known
  std::uint64_t pending_ = 0;      // appends without an answer
  // Entries that reached the log although their append was answered with an error: their senders send them
  // again.
  std::deque<Range> refused_;
  // By offset; bounded.
  std::map<std::uint64_t, std::pair<Outcome, std::vector<RoutingKey>>> finished_elsewhere_;
  std::map<std::uint64_t, Flag> under_way_;  // by offset; as many as the producer holds, at most
  std::optional<SpilledKeys> keys_;
};

}  // namespace naru::collector
