// Which indices take documents now, and when a held one is probed. Pure: time is a parameter.
//
// An index is held after a fault that is its own or the cluster's, and after too many documents in a row that
// it refused for the same reason (then the documents are not to blame). A held index gets one small probe at
// a time; the first success opens it. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/flow/retry_policy.h"

namespace naru::prepper {

struct IndexGateConfig {
  flow::RetryConfig probe{.first = std::chrono::milliseconds(1'000),
                          .max = std::chrono::milliseconds(10'000),
                          .floor = std::chrono::milliseconds(500)};
  std::uint32_t document_faults_max = 1'000;  // in a row, of the same type
};

class IndexGate {
 public:
  IndexGate(IndexGateConfig config, std::uint64_t seed) : config_(config), policy_(config.probe, seed) {}

  // Whether documents may go to `index` now (nanoseconds of a steady clock).
  bool open(std::string_view index) const;
  // A held index: whether a probe may go now.
  bool probe_due(std::string_view index, std::uint64_t now) const;
  // Reserves the probe that is due until hold(), succeeded() or end_probe().
  void take_probe(std::string_view index);
  // A probe that said nothing about its index: the next one comes later.
  void end_probe(std::string_view index, std::uint64_t now);
  // When the next probe of a held index is due; the end of time while one is on its way.
  std::uint64_t probe_at(std::string_view index) const;

  void succeeded(std::string_view index);
  // True when the index was open until now: the moment to raise an alarm.
  bool hold(std::string_view index, std::string reason, std::uint64_t now);
  // Counts a document's own fault. Too many alike in a row answer a reason to hold the index instead.
  std::optional<std::string> document_fault(std::string_view index, std::string_view type);

  // Held indices with their reasons.
  std::map<std::string, std::string> held() const;

 private:
  struct State;
  void schedule(State& state, std::uint64_t now);
  struct State {
    bool held = false;
    bool probing = false;
    std::uint32_t holds = 0;
    std::uint64_t probe_at = 0;
    std::string reason;
    std::string fault_type;
    std::uint32_t faults = 0;
  };
  IndexGateConfig config_;
  flow::RetryPolicy policy_;
  std::map<std::string, State, std::less<>> states_;  // only indices with something to remember
};

}  // namespace naru::prepper
