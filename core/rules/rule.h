// Alert rules as people declare them (config/rules/*.yaml, docs/rules.md), names close to Prometheus rule
// files.
//
// Counting (prepper/count) and deciding (alerting/rules) both read these files: a rule is known to both by
// its fingerprint, so counts of another version of a rule are told apart. Expressions are kept as text here;
// the counter compiles them. Pure but for load_rules().
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/otlp/otlp.h"

namespace naru::rules {

// Ordered: worse is greater.
enum class Level : std::uint8_t { kHealthy, kCaution, kCritical };
std::string_view to_string(Level level);  // HEALTHY, CAUTION, CRITICAL
std::optional<Level> parse_level(std::string_view text);

enum class Measure : std::uint8_t {
  kCount,       // records in the window
  kRate,        // records a second
  kRatio,       // share of the records for which `of` holds, 0 to 1
  kPercentile,  // `quantile` of `value`
  kDistinct,    // different `value`s, within about 3 %
  kMax,         // highest `value`
  kAbsence,     // no record for the whole window
};
std::string_view to_string(Measure measure);

inline constexpr std::size_t kRulesMax = 1'000;
inline constexpr std::size_t kLabelsMax = 8;        // of `by`
inline constexpr std::size_t kLabelBytesMax = 200;  // of one label's value; longer ones are cut
inline constexpr std::chrono::seconds kWindowMax{3600};

struct Rule {
  std::string name;   // `alert`
  std::string group;  // of its file
  otlp::Signal signal = otlp::Signal::kLogs;
  std::string pipeline;  // count what this pipeline makes of a record; empty: the record as it came
  std::string where;     // which records; empty: all
  std::map<std::string, std::string> by;  // label -> expression; one window for each combination of values
  Measure measure = Measure::kCount;
  std::string of;     // ratio
  std::string value;  // percentile, distinct, max
  double quantile = 0.99;
  std::chrono::seconds window{60};
  std::optional<double> caution_above, critical_above;
  Level absent = Level::kCritical;  // of an absence
  std::uint64_t minimum = 0;        // records in the window, for a ratio or a percentile to mean anything
  std::chrono::seconds pending{0};  // `for`
  std::chrono::seconds keep_firing_for{60};
  std::chrono::seconds forget_after{24 * 3600};  // absence: a group silent for so long is gone for good
  std::string target;                            // template over the labels
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;  // templates: summary, description, runbook_url

  // Of what decides which records count and how; the same text gives the same counts.
  std::uint64_t fingerprint() const;
  // The lowest threshold that fires, and the level that it means.
  double threshold(Level level) const;
};

// All rules of a directory. Immutable, shared.
class RuleSet {
 public:
  struct File {
    std::string path;
    std::string text;
  };
  // kInvalidArgument: every error of every file, one line each.
  static Result<std::shared_ptr<const RuleSet>> compile(const std::vector<File>& files);
  // These alone, as they are.
  static Result<std::shared_ptr<const RuleSet>> of(std::vector<Rule> rules);
  // *.yaml of the directory but *.test.yaml; an empty name gives no rules. kInvalidArgument, kNotFound, kIo.
  static Result<std::shared_ptr<const RuleSet>> load(const std::string& directory);

  const std::vector<Rule>& rules() const { return rules_; }
  const Rule* find(std::string_view name) const;
  const Rule* find(std::uint64_t fingerprint) const;
  const std::string& hash() const { return hash_; }  // of the texts, hexadecimal

 private:
  std::vector<Rule> rules_;
  std::map<std::uint64_t, std::size_t> by_fingerprint_;
  std::string hash_;
};

// Reads the files again when they changed. Not thread-safe.
class RuleDirectory {
 public:
  // `builtin`: the rules when no directory is named.
  explicit RuleDirectory(std::string directory, std::shared_ptr<const RuleSet> builtin = nullptr)
      : directory_(std::move(directory)), builtin_(std::move(builtin)) {}
  // nullptr: as before. An error, told once for each change: what there was goes on.
  Result<std::shared_ptr<const RuleSet>> look();

 private:
  const std::string directory_;
  const std::shared_ptr<const RuleSet> builtin_;
  std::string seen_;
  bool first_ = true;
};

}  // namespace naru::rules
