// What an operator declares about data sets, their cluster and their topics: config/datasets.yaml.
//
// One declaration for everything that must agree on it: `naru bootstrap` makes templates, policies, settings
// and topics of it, the prepper names indices by it, the lifecycle moves and deletes by it, `naru doctor`
// compares a live cluster with it. Values only; nothing here talks to a cluster.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/config/schema.h"
#include "core/otlp/otlp.h"
#include "prepper/process/index_name.h"

namespace naru::prepper {

// Thresholds in OpenSearch's form ("10s"; "-1": off).
struct SlowLog {
  std::string indexing_warn = "10s";
  std::string indexing_info = "5s";
  std::string query_warn = "10s";
  std::string query_info = "5s";
  std::string fetch_warn = "1s";
};

// Every setting of one data set of one signal; `Of` is the plain type, or std::optional where only some are
// said.
template <template <class> class Of>
struct DatasetFields {
  Of<Period> period;
  Of<std::string> mapping;                   // file in mappings_dir; empty: the one of the signal
  Of<std::chrono::seconds> hot_for;          // after the end of its period an index stays on hot nodes
  Of<std::chrono::seconds> delete_after;     // after the end of its period
  Of<std::chrono::seconds> read_only_after;  // likewise; 0: never
  Of<std::uint32_t> shards_per_hot_node;     // primaries
  Of<std::uint32_t> shards;                  // primaries, whatever the nodes; 0: by shards_per_hot_node
  Of<std::uint32_t> replicas;                // while hot
  Of<std::uint32_t> warm_replicas;           // after the move
  Of<std::uint32_t> merge_segments;          // segments of a shard after the move; 0: not merged
  Of<std::uint32_t> total_shards_per_node;   // while hot; 0: no limit
  Of<std::string> refresh_interval;
  Of<std::string> translog_flush;
  Of<std::string> codec;
  Of<std::uint32_t> fields_max;
  Of<SlowLog> slow_log;
};
template <class T>
using Itself = T;

using Dataset = DatasetFields<Itself>;
Dataset built_in_dataset();

struct DatasetOverrides : DatasetFields<std::optional> {};
// What is said of a data set, and beyond that of one of its signals.
struct DatasetEntry : DatasetOverrides {
  DatasetOverrides logs, metrics, traces;
};

struct ClusterDeclaration {
  std::vector<std::string> zones;       // empty: no awareness is declared
  std::string zone_attribute = "zone";  // node.attr.<this>
  std::string disk_low = "85%", disk_high = "90%", disk_flood = "95%";
  std::uint32_t shards_per_node_max = 0;  // cluster.max_shards_per_node; 0: as it is
};

struct TopicsDeclaration {
  std::int32_t partitions = 4;
  std::int16_t replication = -1;          // -1: the broker's default
  std::uint32_t min_insync_replicas = 0;  // 0: the broker's default
  std::chrono::seconds retention{0};      // of signals and dead letters; 0: the broker's default
};

enum class LifecycleBy : std::uint8_t {
  kAuto,  // ISM where the plugin answers, else Naru's own
  kIsm,
  kNaru,
  kOff,
};

struct LifecycleConfig {
  LifecycleBy driver = LifecycleBy::kAuto;
  bool dry_run = false;
  std::chrono::milliseconds every{30'000};
  std::chrono::seconds create_ahead{3600};
  std::uint32_t moves_max = 2;                 // indices on their way to warm nodes at once
  std::uint32_t merges_max = 1;                // force merges at once
  std::chrono::seconds ism_margin{24 * 3600};  // ISM counts ages from creation; see lifecycle/ism_policy.h
};

struct Datasets {
  DatasetEntry defaults;
  std::map<std::string, DatasetEntry> datasets;
  ClusterDeclaration cluster;
  TopicsDeclaration topics;
  LifecycleConfig lifecycle;

  // Built-in values, then `defaults`, then those of its signal, then the data set's, then its signal's.
  Dataset resolve(otlp::Signal signal, std::string_view name) const;
};

// kNotFound, kIo: the file; kInvalidArgument: every error in it. An empty path: nothing is declared.
Result<Datasets> load_datasets(const std::string& path);

void describe(config::Schema<Datasets>& schema);
void validate(const Datasets& datasets, config::Errors& errors);

}  // namespace naru::prepper
