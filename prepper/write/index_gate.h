// Which indices take documents now, and when a held one is probed. Pure: time is a parameter.
//
// An index is held after a fault that is its own or the cluster's, and after too many documents in a row that
// it refused for the same reason (then the documents are not to blame). A held index gets one small probe at
// a time; the first success opens it. Not thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/flow/retry_policy.h"

namespace naru::prepper {

// Why an index takes nothing: label `cause` of the gauge of held indices.
enum class HoldCause : std::uint8_t {
  kUnavailable,  // 5xx, or nothing answers
  kDisk,         // flood stage
  kRefused,      // rights, a block, a closed index, the shard limit ...: a person must look
  kMapping,      // it refuses one document after the other alike
};
inline constexpr std::array kHoldCauses{HoldCause::kUnavailable, HoldCause::kDisk, HoldCause::kRefused,
                                        HoldCause::kMapping};
std::string_view to_string(HoldCause cause);

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

  // A document was taken.
  void succeeded(std::string_view index);
  // The index said something final about a document without taking it: documents may go there again, and
  // faults in a row are still counted.
  void answered(std::string_view index);
  // True when the index was open until now: the moment to raise an alarm.
  bool hold(std::string_view index, HoldCause cause, std::string reason, std::uint64_t now);
  // Counts a document's own fault. Too many alike in a row answer a reason to hold the index instead.
  std::optional<std::string> document_fault(std::string_view index, std::string_view type);

  // Since when a held index is held; 0 if it is open.
  std::uint64_t held_since(std::string_view index) const;
  struct Held {
    std::string index;
    HoldCause cause;
    std::string reason;
  };
  std::vector<Held> held() const;

 private:
  struct State;
  void schedule(State& state, std::uint64_t now);
  struct State {
    bool held = false;
    bool probing = false;
    std::uint64_t since = 0;
    std::uint32_t holds = 0;
    std::uint64_t probe_at = 0;
    HoldCause cause = HoldCause::kUnavailable;
    std::string reason;
    std::string fault_type;
    std::uint32_t faults = 0;
  };
  IndexGateConfig config_;
  flow::RetryPolicy policy_;
  std::map<std::string, State, std::less<>> states_;  // only indices with something to remember
};

}  // namespace naru::prepper
