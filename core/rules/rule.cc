#include "core/rules/rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/config/config.h"
#include "core/rules/rule_config.h"

namespace naru::rules {
namespace {

constexpr std::array kLevels = {Level::kHealthy, Level::kCaution, Level::kCritical};

void append_part(std::string& out, std::string_view part) {
  append_le(out, static_cast<std::uint32_t>(part.size()));
  out.append(part);
}

Result<std::vector<RuleSet::File>> read_files(const std::string& directory) {
  std::vector<RuleSet::File> files;
  if (directory.empty()) {
    return files;
  }
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  if (error) {
    return fail(ErrorCode::kNotFound,
                fmt::format("the directory of rules {} cannot be read: {}", directory, error.message()));
  }
  std::vector<std::string> paths;
  for (const auto& entry : entries) {
    const std::string path = entry.path().string();
    if (path.ends_with(".yaml") && !path.ends_with(".test.yaml")) {
      paths.push_back(path);
    }
  }
  std::ranges::sort(paths);
  for (const std::string& path : paths) {
    NARU_TRY(std::string text, config::read_config_file(path));
    files.push_back({path, std::move(text)});
  }
  return files;
}

std::string hash_of(const std::vector<RuleSet::File>& files) {
  std::string all;
  for (const RuleSet::File& file : files) {
    append_part(all, file.path);
    append_part(all, file.text);
  }
  std::string bytes;
  append_le(bytes, xxh3_64(all));
  return to_hex(bytes);
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kHealthy: return "HEALTHY";
    case Level::kCaution: return "CAUTION";
    case Level::kCritical: return "CRITICAL";
  }
  return "HEALTHY";
}

std::optional<Level> parse_level(std::string_view text) {
  for (const Level level : kLevels) {
    if (text == to_string(level)) {
      return level;
    }
  }
  return std::nullopt;
}

std::string_view to_string(Measure measure) {
  switch (measure) {
    case Measure::kCount: return "count";
    case Measure::kRate: return "rate";
    case Measure::kRatio: return "ratio";
    case Measure::kPercentile: return "percentile";
    case Measure::kDistinct: return "distinct";
    case Measure::kMax: return "max";
    case Measure::kAbsence: return "absence";
  }
  return "count";
}

std::uint64_t Rule::fingerprint() const {
  std::string key;
  append_part(key, name);
  append_part(key, otlp::to_string(signal));
  append_part(key, pipeline);
  append_part(key, where);
  for (const auto& [label, expression] : by) {
    append_part(key, label);
    append_part(key, expression);
  }
  append_part(key, to_string(measure));
  append_part(key, of);
  append_part(key, value);
  return xxh3_64(key);
}

double Rule::threshold(Level level) const {
  if (level == Level::kCritical && critical_above) {
    return *critical_above;
  }
  return caution_above.value_or(critical_above.value_or(0));
}

Result<std::shared_ptr<const RuleSet>> RuleSet::compile(const std::vector<File>& files) {
  auto set = std::make_shared<RuleSet>();
  std::string errors;
  std::set<std::string> names;
  for (const File& file : files) {
    Result<RuleFile> read = config::load_text<RuleFile>(file.text, file.path);
    if (!read) {
      errors += (errors.empty() ? "" : "\n") + read.error().message();
      continue;
    }
    for (RuleGroup& group : read->groups) {
      for (Rule& rule : group.rules) {
        if (!names.insert(rule.name).second) {
          errors += fmt::format("{}{}: two rules are named \"{}\"; give each its own name",
                                errors.empty() ? "" : "\n", file.path, rule.name);
        }
        rule.group = group.name;
        set->by_fingerprint_.emplace(rule.fingerprint(), set->rules_.size());
        set->rules_.push_back(std::move(rule));
      }
    }
  }
  if (set->rules_.size() > kRulesMax) {
    errors += fmt::format("{}there are {} rules, the limit is {}", errors.empty() ? "" : "\n",
                          set->rules_.size(), kRulesMax);
  }
  if (!errors.empty()) {
    return fail(ErrorCode::kInvalidArgument, errors);
  }
  set->hash_ = hash_of(files);
  return set;
}

Result<std::shared_ptr<const RuleSet>> RuleSet::of(std::vector<Rule> rules) {
  auto set = std::make_shared<RuleSet>();
  for (Rule& rule : rules) {
    set->by_fingerprint_.emplace(rule.fingerprint(), set->rules_.size());
    set->rules_.push_back(std::move(rule));
  }
  return set;
}

Result<std::shared_ptr<const RuleSet>> RuleSet::load(const std::string& directory) {
  NARU_TRY(const std::vector<File> files, read_files(directory));
  return compile(files);
}

const Rule* RuleSet::find(std::string_view name) const {
  const auto found = std::ranges::find(rules_, name, &Rule::name);
  return found == rules_.end() ? nullptr : &*found;
}

const Rule* RuleSet::find(std::uint64_t fingerprint) const {
  const auto found = by_fingerprint_.find(fingerprint);
  return found == by_fingerprint_.end() ? nullptr : &rules_[found->second];
}

Result<std::shared_ptr<const RuleSet>> RuleDirectory::look() {
  NARU_TRY(const std::vector<RuleSet::File> files, read_files(directory_));
  std::string now = hash_of(files);
  if (!first_ && now == seen_) {
    return std::shared_ptr<const RuleSet>();
  }
  const bool first = std::exchange(first_, false);
  seen_ = std::move(now);
  if (first && directory_.empty() && builtin_ != nullptr) {
    return builtin_;
  }
  return RuleSet::compile(files);
}

}  // namespace naru::rules
