#include "prepper/declaration/datasets.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/config/config.h"

namespace naru::prepper {

using namespace std::chrono_literals;

namespace {

template <class T>
void lay(T& to, const std::optional<T>& from) {
  if (from.has_value()) {
    to = *from;
  }
}

void lay_over(Dataset& to, const DatasetOverrides& from) {
  lay(to.period, from.period);
  lay(to.mapping, from.mapping);
  lay(to.hot_for, from.hot_for);
  lay(to.delete_after, from.delete_after);
  lay(to.read_only_after, from.read_only_after);
  lay(to.shards_per_hot_node, from.shards_per_hot_node);
  lay(to.shards, from.shards);
  lay(to.replicas, from.replicas);
  lay(to.warm_replicas, from.warm_replicas);
  lay(to.merge_segments, from.merge_segments);
  lay(to.total_shards_per_node, from.total_shards_per_node);
  lay(to.refresh_interval, from.refresh_interval);
  lay(to.translog_flush, from.translog_flush);
  lay(to.codec, from.codec);
  lay(to.fields_max, from.fields_max);
  lay(to.slow_log, from.slow_log);
}

const DatasetOverrides& of_signal(const DatasetEntry& entry, otlp::Signal signal) {
  switch (signal) {
    case otlp::Signal::kLogs: return entry.logs;
    case otlp::Signal::kMetrics: return entry.metrics;
    case otlp::Signal::kTraces: return entry.traces;
  }
  return entry.logs;
}

constexpr std::string_view kSignalKeys[] = {"logs", "metrics", "traces"};  // as otlp::kSignals

template <class S>
void describe_overrides(config::Schema<S>& s) {
  const auto own = []<class M>(M DatasetFields<std::optional>::* member) {
    return static_cast<M S::*>(member);
  };
  s.choice("period", own(&DatasetOverrides::period), "Time that one index covers (built in: day).",
           {{"hour", Period::kHour}, {"day", Period::kDay}, {"month", Period::kMonth}});
  s.field("mapping", own(&DatasetOverrides::mapping),
          "File in mappings_dir with its own index template; empty: the one of its signal.");
  s.field("hot_for", own(&DatasetOverrides::hot_for),
          "After the end of its period an index stays on hot nodes for so long (built in: 2d).");
  s.field("delete_after", own(&DatasetOverrides::delete_after),
          "After the end of its period an index is deleted, and none is created (built in: 30d).");
  s.field(
      "read_only_after", own(&DatasetOverrides::read_only_after),
      "After the end of its period an index takes no writes, late records go to <dataset>_late; 0s: never "
      "(built in).");
  s.field("shards_per_hot_node", own(&DatasetOverrides::shards_per_hot_node),
          "Primary shards for each hot node, or each data node without a hot tier (built in: 1).");
  s.field("shards", own(&DatasetOverrides::shards),
          "Primary shards, whatever the nodes; 0: by shards_per_hot_node (built in).");
  s.field("replicas", own(&DatasetOverrides::replicas),
          "Copies of each primary, at most one less than the nodes of the tier (built in: 1).");
  s.field("warm_replicas", own(&DatasetOverrides::warm_replicas),
          "The same on warm nodes (built in: 1); fewer than `replicas` cost less disk.");
  s.field("merge_segments", own(&DatasetOverrides::merge_segments),
          "Segments of a shard after the force merge on warm nodes; 0: no merge (built in: 1).");
  s.field("total_shards_per_node", own(&DatasetOverrides::total_shards_per_node),
          "Shards of one index on one hot node at most; 0: no limit (built in).");
  s.field("refresh_interval", own(&DatasetOverrides::refresh_interval),
          "How soon new documents can be searched (built in: 60s).");
  s.field("translog_flush", own(&DatasetOverrides::translog_flush),
          "Size of the translog at which a shard is flushed (built in: 1024mb).");
  s.field(
      "codec", own(&DatasetOverrides::codec),
      "Codec of stored fields: best_compression (built in), default, lz4, zlib, or zstd where its plugin is "
      "installed.");
  s.field("fields_max", own(&DatasetOverrides::fields_max),
          "Fields that a mapping may have (built in: 1000).");
  s.field("slow_log", own(&DatasetOverrides::slow_log), "Thresholds of the slow logs.");
}

}  // namespace

Dataset built_in_dataset() {
  return {.period = Period::kDay,
          .mapping = "",
          .hot_for = 48h,
          .delete_after = 30 * 24h,
          .read_only_after = 0s,
          .shards_per_hot_node = 1,
          .shards = 0,
          .replicas = 1,
          .warm_replicas = 1,
          .merge_segments = 1,
          .total_shards_per_node = 0,
          .refresh_interval = "60s",
          .translog_flush = "1024mb",
          .codec = "best_compression",
          .fields_max = 1000,
          .slow_log = {}};
}

Dataset Datasets::resolve(otlp::Signal signal, std::string_view name) const {
  Dataset out = built_in_dataset();
  lay_over(out, defaults);
  lay_over(out, of_signal(defaults, signal));
  if (const auto own = datasets.find(std::string(name)); own != datasets.end()) {
    lay_over(out, own->second);
    lay_over(out, of_signal(own->second, signal));
  }
  return out;
}

void describe(config::Schema<SlowLog>& s) {
  s.field("indexing_warn", &SlowLog::indexing_warn, "Indexing of one document, level warn; -1: off.");
  s.field("indexing_info", &SlowLog::indexing_info, "The same, level info.");
  s.field("query_warn", &SlowLog::query_warn, "Query phase of one shard, level warn.");
  s.field("query_info", &SlowLog::query_info, "The same, level info.");
  s.field("fetch_warn", &SlowLog::fetch_warn, "Fetch phase of one shard, level warn.");
}

void describe(config::Schema<DatasetOverrides>& s) {
  describe_overrides(s);
}

void describe(config::Schema<DatasetEntry>& s) {
  describe_overrides(s);
  s.field("logs", &DatasetEntry::logs, "What differs for logs.");
  s.field("metrics", &DatasetEntry::metrics, "What differs for metrics.");
  s.field("traces", &DatasetEntry::traces, "What differs for traces.");
}

void describe(config::Schema<ClusterDeclaration>& s) {
  s.field(
       "zones", &ClusterDeclaration::zones,
       "Zones that hold data, such as [dc1, dc2]: copies are spread over them, and those of a lost zone wait "
       "for it. Empty: not declared.")
      .max(16);
  s.field("zone_attribute", &ClusterDeclaration::zone_attribute,
          "Attribute (node.attr.*) that names a node's zone.");
  s.field("disk_low", &ClusterDeclaration::disk_low, "Disk watermark: no new shards on the node beyond.");
  s.field("disk_high", &ClusterDeclaration::disk_high, "Disk watermark: shards leave the node beyond.");
  s.field("disk_flood", &ClusterDeclaration::disk_flood,
          "Disk watermark: indices on the node become read-only beyond.");
  s.field("shards_per_node_max", &ClusterDeclaration::shards_per_node_max,
          "cluster.max_shards_per_node; 0: left as it is.");
}

void describe(config::Schema<TopicsDeclaration>& s) {
  s.field("partitions", &TopicsDeclaration::partitions, "Partitions of a topic that does not exist yet.")
      .min(1);
  s.field("replication", &TopicsDeclaration::replication,
          "Copies of each topic; -1 leaves it to the brokers.")
      .min(-1);
  s.field("min_insync_replicas", &TopicsDeclaration::min_insync_replicas,
          "Copies that must have a record before it is acknowledged; 0 leaves it to the brokers.");
  s.field("retention", &TopicsDeclaration::retention,
          "How long Kafka keeps records and dead letters; 0s leaves it to the brokers.");
}

void describe(config::Schema<LifecycleConfig>& s) {
  s.choice("driver", &LifecycleConfig::driver,
           "Who moves and deletes indices: ism (the plugin, by policy), naru (one of the preppers), auto "
           "(ism where "
           "the plugin is installed), off.",
           {{"auto", LifecycleBy::kAuto},
            {"ism", LifecycleBy::kIsm},
            {"naru", LifecycleBy::kNaru},
            {"off", LifecycleBy::kOff}});
  s.field("dry_run", &LifecycleConfig::dry_run, "Only log what would be done.");
  s.field("every", &LifecycleConfig::every, "How often the cluster is looked at.").min(100ms).max(1h);
  s.field(
       "create_ahead", &LifecycleConfig::create_ahead,
       "The index of the next period is created so long before it begins; 0s: when its first record comes.")
      .max(24h);
  s.field("moves_max", &LifecycleConfig::moves_max, "Indices on their way to warm nodes at once.").min(1);
  s.field("merges_max", &LifecycleConfig::merges_max, "Indices that are force-merged at once.").min(1);
  s.field("ism_margin", &LifecycleConfig::ism_margin,
          "Added to ages in an ISM policy, which count from an index's creation instead of its period.");
}

void describe(config::Schema<Datasets>& s) {
  s.field("defaults", &Datasets::defaults, "Of every data set, unless it says otherwise.");
  s.field("datasets", &Datasets::datasets, "Data sets by name. Those that are named here can be parked.")
      .max(1000);
  s.field("cluster", &Datasets::cluster, "The OpenSearch cluster.");
  s.field("topics", &Datasets::topics, "The Kafka topics.");
  s.field("lifecycle", &Datasets::lifecycle, "How indices move and end.");
}

void validate(const Datasets& datasets, config::Errors& errors) {
  for (const auto& [name, entry] : datasets.datasets) {
    if (normal_dataset(name) != name) {
      errors.add("datasets." + name, "a data set name has 1 to 64 lower-case letters, digits or underscores");
      continue;
    }
  }
  const auto check = [&](const std::string& key, std::size_t signal, std::string_view name) {
    const Dataset made = datasets.resolve(otlp::kSignals[signal], name);
    if (made.delete_after < 1s) {
      errors.add(key, "delete_after must be at least 1s");
    } else if (made.hot_for > made.delete_after) {
      errors.add(
          key, fmt::format("{}: hot_for is longer than delete_after: it would be deleted from hot nodes; say "
                           "hot_for: {}s or less",
                           kSignalKeys[signal], made.delete_after.count()));
    } else if (made.read_only_after > made.delete_after) {
      errors.add(key, "read_only_after is longer than delete_after");
    } else if (made.fields_max < 100) {
      errors.add(key, "fields_max is below 100: the fixed fields of our templates would not fit");
    } else if (!datasets.cluster.zones.empty() && made.replicas + 1 < datasets.cluster.zones.size()) {
      errors.add(
          key,
          fmt::format("{} zones are declared and replicas is {}: a zone would have no copy; say replicas: {}",
                      datasets.cluster.zones.size(), made.replicas, datasets.cluster.zones.size() - 1));
    }
  };
  for (std::size_t signal = 0; signal < otlp::kSignals.size(); ++signal) {
    check("defaults", signal, "");
    for (const auto& [name, entry] : datasets.datasets) {
      check("datasets." + name, signal, name);
    }
  }
}

Result<Datasets> load_datasets(const std::string& path) {
  return path.empty() ? Result<Datasets>(Datasets{}) : config::load_file<Datasets>(path);
}

}  // namespace naru::prepper
