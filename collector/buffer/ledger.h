// The collector's ledger (contracts.md 5): what it took responsibility for, and what became of it.
//
// A record counts as accepted when its sender was answered with success. What waits for that answer is still
// its sender's. So only the spill holds records in flight, and they are counted as they enter and leave it.
// Counts are by signal and for this process; Spill stores the finished ones beside its position. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/otlp/otlp.h"
#include "core/telemetry/ledger.h"
#include "core/telemetry/metrics.h"

namespace naru::collector {

// What became of the records of one request or of several.
struct Outcome {
  std::uint64_t delivered = 0;     // acknowledged by the bus
  std::uint64_t deadlettered = 0;  // kept as dead letters, acknowledged by the bus
  std::uint64_t lost = 0;          // gone; the log says why

  Outcome& operator+=(const Outcome& other) {
    delivered += other.delivered;
    deadlettered += other.deadlettered;
    lost += other.lost;
    return *this;
  }
  bool operator==(const Outcome&) const = default;
};

// Records that were accepted and of which nothing waits any more.
struct Finished {
  std::uint64_t accepted = 0;
  Outcome outcome;
  bool operator==(const Finished&) const = default;
};
using FinishedBySignal = std::array<Finished, otlp::kSignals.size()>;

class Ledger {
 public:
  explicit Ledger(telemetry::Registry& registry);

  // Goes on from counts that were stored.
  void restore(const FinishedBySignal& stored);
  // A request was accepted and is finished: it never saw the spill.
  void settled(otlp::Signal signal, std::uint64_t records, const Outcome& outcome);
  // A request was accepted and waits in the spill.
  void entered_spill(otlp::Signal signal, std::uint64_t records);
  // It has left the spill. `outcome` is what was seen to happen, not `records` in another form.
  void left_spill(otlp::Signal signal, std::uint64_t records, const Outcome& outcome);

  FinishedBySignal finished() const;
  std::array<std::uint64_t, otlp::kSignals.size()> in_spill() const;
  // Since this process began.
  std::uint64_t delivered_here() const;

 private:
  void publish(std::size_t index, const Outcome& outcome);

  std::vector<telemetry::StageLedger> series_;  // by signal
  mutable std::mutex mutex_;
  FinishedBySignal finished_;
  std::array<std::uint64_t, otlp::kSignals.size()> in_spill_{};
  std::uint64_t delivered_here_ = 0;
};

}  // namespace naru::collector
