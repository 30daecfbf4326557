// Counts matching records per target in sliding windows and turns counts into statuses.
//
// Pure: time comes as a parameter, transitions go out as values. Does not match records (match.h), drop
// repeats (repeats.h) or publish. Not thread-safe.
//
// Time: a record counts in the second of its event time, or of its receive time when the two differ by more
// than `lateness`. A window of W seconds that ends with second e holds the seconds e-W+1 .. e. A status is
// raised as soon as one window holds more records than a threshold. It is lowered only on the word that
// everything received up to some time was counted (advance()), when no window over the threshold has ended
// for `hold` seconds; so the moment of lowering follows from the records alone and not from when somebody
// looked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "alerting/status/status.h"
#include "core/base/clock.h"

namespace naru::alerting {

struct CountingRule {
  std::string name;
  std::uint64_t critical_more_than = 100;
  std::optional<std::uint64_t> caution_more_than = {};
  std::uint32_t window_s = 60;
  std::uint32_t hold_s = 60;
};

struct CountingLimits {
  std::uint32_t lateness_s = 10;
  std::size_t targets_max = 10'000;           // with counts or a status; hits of further ones are refused
  std::size_t counts_per_target_max = 8'192;  // seconds x partitions of one rule; the oldest go first
};

// A matching record.
struct Hit {
  std::size_t rule = 0;  // index
  std::string_view target;
  std::uint32_t origin = 0;  // which partition, in the caller's numbering; see forget()
  std::int64_t offset = -1;
  UnixNanos event_time = 0;  // 0: unknown
  UnixNanos received = 0;
  // False: perhaps a second copy (contracts.md 8, `naru.resent`). It can raise CAUTION, never CRITICAL.
  bool certain = true;
};

struct Transition {
  std::string target;
  Status status = Status::kHealthy;
  Status previous = Status::kHealthy;
  UnixNanos at = 0;
  std::size_t rule = 0;
  std::uint64_t count = 0;      // in the fullest window; 0 on a way back
  std::uint64_t more_than = 0;  // the threshold that decided
  std::uint32_t origin = 0;     // of the hit that decided; unused on a way back
  std::int64_t offset = -1;
};

class Counting {
 public:
  Counting(std::vector<CountingRule> rules, const CountingLimits& limits);

  // The last known change of a target, decided by the named rule. Before the first hit. False: no rule has
  // that name, so the status stays as it is until a rule raises it further.
  bool restore(const std::string& target, Status status, Status previous, UnixNanos at,
               std::string_view rule);

  // Everything received before `caught_up_to` was counted and decided before a restart, and what was received
  // up to horizon_s() earlier will be counted again: until then nothing is lowered on the counts of windows
  // that are only partly there.
  void resume(UnixNanos caught_up_to);

  // False: refused, because targets_max is reached.
  bool count(const Hit& hit, std::vector<Transition>& out);

  // Everything received before `caught_up_to` was counted. Lower values than before are ignored.
  void advance(UnixNanos caught_up_to, std::vector<Transition>& out);

  // Nothing received before `settled` will ever be counted again (by a restart or by another owner), so the
  // memory of what was decided before it can go.
  void settle(UnixNanos settled);

  // Takes back what hits of `origin` counted: they will be counted again, here or elsewhere.
  void forget(std::uint32_t origin);

  // How far before the caught-up time records must be counted again after a restart, so that every later
  // decision is the same.
  std::uint64_t horizon_s() const;

  std::size_t targets() const { return targets_.size(); }
  std::uint64_t counts_dropped() const { return counts_dropped_; }

 private:
  struct Count {
    std::int64_t second = 0;
    std::uint32_t origin = 0;
    std::uint32_t certain = 0;
    std::uint32_t possible = 0;
  };
  // One rule on one target.
  struct Group {
    Status level = Status::kHealthy;
    std::uint64_t total = 0;    // of counts
    std::vector<Count> counts;  // ordered by second, then origin
    // The last window ends that were over the thresholds. A critical one counts for both.
    std::int64_t critical_until = kNever;
    std::int64_t caution_until = kNever;
  };
  struct Target {
    Status status = Status::kHealthy;
    Status floor = Status::kHealthy;  // restored from a rule that is gone
    // Windows that end here or earlier were decided before: counting them again changes nothing.
    std::int64_t decided_until = kNever;
    std::vector<Group> groups;  // one per rule
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  static constexpr std::int64_t kNever = INT64_MIN / 4;  // far enough from both ends to add seconds to it

  Target* find_or_add(std::string_view name);
  std::int64_t complete_at(UnixNanos caught_up_to) const;
  void add(Group& group, std::int64_t second, const Hit& hit);
  void raise(Target& target, const Hit& hit, UnixNanos counted_at, std::vector<Transition>& out);
  void lower(const std::string& name, Target& target, std::size_t rule, std::vector<Transition>& out);
  std::uint64_t caution_threshold(const CountingRule& rule) const;

  const std::vector<CountingRule> rules_;
  const CountingLimits limits_;
  std::unordered_map<std::string, Target, TextHash, std::equal_to<>> targets_;
  std::int64_t complete_until_ = kNever;  // windows that end here or earlier can get no more records
  std::uint64_t counts_dropped_ = 0;
};

}  // namespace naru::alerting
