// The ledger of the stages prepper and writer by partition (contracts.md 5): what became of the records of
// one assigned partition, from the counts that its commits carried on.
//
// Counted live, for /metrics; and per message (LedgerTally), so that a commit carries the counts of exactly
// the messages that it covers (docs/formats/commit-metadata.md). Then a crash neither loses nor doubles a
// count: what is consumed again is counted again from where the commit stands.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/telemetry/metrics.h"

namespace naru::prepper {

enum class Stage : std::uint8_t { kPrepper, kWriter };
inline constexpr std::size_t kStages = 2;

// `duplicate` and `parked` are inside `delivered`.
enum class Fate : std::uint8_t {
  kAccepted,
  kCreated,
  kDelivered,
  kDuplicate,
  kMerged,
  kDeadlettered,
  kParked,
  kLost,
  kDropped,  // on purpose, by a rule of a pipeline
};
inline constexpr std::size_t kFates = 9;

constexpr std::size_t ledger_slot(Stage stage, Fate fate) {
  return static_cast<std::size_t>(stage) * kFates + static_cast<std::size_t>(fate);
}

// Plain counts.
struct LedgerCounts {
  std::array<std::uint64_t, kStages * kFates> slots{};

  std::uint64_t of(Stage stage, Fate fate) const { return slots[ledger_slot(stage, fate)]; }
  LedgerCounts& operator+=(const LedgerCounts& other);
  LedgerCounts& operator-=(const LedgerCounts& other);
  bool operator==(const LedgerCounts&) const = default;

  // As in commit metadata, at most 512 bytes.
  std::string text() const;
  static std::optional<LedgerCounts> parse(std::string_view text);
};

// Counts of one message. Thread-safe.
class LedgerTally {
 public:
  void add(Stage stage, Fate fate, std::uint32_t n) {
    slots_[ledger_slot(stage, fate)].fetch_add(n, std::memory_order_relaxed);
  }
  LedgerCounts counts() const;

 private:
  std::array<std::atomic<std::uint32_t>, kStages * kFates> slots_{};
};

// Live counts of one assignment. Thread-safe. Results that come after the partition went away may still be
// added; nobody sees them.
class PartitionLedger {
 public:
  explicit PartitionLedger(const LedgerCounts& base);

  void add(Stage stage, Fate fate, std::uint64_t n) {
    slots_[ledger_slot(stage, fate)].fetch_add(n, std::memory_order_relaxed);
  }
  std::uint64_t value(Stage stage, Fate fate) const {
    return slots_[ledger_slot(stage, fate)].load(std::memory_order_relaxed);
  }
  // Prepper: records of unfinished messages. Writer: dead letters on their way to the bus.
  void add_in_flight(Stage stage, std::int64_t n) {
    in_flight_[static_cast<std::size_t>(stage)].fetch_add(n, std::memory_order_relaxed);
  }
  // Documents in the writer's queues and requests, as last counted there.
  void set_queued(std::int64_t n) { queued_.store(n, std::memory_order_relaxed); }
  std::int64_t in_flight(Stage stage) const {
    return in_flight_[static_cast<std::size_t>(stage)].load(std::memory_order_relaxed) +
           (stage == Stage::kWriter ? queued_.load(std::memory_order_relaxed) : 0);
  }
  // Consumed values and their documents that are not finished.
  void add_held_bytes(std::int64_t n) { held_bytes_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t held_bytes() const {
    return static_cast<std::uint64_t>(held_bytes_.load(std::memory_order_relaxed));
  }

 private:
  std::array<std::atomic<std::uint64_t>, kStages * kFates> slots_{};
  std::array<std::atomic<std::int64_t>, kStages> in_flight_{};
  std::atomic<std::int64_t> held_bytes_{0};
  std::atomic<std::int64_t> queued_{0};
};

// Shows a ledger as naru_records_* with the labels of its partition, until dropped.
class LedgerSeries {
 public:
  LedgerSeries(telemetry::Registry& registry, std::shared_ptr<const PartitionLedger> ledger,
               const std::string& signal, const std::string& pipeline, const std::string& topic,
               std::int32_t partition);

 private:
  std::vector<std::shared_ptr<void>> tokens_;
};

}  // namespace naru::prepper
