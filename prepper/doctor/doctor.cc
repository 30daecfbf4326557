#include "prepper/doctor/doctor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include "prepper/bootstrap/bootstrap.h"
#include "prepper/bootstrap/index_template.h"
#include "prepper/bootstrap/mapping_extension.h"
#include "prepper/contract/strict_mapping.h"
#include "prepper/lifecycle/ism_policy.h"

namespace naru::prepper {
namespace {

constexpr double kNear = 0.8;                           // of a limit
constexpr double kDiskNear = 0.05;                      // below the low watermark
constexpr std::uint64_t kSmallShardBytes = 1ULL << 30;  // so small that fewer would do
constexpr std::size_t kSmallShardsMin = 100;            // that many of them are oversharding
constexpr std::uint64_t kLargeShardBytes = 50ULL << 30;
constexpr std::uint32_t kShardsPerNodeDefault = 1'000;
constexpr std::size_t kNamesMax = 5;
constexpr std::string_view kApply = "naru bootstrap --config prepper.yaml --apply";

std::string names(const std::vector<std::string>& all) {
  const std::size_t shown = std::min(all.size(), kNamesMax);
  return fmt::format("{}{}", fmt::join(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                     shown < all.size() ? fmt::format(" and {} more", all.size() - shown) : "");
}

// "85%" or "0.85"; nullopt for sizes.
std::optional<double> ratio(std::string_view text) {
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) {
    return std::nullopt;
  }
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit == "%") {
    return out / 100;
  }
  return unit.empty() && out <= 1 ? std::optional(out) : std::nullopt;
}

class Doctor {
 public:
  explicit Doctor(const DoctorInput& input)
      : in_(input), cluster_(input.cluster), declared_(input.config.datasets) {}

  std::vector<Finding> run() {
    mappings();
    settings();
    shards();
    unassigned();
    tiers();
    nodes();
    cluster_settings();
    topics();
    std::ranges::sort(out_, {},
                      [](const Finding& one) { return std::tie(one.check, one.subject, one.what); });
    return std::move(out_);
  }

 private:
  void find(std::string check, std::string subject, std::string what, std::string mend) {
    out_.push_back({std::move(check), std::move(subject), std::move(what), std::move(mend)});
  }
  // One finding for all indices with the same sentence.
  void find_indices(const std::string& check,
                    const std::map<std::string, std::vector<std::string>>& by_sentence,
                    const std::string& mend) {
    for (const auto& [what, indices] : by_sentence) {
      find(check, names(indices), what, mend);
    }
  }
  Dataset dataset(const LiveIndex& index) const {
    return declared_.resolve(index.target.signal, index.target.dataset);
  }
  std::string_view template_text(const LiveIndex& index) const {
    const auto at = std::ranges::find(in_.mappings.templates, index.target.signal, &DeclaredTemplate::signal);
    return at == in_.mappings.templates.end() ? std::string_view() : std::string_view(at->text);
  }

  void mappings() {
    std::map<std::string, std::vector<std::string>> forbidden, near, older, conflicts;
    for (const LiveIndex& index : cluster_.indices) {
      const auto mapping = StrictMapping::parse(index.mapping);
      if (!mapping || index.closed) {
        continue;
      }
      for (const std::string& reason : mapping->forbidden()) {
        forbidden[reason].push_back(index.target.name);
      }
      const std::uint32_t limit = dataset(index).fields_max;
      if (static_cast<double>(mapping->fields()) >= kNear * limit) {
        near[fmt::format("{} fields of at most {}", mapping->fields(), limit)].push_back(index.target.name);
      }
      if (!dataset(index).mapping.empty()) {
        continue;  // of a file of its own: bootstrap compares those
      }
      const MappingExtension extension = extend_mapping(template_text(index), index.mapping);
      if (!extension.added.empty()) {
        older[fmt::format("older than the template: no {}", names(extension.added))].push_back(
            index.target.name);
      }
      for (const std::string& conflict : extension.conflicts) {
        conflicts[conflict].push_back(index.target.name);
      }
    }
    find_indices("mapping", forbidden,
                 "it cannot be changed in place: correct the template (naru contract check), the next index "
                 "has it; reindex "
                 "this one or wait for its deletion");
    find_indices(
        "field limit", near,
        "declare fewer promoted fields, or raise fields_max in datasets.yaml; then " + std::string(kApply));
    find_indices("old mapping", older, std::string(kApply));
    find_indices("mapping conflict", conflicts,
                 "a field of an existing index cannot change; its next index has the declared type");
  }

  void settings() {
    std::map<std::string, std::vector<std::string>> differ, blocked;
    for (const LiveIndex& index : cluster_.indices) {
      if (index.closed) {
        continue;
      }
      for (const auto& [name, value] : dynamic_settings(dataset(index))) {
        if (index.setting(name) != value) {
          differ[fmt::format("{} is {}, {} is declared", name,
                             index.setting(name).empty() ? "not set" : index.setting(name), value)]
              .push_back(index.target.name);
        }
      }
      if (index.setting("index.blocks.read_only_allow_delete") == "true") {
        blocked["read-only because a disk was full (flood stage)"].push_back(index.target.name);
      }
    }
    find_indices("settings", differ, std::string(kApply));
    find_indices(
        "flood stage", blocked,
        "free disk space; the block goes by itself below the high watermark, or PUT <index>/_settings "
        "{\"index.blocks.read_only_allow_delete\":null}");
  }

  void shards() {
    const std::size_t hot = cluster_.writing_nodes();
    std::map<std::string, std::vector<std::string>> uneven, large;
    std::vector<std::string> small;
    std::size_t small_shards = 0, all = 0;
    for (const LiveIndex& index : cluster_.indices) {
      const auto primaries =
          static_cast<std::size_t>(std::ranges::count_if(index.shards, &IndexShard::primary));
      all += index.shards.size();
      const bool current = index.target.begin <= in_.now && in_.now < index.target.end;
      const Dataset wanted = dataset(index);
      if (current && !index.closed && wanted.shards == 0 && primaries > 0 && primaries % hot != 0) {
        uneven[fmt::format("{} primaries on {} hot nodes: some nodes do more than others", primaries, hot)]
            .push_back(index.target.name);
      }
      bool any_small = false;
      for (const IndexShard& shard : index.shards) {
        if (!shard.primary || shard.state != "STARTED") {
          continue;
        }
        if (shard.bytes > kLargeShardBytes) {
          large[fmt::format("shards over {} GiB: slow to move and to recover", kLargeShardBytes >> 30)]
              .push_back(index.target.name);
          break;
        }
        const bool done = index.target.end < in_.now;
        any_small = any_small || (done && primaries > 1 && shard.bytes < kSmallShardBytes);
        small_shards += done && shard.bytes < kSmallShardBytes ? 1 : 0;
      }
      if (any_small) {
        small.push_back(index.target.name);
      }
    }
    find_indices(
        "shards", uneven,
        "the next index has the declared number once bootstrap saw the nodes: " + std::string(kApply));
    find_indices(
        "shards", large,
        "raise shards_per_hot_node, or shorten period, in datasets.yaml; then " + std::string(kApply));
    if (small_shards > kSmallShardsMin) {
      find("oversharding", small.empty() ? "indices of one shard" : names(small),
           fmt::format("{} shards of finished indices are below 1 GiB: each costs heap and cluster state",
                       small_shards),
           "lower shards_per_hot_node (or say shards: 1) or lengthen period for small data sets; then " +
               std::string(kApply));
    }
    std::uint32_t per_node = kShardsPerNodeDefault;
    if (const auto at = cluster_.settings.find("cluster.max_shards_per_node");
        at != cluster_.settings.end()) {
      std::from_chars(at->second.data(), at->second.data() + at->second.size(), per_node);
    }
    const double limit =
        static_cast<double>(per_node) * static_cast<double>(std::max<std::size_t>(cluster_.data_nodes(), 1));
    if (static_cast<double>(all) >= kNear * limit) {
      find("shard limit", "cluster.max_shards_per_node",
           fmt::format("{} shards of our indices of at most {:.0f} in the cluster: beyond, no index can be "
                       "created, and "
                       "documents wait from the next period on",
                       all, limit),
           "lower shards, replicas or delete_after in datasets.yaml, add data nodes, or set "
           "cluster.shards_per_node_max; "
           "then " +
               std::string(kApply));
    }
  }

  void unassigned() {
    for (const LiveIndex& index : cluster_.indices) {
      std::size_t primaries = 0, replicas = 0;
      std::set<std::string> reasons;
      for (const IndexShard& shard : index.shards) {
        if (shard.state == "UNASSIGNED") {
          (shard.primary ? primaries : replicas) += 1;
          reasons.insert(shard.unassigned_reason);
        }
      }
      if (primaries + replicas == 0) {
        continue;
      }
      const auto why = in_.unassigned.find(index.target.name);
      find("unassigned shards", index.target.name,
           fmt::format("{} primaries and {} replicas have no node ({}){}", primaries, replicas,
                       fmt::join(reasons, ", "), why == in_.unassigned.end() ? "" : ": " + why->second),
           primaries > 0
               ? "bring the nodes back that hold the data; GET _cluster/allocation/explain tells more"
               : "add a node of that tier and zone, or lower replicas in datasets.yaml and PUT "
                 "<index>/_settings "
                 "{\"index.number_of_replicas\":...}");
    }
  }

  void tiers() {
    if (!cluster_.has_tiers()) {
      return;
    }
    std::vector<std::string> hot_on_warm, overdue;
    const UnixNanos grace =
        2 * kNanosPerHour + to_nanos(left_to_ism(declared_.lifecycle, cluster_)
                                         ? declared_.lifecycle.ism_margin + std::chrono::hours(24)
                                         : std::chrono::seconds(0));
    for (const LiveIndex& index : cluster_.indices) {
      const bool on_warm = std::ranges::any_of(index.shards, [&](const IndexShard& shard) {
        const ClusterNode* node = cluster_.node(shard.node);
        return node != nullptr && node->tier == kWarm;
      });
      const UnixNanos old = in_.now > index.target.end ? in_.now - index.target.end : 0;
      const UnixNanos hot_for = to_nanos(dataset(index).hot_for);
      if (on_warm && old < hot_for) {
        hot_on_warm.push_back(index.target.name);
      }
      if (index.setting(kRequireTier) != kWarm && index.target.end < in_.now && old > hot_for + grace &&
          !index.closed) {
        overdue.push_back(index.target.name);
      }
    }
    if (!hot_on_warm.empty()) {
      find("tiers", names(hot_on_warm), "recent data is on warm nodes: searches and indexing are slow there",
           "PUT <index>/_settings {\"index.routing.allocation.require.temp\":\"hot\"}; for new indices: " +
               std::string(kApply));
    }
    if (!overdue.empty()) {
      find("tiers", names(overdue),
           "older than hot_for and not moved to warm nodes: the lifecycle does not act",
           "naru lifecycle --config prepper.yaml shows the plan; look at naru_lifecycle_leader and the "
           "preppers' log");
    }
  }

  void nodes() {
    const double low = ratio(declared_.cluster.disk_low).value_or(0.85);
    std::set<std::string> versions;
    for (const ClusterNode& node : cluster_.nodes) {
      versions.insert(node.version);
      if (node.fielddata_bytes > 0) {
        find("fielddata", node.name,
             fmt::format("{} of fielddata in the heap: somebody aggregates or sorts on a text field",
                         node.fielddata_bytes < (1 << 20)
                             ? fmt::format("{} kB", (node.fielddata_bytes + 1023) >> 10)
                             : fmt::format("{} MiB", node.fielddata_bytes >> 20)),
             "POST _cache/clear?fielddata=true frees it; remove fielddata from the mapping, search a keyword "
             "field");
      }
      if (!node.data || node.disk_bytes == 0) {
        continue;
      }
      const double used =
          1 - static_cast<double>(node.disk_free_bytes) / static_cast<double>(node.disk_bytes);
      if (used >= low - kDiskNear) {
        find("disk", node.name,
             fmt::format("{:.0f} % of the disk is used; {} is the low watermark", used * 100,
                         declared_.cluster.disk_low),
             node.tier == kHot ? "shorten hot_for, or add hot nodes"
                               : "shorten delete_after, or add nodes of that tier");
      }
    }
    if (versions.size() > 1) {
      find("versions", "nodes", fmt::format("nodes run different versions: {}", fmt::join(versions, ", ")),
           "finish the rolling upgrade");
    }
    const auto managers = std::ranges::count_if(cluster_.nodes, &ClusterNode::manager);
    if (managers == 2) {
      find("quorum", "cluster managers",
           "two nodes can be cluster manager: the loss of either stops the cluster",
           "add a third, a small tiebreaker in another place");
    }
  }

  void cluster_settings() {
    for (const DeclaredTemplate& one : in_.mappings.templates) {
      if (!cluster_.templates.contains(one.name)) {
        find("templates", one.name, "the cluster does not have this index template", std::string(kApply));
      }
    }
    const ClusterDeclaration& wanted = declared_.cluster;
    const auto setting = [&](const std::string& name) {
      const auto at = cluster_.settings.find(name);
      return at == cluster_.settings.end() ? std::string_view() : std::string_view(at->second);
    };
    if (!wanted.zones.empty() &&
        setting("cluster.routing.allocation.awareness.attributes") != wanted.zone_attribute) {
      find("zones", "cluster.routing.allocation.awareness.attributes",
           "zones are declared and the cluster is not aware of them: all copies of a shard may be in one",
           std::string(kApply));
    }
    for (const std::string& zone : wanted.zones) {
      if (std::ranges::none_of(cluster_.nodes,
                               [&](const ClusterNode& node) { return node.data && node.zone == zone; })) {
        find("zones", zone, "the zone has no data node: its copies are missing", "bring its nodes back");
      }
    }
    if (const std::string_view now = setting("action.auto_create_index");
        now != "false" && now.find("-logs-otel-v1-*") == std::string_view::npos) {
      find("auto create", "action.auto_create_index", "an index could come into being without its template",
           std::string(kApply));
    }
    if (cluster_.status == "red") {
      find("health", "cluster", "red: primaries are missing, searches are incomplete",
           "see `unassigned shards`; the lifecycle waits meanwhile");
    }
  }

  void topics() {
    const std::vector<bus::TopicConfig> wanted = declared_topics(declared_.topics, in_.config.topics);
    for (const KafkaTopic& topic : in_.topics) {
      const auto declared = std::ranges::find(wanted, topic.state.name, &bus::TopicConfig::name);
      if (declared == wanted.end()) {
        continue;
      }
      if (!topic.state.exists) {
        find("topics", topic.state.name, "the topic does not exist", std::string(kApply));
        continue;
      }
      const auto value = [&](const char* name) {
        const auto at = topic.settings.find(name);
        return at == topic.settings.end() ? std::string_view() : std::string_view(at->second);
      };
      const auto alter = [&](const std::string& setting) {
        return fmt::format(
            "kafka-configs.sh --bootstrap-server ... --alter --entity-type topics --entity-name {} "
            "--add-config {}",
            topic.state.name, setting);
      };
      if (topic.state.replication == 1) {
        find("replication", topic.state.name, "one copy: the loss of a broker loses acknowledged records",
             "kafka-reassign-partitions.sh with three replicas; declare topics.replication: 3");
      } else if (topic.state.replication > 1 && value("min.insync.replicas") == "1") {
        find("replication", topic.state.name,
             "min.insync.replicas is 1: acks=all is given when one broker has the record",
             alter("min.insync.replicas=2"));
      }
      for (const auto& [name, text] : declared->settings) {
        const std::string_view there = value(name.c_str());
        if (!there.empty() && there != text) {
          find("topics", topic.state.name, fmt::format("{} is {}, {} is declared", name, there, text),
               alter(name + "=" + text));
        }
      }
      std::int64_t kept_ms = -1;
      const std::string_view kept = value("retention.ms");
      std::from_chars(kept.data(), kept.data() + kept.size(), kept_ms);
      constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
      if (!declared->compacted && kept_ms >= 0 && kept_ms < kDayMs && topic.state.name != "naru.leader" &&
          topic.state.name != "naru.rule-counts") {
        find("retention", topic.state.name,
             fmt::format("Kafka deletes records after {} h: an OpenSearch that is away longer loses them",
                         kept_ms / 3'600'000),
             alter("retention.ms=259200000"));
      }
    }
  }

  const DoctorInput& in_;
  const ClusterState& cluster_;
  const Datasets& declared_;
  std::vector<Finding> out_;
};

}  // namespace

std::vector<Finding> diagnose(const DoctorInput& input) {
  return Doctor(input).run();
}

}  // namespace naru::prepper
