// What the prepper can be told. Values are checked by find_problems(); program_config.h reads them from YAML.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/rules/counts.h"
#include "core/rules/rule.h"
#include "prepper/consume/lanes.h"
#include "prepper/declaration/datasets.h"
#include "prepper/process/index_name.h"
#include "prepper/write/write_limit.h"

namespace naru::prepper {

struct TopicsConfig {
  std::string logs = "otlp_logs";
  std::string metrics = "otlp_metrics";
  std::string traces = "otlp_spans";
  std::string dead_letters = "naru.deadletter";
};

struct ConsumeConfig {
  std::string group = "naru-prepper";
  std::uint32_t concurrency = 1;
  Order order = Order::kNone;
  std::uint64_t bytes_max = 128u << 20;
  std::uint64_t partition_bytes_max = 64u << 20;
  std::uint32_t messages_max = 10'000;
  std::chrono::milliseconds commit_interval{1'000};
};

struct TimeConfig {
  std::chrono::seconds older_max{7 * 24 * 3600};
  std::chrono::seconds newer_max{600};
};

struct BulkConfig {
  std::uint32_t writers = 2;
  std::uint64_t batch_bytes = 5u << 20;
  std::uint64_t batch_bytes_max = 15u << 20;
  bool discovery = true;
  std::string zone;
  std::chrono::milliseconds backfill_after{3'600'000};
  std::uint64_t backfill_bytes_per_second = 0;
  std::uint32_t queue_batches_max = 4;
  std::chrono::milliseconds linger{200};
  std::chrono::milliseconds request_timeout{60'000};
  bool gzip = false;
  std::chrono::milliseconds retry_first{200};
  std::chrono::milliseconds retry_max{30'000};
  std::chrono::milliseconds probe_max{10'000};
  std::uint32_t document_faults_max = 1'000;
  WriteLimitConfig limit;
};

struct ParkingLimits {
  std::uint64_t held_bytes_max = 32u << 20;
  std::chrono::milliseconds held_max{60'000};
  std::uint64_t records_max = 1'000'000;
};

struct PipelinesConfig {
  std::string directory;  // empty: none
  std::chrono::milliseconds look_every{1'000};
  std::chrono::milliseconds rest_max{30'000};
};

// Role `count`: what the rules count (docs/rules.md).
struct CountConfig {
  std::string rules;  // directory of rule files; empty: `builtin`, or nothing is counted
  std::shared_ptr<const rules::RuleSet> builtin;
  std::string group = "naru-rules";
  std::string topic = "naru.rule-counts";
  std::int32_t partitions = rules::kCountsPartitions;  // of the topic when it has to be created
  std::int16_t replication = 1;                        // likewise
  std::string instance;  // of the transactional id; one counter per instance. Empty: drawn at the start
  std::chrono::milliseconds publish_every{200};
  std::chrono::milliseconds look_every{1'000};
  std::chrono::seconds lateness{10};
  std::chrono::seconds remember{60};  // how long a repeat of a record is told across a restart
  std::size_t sources_max = 100'000;
  std::size_t groups_max = 20'000;
  std::size_t metrics_groups_max = 1'000;
  std::string cluster;  // of several, which one this counter reads; set by the prepper
  std::chrono::milliseconds blind_after{5'000};
};

struct PrepperConfig {
  bool index = true;  // role `index`: write documents
  std::string pipeline = "main";
  std::string dataset;       // empty: data_stream.dataset of each resource, else `default`
  std::string mappings_dir;  // empty: the templates and promoted fields of the program
  PipelinesConfig pipelines;
  TopicsConfig topics;
  ConsumeConfig consume;
  TimeConfig time;
  BulkConfig bulk;
  ParkingLimits parking;
  CountConfig count;
  Datasets datasets;  // of the file that the program's configuration names
};

struct Problem {
  std::string key;  // dotted
  std::string sentence;
};
std::vector<Problem> find_problems(const PrepperConfig& config);

// Hash of everything that decides what becomes of a record, for dead letters.
std::string config_hash(const PrepperConfig& config);

}  // namespace naru::prepper
