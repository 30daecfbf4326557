// The counts of one group of one rule, and which of its windows were over a threshold.
//
// Pure. Seconds are of event time. Not thread-safe. A window of W seconds that ends with second e holds the
// seconds e-W+1 to e. Windows longer than kSlicesMax seconds slide by several seconds at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "core/rules/counts.h"
#include "core/rules/rule.h"
#include "core/rules/sketch.h"

namespace naru::alerting {

using rules::Level;

inline constexpr std::int64_t kSlicesMax = 300;
inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min() / 2;

// Ends of windows, one behind the other, that were over a threshold.
struct Run {
  std::int64_t from = kNever;
  std::int64_t until = kNever;

  void add(std::int64_t end) {
    if (until == kNever || end > until + 1) {
      *this = {end, end};
    } else {
      until = std::max(until, end);
      from = end >= from - 1 ? std::min(from, end) : from;
    }
  }
};

// What the fullest window over the highest threshold held.
struct Peak {
  Level level = Level::kHealthy;
  double value = 0;
  std::uint64_t records = 0;
};

class Window {
 public:
  // Seconds of one step; windows begin and end at its multiples.
  static std::int64_t step_of(const rules::Rule& rule);

  void add(const rules::Rule& rule, const rules::SecondCount& count);
  // Count and rate: looks at every window that holds second `changed`; more records can only raise them, so
  // what is over is over. Extends the runs.
  Peak look_ahead(const rules::Rule& rule, std::int64_t changed);
  // Every measure: the window that ends with `end`, as it is known now. Extends the runs.
  Peak look_at(const rules::Rule& rule, std::int64_t end);
  // Forgets what no window that ends with `end` or later can hold.
  void forget_before(const rules::Rule& rule, std::int64_t end);

  bool empty() const { return slices_.empty(); }
  std::int64_t newest() const { return newest_; }  // second; kNever: nothing ever came
  void set_newest(std::int64_t second) { newest_ = std::max(newest_, second); }
  Run& run(Level level) { return runs_[level == Level::kCritical ? 1 : 0]; }
  const Run& run(Level level) const { return runs_[level == Level::kCritical ? 1 : 0]; }

 private:
  using Sketch = std::vector<std::pair<std::int32_t, std::uint32_t>>;
  struct Slice {
    std::int64_t second = 0;
    std::uint32_t certain = 0, possible = 0, share = 0;
    std::unique_ptr<Sketch> sketch;
  };
  struct Sum {
    std::uint64_t certain = 0, possible = 0, share = 0;
  };
  Peak judge(const rules::Rule& rule, std::int64_t end, const Sum& sum, double sketched);

  std::vector<Slice> slices_;  // by second
  std::uint64_t total_ = 0;
  std::int64_t newest_ = kNever;
  Run runs_[2];  // caution, critical
};

}  // namespace naru::alerting
