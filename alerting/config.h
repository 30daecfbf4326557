// Configuration of rules, counting and status events. The reference is written from describe() in config.cc.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"

namespace naru::alerting {

// The lowest OTLP severity number of each name.
enum class Severity : std::uint8_t {
  kTrace = 1,
  kDebug = 5,
  kInfo = 9,
  kWarn = 13,
  kError = 17,
  kFatal = 21
};

// All that is given must hold. A condition on an attribute is the text that it must equal, or ">=NUMBER".
struct MatchConfig {
  std::optional<Severity> severity_at_least = {};
  std::string body_contains = {};
  std::string body_regex = {};  // RE2
  std::map<std::string, std::string> attributes = {};
  std::map<std::string, std::string> resource = {};
};

struct RuleConfig {
  std::string name;
  std::string target;
  MatchConfig match;
  std::uint64_t more_than = 100;
  std::optional<std::uint64_t> caution_more_than;
  std::chrono::seconds window{60};
  std::chrono::seconds hold{60};
};

struct CountingConfig {
  std::string group = "naru-rules";
  std::string logs_topic = "otlp_logs";
  std::chrono::seconds lateness{10};
  std::chrono::milliseconds commit_interval{5'000};
  std::chrono::milliseconds blind_after{30'000};
  std::size_t targets_max = 10'000;
  std::size_t sources_max = 100'000;
  std::size_t poll_records_max = 1'000;
};

struct StatusConfig {
  std::string topic = "naru.system-status";
  std::int16_t replication = 1;
  std::size_t pending_events_max = 10'000;
};

inline constexpr int kRulesMax = 1'000;

struct AlertingConfig {
  std::vector<RuleConfig> rules;
  CountingConfig counting;
  StatusConfig status;
};

void describe(config::Schema<MatchConfig>& schema);
void validate(const MatchConfig& match, config::Errors& errors);
void describe(config::Schema<RuleConfig>& schema);
void validate(const RuleConfig& rule, config::Errors& errors);
void describe(config::Schema<CountingConfig>& schema);
void describe(config::Schema<StatusConfig>& schema);
void describe(config::Schema<AlertingConfig>& schema);
void validate(const AlertingConfig& alerting, config::Errors& errors);

}  // namespace naru::alerting
