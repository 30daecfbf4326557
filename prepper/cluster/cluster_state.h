// What an OpenSearch cluster tells about itself: nodes, our indices and their shards, settings, and whether
// it can be worked with at all. Read at one moment, then plain values, so that what decides on them is pure.
//
// Reading changes nothing. Closed indices are listed; indices of others are not.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/net/http.h"
#include "prepper/cluster/client.h"
#include "prepper/process/index_name.h"

namespace naru::prepper {

// node.attr.<this> tells the tier of a node: hot or warm.
inline constexpr std::string_view kTierAttribute = "temp";
inline constexpr std::string_view kHot = "hot", kWarm = "warm";
inline constexpr std::string_view kRequireTier = "index.routing.allocation.require.temp";
// Of `_meta.naru` in the mapping of an index: the task of the force merge that was begun, and when it was
// found done (RFC 3339). How many segments there are says neither: late records make new ones all the time.
inline constexpr std::string_view kMergeTask = "merge_task", kMergedAt = "merged_at";

struct ClusterNode {
  std::string name = {};
  std::string http = {};  // "10.0.0.1:9200"; empty: it answers no HTTP
  std::string version = {};
  bool data = false, ingest = false, manager = false;
  std::string zone = {};  // of the attribute that the caller names
  std::string tier = {};
  std::set<std::string> plugins = {};
  std::uint64_t disk_bytes = 0, disk_free_bytes = 0;  // of its data paths; 0: unknown
  std::uint64_t fielddata_bytes = 0;
};

struct IndexShard {
  std::uint32_t number = 0;
  bool primary = false;
  std::string state = {};  // STARTED, RELOCATING, INITIALIZING, UNASSIGNED
  std::string node = {};   // name; of a shard that moves, where it comes from; empty: unassigned
  std::uint64_t bytes = 0;
  std::string unassigned_reason = {};
};

struct LiveIndex {
  IndexTarget target;
  bool closed = false;
  Flat settings;  // "index.codec" and so on, explicit ones only
  std::vector<IndexShard> shards;
  std::uint32_t primary_segments = 0;
  enum class Merge : std::uint8_t { kNone, kRunning, kDone, kFailed };
  Merge merge = Merge::kNone;  // of the task in its mapping
  bool merged = false;         // its mapping says so
  std::string mapping;         // {"mappings":...}; only when asked for
  std::set<std::string> aliases;

  std::string_view setting(std::string_view name) const;  // empty: not set
};

struct ClusterState {
  bool embedded = false;  // the store of `naru up`: one node, its own retention, no lifecycle
  std::string version;
  std::string status;  // green, yellow, red
  UnixNanos time = 0;  // by the clock of its nodes
  std::vector<ClusterNode> nodes;
  std::vector<LiveIndex> indices;
  Flat settings;                                 // persistent and transient (wins) without these prefixes
  std::map<std::string, std::string> templates;  // ours, by name: the template as JSON
  std::set<std::string> merging;                 // indices with a force merge on its way

  // A node has the plugin of index state management.
  bool index_management() const;
  std::size_t data_nodes() const;
  // Those that take new documents: the hot ones, without a hot tier all that hold data; at least 1.
  std::size_t writing_nodes() const;
  bool has_tiers() const;                               // both hot and warm
  std::size_t tier_nodes(std::string_view tier) const;  // data nodes with this tier
  const ClusterNode* node(std::string_view name) const;
};

// Name and index pattern of our index template; `dataset` empty: the one of all data sets of the signal.
std::string template_name(otlp::Signal signal, std::string_view dataset);
std::string template_pattern(otlp::Signal signal, std::string_view dataset);

struct ReadOptions {
  std::string zone_attribute = "zone";
  bool mappings = false;  // of each index, in full
  bool disks = false;     // disks and fielddata of each node
};

// kUnsupported: not an OpenSearch that Naru works with (Elasticsearch, or OpenSearch before 2.0), with what
// to do. Other errors as of client.h.
Result<ClusterState> read_cluster(net::HttpTransport& opensearch, const ReadOptions& options);

// The nodes alone, with the zone that `zone_attribute` names.
Result<std::vector<ClusterNode>> read_nodes(net::HttpTransport& opensearch,
                                            const std::string& zone_attribute);

// unusable_server() of an answer to GET /; nullopt also for one that does not tell (403).
std::optional<std::string> server_problem(const net::HttpResponse& answer);
// Of GET /: what a person reads when this server cannot be used; nullopt when it can. Pure.
std::optional<std::string> unusable_server(std::string_view distribution, std::string_view version);

}  // namespace naru::prepper
