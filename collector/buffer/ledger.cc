#include "collector/buffer/ledger.h"

#include <string>

namespace naru::collector {
namespace {

std::size_t index_of(otlp::Signal signal) {
  return static_cast<std::size_t>(signal);
}

}  // namespace

Ledger::Ledger(telemetry::Registry& registry) {
  for (const otlp::Signal signal : otlp::kSignals) {
    series_.emplace_back(registry, "collector", std::string(otlp::to_string(signal)), "default");
  }
}

void Ledger::publish(std::size_t index, const Outcome& outcome) {
  series_[index].delivered.add(outcome.delivered);
  series_[index].deadlettered.add(outcome.deadlettered);
  series_[index].lost.add(outcome.lost);
}

void Ledger::restore(const FinishedBySignal& stored) {
  const std::scoped_lock lock(mutex_);
  for (std::size_t i = 0; i < stored.size(); ++i) {
    finished_[i].accepted += stored[i].accepted;
    finished_[i].outcome += stored[i].outcome;
    series_[i].accepted.add(stored[i].accepted);
    publish(i, stored[i].outcome);
  }
}

void Ledger::settled(otlp::Signal signal, std::uint64_t records, const Outcome& outcome) {
  const std::size_t i = index_of(signal);
  const std::scoped_lock lock(mutex_);
  finished_[i].accepted += records;
  finished_[i].outcome += outcome;
  delivered_here_ += outcome.delivered;
  series_[i].accepted.add(records);
  publish(i, outcome);
}

void Ledger::entered_spill(otlp::Signal signal, std::uint64_t records) {
  const std::size_t i = index_of(signal);
  const std::scoped_lock lock(mutex_);
  in_spill_[i] += records;
  series_[i].accepted.add(records);
  series_[i].in_flight.set(static_cast<double>(in_spill_[i]));
}

void Ledger::left_spill(otlp::Signal signal, std::uint64_t records, const Outcome& outcome) {
  const std::size_t i = index_of(signal);
  const std::scoped_lock lock(mutex_);
  in_spill_[i] -= records;
  finished_[i].accepted += records;
  finished_[i].outcome += outcome;
  delivered_here_ += outcome.delivered;
  series_[i].in_flight.set(static_cast<double>(in_spill_[i]));
  publish(i, outcome);
}

FinishedBySignal Ledger::finished() const {
  const std::scoped_lock lock(mutex_);
  return finished_;
}

std::array<std::uint64_t, otlp::kSignals.size()> Ledger::in_spill() const {
  const std::scoped_lock lock(mutex_);
  return in_spill_;
}

std::uint64_t Ledger::delivered_here() const {
  const std::scoped_lock lock(mutex_);
  return delivered_here_;
}

}  // namespace naru::collector
