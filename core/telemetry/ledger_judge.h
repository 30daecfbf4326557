// Whether the ledger balances (contracts.md 5), judged from several looks at programs that go on working.
// Pure.
//
// One look is no instant: a record may be counted as taken before it is counted as in flight. So a stage is
// called unbalanced only when nothing of it moves and its difference stays, or when its difference has one
// sign at every look for a long time.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/telemetry/exposition.h"

namespace naru::telemetry {

struct LedgerKey {
  std::string stage;   // agent, collector, prepper, writer
  std::string signal;  // logs, metrics, traces
  // In the direction of the records; stages that we do not know come last.
  std::strong_ordering operator<=>(const LedgerKey& other) const;
  bool operator==(const LedgerKey&) const = default;
};

struct LedgerCounts {
  std::int64_t accepted = 0, created = 0, delivered = 0, duplicate = 0, merged = 0, deadlettered = 0,
               parked = 0, dropped = 0, lost = 0, in_flight = 0;
  bool operator==(const LedgerCounts&) const = default;

  // Records that nobody accounts for; negative: more came out than went in.
  std::int64_t difference() const {
    return accepted + created - delivered - merged - deadlettered - dropped - lost - in_flight;
  }
};

// A metric of the ledger without naru_records_, the name that people read, and its place.
struct LedgerColumn {
  std::string_view metric, name;
  std::int64_t LedgerCounts::* count;
};
extern const std::array<LedgerColumn, 10> kLedgerColumns;
inline constexpr std::string_view kLedgerPrefix = "naru_records_";

using LedgerSample = std::map<LedgerKey, LedgerCounts>;

// Adds the samples `naru_records_*` of one page; all labels but stage and signal are summed.
void add_to_ledger(LedgerSample& ledger, const Exposition& page);

struct JudgeConfig {
  std::uint64_t quiet_ns = 2 * kNanosPerSecond;   // unchanged for so long = nothing moves
  std::uint64_t settle_ns = 5 * kNanosPerSecond;  // a difference of one sign for so long is real
};

class LedgerJudge {
 public:
  explicit LedgerJudge(JudgeConfig config) : config_(config) {}

  // The next look, at monotonic `now_ns`.
  void look(const LedgerSample& sample, std::uint64_t now_ns);
  // False: more looks may change the verdict. Certainly true after three times settle_ns.
  bool decided() const;

  struct Row {
    LedgerKey key;
    LedgerCounts counts;
    bool balanced = true;
  };
  std::vector<Row> verdict() const;

 private:
  struct Watched {
    LedgerCounts counts;
    std::uint64_t same_since = 0;
    std::uint64_t looks_same = 1;
    std::optional<std::uint64_t> off_since;  // a difference of this sign at every look
  };
  bool unbalanced(const Watched& row) const;

  const JudgeConfig config_;
  std::map<LedgerKey, Watched> rows_;
  std::uint64_t first_ns_ = 0, now_ns_ = 0;
};

}  // namespace naru::telemetry
