#include "prepper/cluster/cluster_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace naru::prepper {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr int kMajorMin = 2;
constexpr std::string_view kEmbeddedBuild = "embedded";  // as store/ answers GET /

std::string_view text_of(const simdjson::simdjson_result<element>& value) {
  std::string_view out;
  return value.get(out) == simdjson::SUCCESS ? out : std::string_view();
}

std::string_view text_of(const element& value) {
  std::string_view out;
  return value.get(out) == simdjson::SUCCESS ? out : std::string_view();
}

std::uint64_t number_of(const simdjson::simdjson_result<element>& value) {
  std::uint64_t out = 0;
  if (value.get(out) == simdjson::SUCCESS) {
    return out;
  }
  const std::string_view text = text_of(value);
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

std::string patterns() {
  std::string out;
  for (const otlp::Signal signal : otlp::kSignals) {
    out += fmt::format("{}{}*", out.empty() ? "" : ",", index_prefix(signal));
  }
  return out;
}

// `parameters`: begins with '&' or is empty.
std::string of_our_indices(std::string_view api, std::string_view parameters) {
  return fmt::format("/{}/{}?ignore_unavailable=true&allow_no_indices=true&expand_wildcards=all{}",
                     patterns(), api, parameters);
}

Result<void> read_version(net::HttpTransport& opensearch, ClusterState& out) {
  NARU_TRY(const auto answer, get_json(opensearch, "/", "asking which server this is"));
  const auto version = answer->root["version"];
  out.version = text_of(version["number"]);
  out.embedded = text_of(version["build_hash"]) == kEmbeddedBuild;
  if (const auto problem = unusable_server(text_of(version["distribution"]), out.version)) {
    return fail(ErrorCode::kUnsupported, *problem);
  }
  return {};
}

}  // namespace

Result<std::vector<ClusterNode>> read_nodes(net::HttpTransport& opensearch,
                                            const std::string& zone_attribute) {
  std::vector<ClusterNode> out;
  NARU_TRY(const auto answer,
           get_json(opensearch,
                    "/_nodes?filter_path=nodes.*.name,nodes.*.version,nodes.*.roles,nodes.*.attributes,"
                    "nodes.*.http.publish_address,nodes.*.plugins.name",
                    "reading the nodes"));
  object nodes;
  if (answer->root["nodes"].get(nodes) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInternal, "reading the nodes: GET _nodes has an unknown form");
  }
  for (const auto& [id, node] : nodes) {
    ClusterNode& made = out.emplace_back();
    made.name = text_of(node["name"]);
    made.version = text_of(node["version"]);
    made.http = text_of(node["http"]["publish_address"]);
    made.zone = text_of(node["attributes"][zone_attribute]);
    made.tier = text_of(node["attributes"][kTierAttribute]);
    if (const std::size_t slash = made.http.rfind('/'); slash != std::string::npos) {
      made.http.erase(0, slash + 1);  // "host/10.0.0.1:9200"
    }
    array roles, plugins;
    if (node["roles"].get(roles) == simdjson::SUCCESS) {
      for (const element& role : roles) {
        const std::string_view name = text_of(role);
        made.data = made.data || name.starts_with("data");
        made.ingest = made.ingest || name == "ingest";
        made.manager = made.manager || name == "cluster_manager" || name == "master";
      }
    }
    if (node["plugins"].get(plugins) == simdjson::SUCCESS) {
      for (const element& plugin : plugins) {
        made.plugins.emplace(text_of(plugin["name"]));
      }
    }
  }
  return out;
}

namespace {

Result<void> read_settings(net::HttpTransport& opensearch, ClusterState& out) {
  NARU_TRY(const auto settings,
           get_json(opensearch, "/_cluster/settings?flat_settings=true", "reading the cluster settings"));
  for (const char* layer : {"persistent", "transient"}) {
    element own;
    if (settings->root[layer].get(own) == simdjson::SUCCESS) {
      Flat flat;
      flatten(own, "", flat);
      for (auto& [name, value] : flat) {
        if (!name.empty()) {
          out.settings[name] = value;
        }
      }
    }
  }
  return {};
}

Result<void> read_templates(net::HttpTransport& opensearch, ClusterState& out) {
  NARU_TRY(const auto answer, get_json(opensearch, "/_index_template", "reading the index templates"));
  array templates;
  if (answer->root["index_templates"].get(templates) != simdjson::SUCCESS) {
    return {};
  }
  for (const element& one : templates) {
    const std::string_view name = text_of(one["name"]);
    if (std::ranges::any_of(otlp::kSignals, [&](otlp::Signal signal) {
          return name.starts_with(template_name(signal, ""));
        })) {
      out.templates.emplace(name, simdjson::minify(one["index_template"]));
    }
  }
  return {};
}

Result<void> read_health(net::HttpTransport& opensearch, ClusterState& out) {
  NARU_TRY(const auto health,
           get_json(opensearch, "/_cluster/health", "asking for the health of the cluster"));
  out.status = text_of(health->root["status"]);
  NARU_TRY(const auto stats,
           get_json(opensearch, "/_cluster/stats?filter_path=timestamp", "asking for its time"));
  out.time = number_of(stats->root["timestamp"]) * kNanosPerMilli;
  return {};
}

Result<void> read_tasks(net::HttpTransport& opensearch, ClusterState& out) {
  NARU_TRY(const auto tasks,
           get_json(opensearch, "/_tasks?actions=indices:admin/forcemerge&detailed=true&group_by=none",
                    "asking which force merges run"));
  array running;
  if (tasks->root["tasks"].get(running) != simdjson::SUCCESS) {
    return {};
  }
  for (const element& task : running) {
    // "Force-merge indices [a, b], maxNumSegments[1], ..."
    std::string_view text = text_of(task["description"]);
    const std::size_t open = text.find('['), close = text.find(']');
    if (open == std::string_view::npos || close == std::string_view::npos) {
      continue;
    }
    text = text.substr(open + 1, close - open - 1);
    while (!text.empty()) {
      const std::size_t comma = std::min(text.find(", "), text.size());
      out.merging.emplace(text.substr(0, comma));
      text.remove_prefix(std::min(comma + 2, text.size()));
    }
  }
  return {};
}

// A task that is gone with its node has failed.
Result<LiveIndex::Merge> merge_state(net::HttpTransport& opensearch, const std::string& task) {
  NARU_TRY(const net::HttpResponse answer, call(opensearch, "GET", "/_tasks/" + task));
  if (answer.status == 404) {
    return LiveIndex::Merge::kFailed;
  }
  simdjson::dom::parser parser;
  element root;
  bool completed = false;
  if (answer.status != 200 || parser.parse(answer.body).get(root) != simdjson::SUCCESS ||
      root["completed"].get(completed) != simdjson::SUCCESS) {
    return fail(refused("asking for a force merge", answer));
  }
  if (!completed) {
    return LiveIndex::Merge::kRunning;
  }
  element error;
  const bool failed =
      root["error"].get(error) == simdjson::SUCCESS || number_of(root["response"]["_shards"]["failed"]) > 0;
  return failed ? LiveIndex::Merge::kFailed : LiveIndex::Merge::kDone;
}

Result<void> read_indices(net::HttpTransport& opensearch, const ReadOptions& options, ClusterState& out) {
  std::map<std::string, LiveIndex, std::less<>> found;
  const auto with = [&](std::string_view name, auto&& use) {
    if (const auto at = found.find(name); at != found.end()) {
      use(at->second);
    }
  };
  NARU_TRY(const auto settings, get_json(opensearch, of_our_indices("_settings", "&flat_settings=true"),
                                         "reading the settings of our indices"));
  object members;
  if (settings->root.get(members) == simdjson::SUCCESS) {
    for (const auto& [name, index] : members) {
      if (auto target = parse_index_name(name)) {
        LiveIndex& made = found[std::string(name)];
        made.target = std::move(*target);
        element own;
        if (index["settings"].get(own) == simdjson::SUCCESS) {
          flatten(own, "", made.settings);
        }
      }
    }
  }
  NARU_TRY(
      const auto listed,
      get_json(opensearch,
               fmt::format("/_cat/indices/{}?format=json&h=index,status&expand_wildcards=all", patterns()),
               "listing our indices"));
  array rows;
  if (listed->root.get(rows) == simdjson::SUCCESS) {
    for (const element& row : rows) {
      with(text_of(row["index"]),
           [&](LiveIndex& index) { index.closed = text_of(row["status"]) == "close"; });
    }
  }
  NARU_TRY(const auto shards,
           get_json(opensearch,
                    fmt::format("/_cat/shards/{}?format=json&bytes=b&h=index,shard,prirep,state,node,store,"
                                "unassigned.reason",
                                patterns()),
                    "listing the shards of our indices"));
  if (shards->root.get(rows) == simdjson::SUCCESS) {
    for (const element& row : rows) {
      with(text_of(row["index"]), [&](LiveIndex& index) {
        IndexShard& shard = index.shards.emplace_back();
        shard.number = static_cast<std::uint32_t>(number_of(row["shard"]));
        shard.primary = text_of(row["prirep"]) == "p";
        shard.state = text_of(row["state"]);
        const std::string_view node = text_of(row["node"]);
        shard.node = node.substr(0, node.find(' '));  // "a -> 10.0.0.1 id b" while it moves
        shard.bytes = number_of(row["store"]);
        shard.unassigned_reason = text_of(row["unassigned.reason"]);
      });
    }
  }
  NARU_TRY(const auto segments,
           get_json(opensearch,
                    fmt::format(
                        "/{}/_stats/segments?ignore_unavailable=true&allow_no_indices=true&expand_wildcards="
                        "open&filter_path=indices.*.primaries.segments.count",
                        patterns()),
                    "counting the segments of our indices"));
  if (segments->root["indices"].get(members) == simdjson::SUCCESS) {
    for (const auto& [name, index] : members) {
      with(name, [&, count = number_of(index["primaries"]["segments"]["count"])](LiveIndex& one) {
        one.primary_segments = static_cast<std::uint32_t>(count);
      });
    }
  }
  std::map<std::string, std::string, std::less<>> tasks;  // by index
  NARU_TRY(const auto mappings,
           get_json(opensearch,
                    of_our_indices("_mapping", options.mappings ? "" : "&filter_path=*.mappings._meta"),
                    "reading the mappings of our indices"));
  if (mappings->root.get(members) == simdjson::SUCCESS) {
    for (const auto& [name, index] : members) {
      with(name, [&](LiveIndex& one) {
        one.merged = !text_of(index["mappings"]["_meta"]["naru"][kMergedAt]).empty();
        if (const std::string_view task = text_of(index["mappings"]["_meta"]["naru"][kMergeTask]);
            !task.empty() && !one.merged) {
          tasks.emplace(name, task);
        }
        if (options.mappings) {
          one.mapping = simdjson::minify(index);
        }
      });
    }
  }
  for (const auto& [name, task] : tasks) {
    NARU_TRY(found.find(name)->second.merge, merge_state(opensearch, task));
  }
  NARU_TRY(const auto aliases,
           get_json(opensearch, of_our_indices("_alias", ""), "reading the aliases of our indices"));
  if (aliases->root.get(members) == simdjson::SUCCESS) {
    for (const auto& [name, index] : members) {
      object own;
      if (index["aliases"].get(own) == simdjson::SUCCESS) {
        with(name, [&](LiveIndex& one) {
          for (const auto& [alias, ignored] : own) {
            one.aliases.emplace(alias);
          }
        });
      }
    }
  }
  for (auto& [name, index] : found) {
    out.indices.push_back(std::move(index));
  }
  return {};
}

Result<void> read_disks(net::HttpTransport& opensearch, ClusterState& out) {
  NARU_TRY(const auto stats,
           get_json(opensearch,
                    "/_nodes/stats/fs,indices?filter_path=nodes.*.name,nodes.*.fs.total.total_in_bytes,"
                    "nodes.*.fs.total.available_in_bytes,nodes.*.indices.fielddata.memory_size_in_bytes",
                    "reading disks and caches of the nodes"));
  object nodes;
  if (stats->root["nodes"].get(nodes) != simdjson::SUCCESS) {
    return {};
  }
  for (const auto& [id, node] : nodes) {
    const std::string_view name = text_of(node["name"]);
    for (ClusterNode& known : out.nodes) {
      if (known.name == name) {
        known.disk_bytes = number_of(node["fs"]["total"]["total_in_bytes"]);
        known.disk_free_bytes = number_of(node["fs"]["total"]["available_in_bytes"]);
        known.fielddata_bytes = number_of(node["indices"]["fielddata"]["memory_size_in_bytes"]);
      }
    }
  }
  return {};
}

}  // namespace

std::string_view LiveIndex::setting(std::string_view name) const {
  const auto at = settings.find(std::string(name));
  return at == settings.end() ? std::string_view() : std::string_view(at->second);
}

std::size_t ClusterState::data_nodes() const {
  return static_cast<std::size_t>(std::ranges::count_if(nodes, &ClusterNode::data));
}

std::size_t ClusterState::tier_nodes(std::string_view tier) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(nodes, [&](const ClusterNode& node) { return node.data && node.tier == tier; }));
}

std::size_t ClusterState::writing_nodes() const {
  const std::size_t hot = tier_nodes(kHot);
  return std::max<std::size_t>(hot > 0 ? hot : data_nodes(), 1);
}

bool ClusterState::has_tiers() const {
  return tier_nodes(kHot) > 0 && tier_nodes(kWarm) > 0;
}

std::string template_name(otlp::Signal signal, std::string_view dataset) {
  const std::string_view prefix = index_prefix(signal);
  return dataset.empty() ? std::string(prefix.substr(0, prefix.size() - 1))
                         : fmt::format("{}{}", prefix, dataset);
}

std::string template_pattern(otlp::Signal signal, std::string_view dataset) {
  return fmt::format("{}{}", index_prefix(signal), dataset.empty() ? "*" : fmt::format("{}-*", dataset));
}

bool ClusterState::index_management() const {
  return std::ranges::any_of(
      nodes, [](const ClusterNode& node) { return node.plugins.contains("opensearch-index-management"); });
}

const ClusterNode* ClusterState::node(std::string_view name) const {
  const auto at = std::ranges::find(nodes, name, &ClusterNode::name);
  return at == nodes.end() ? nullptr : &*at;
}

std::optional<std::string> server_problem(const net::HttpResponse& answer) {
  simdjson::dom::parser parser;
  element root;
  if (answer.status != 200 || parser.parse(answer.body).get(root) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  const auto version = root["version"];
  return unusable_server(text_of(version["distribution"]), text_of(version["number"]));
}

std::optional<std::string> unusable_server(std::string_view distribution, std::string_view version) {
  if (distribution != "opensearch") {
    return fmt::format(
        "this server is Elasticsearch {}, not OpenSearch: flat_object fields, which our mappings need, do "
        "not exist "
        "there; give opensearch.urls an OpenSearch 2.7 or later",
        version);
  }
  int major = 0, minor = 0;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), major);
  if (error == std::errc() && end != version.data() + version.size()) {
    std::from_chars(end + 1, version.data() + version.size(), minor);
  }
  constexpr int kMinorMin = 7;  // the first with flat_object
  if (error != std::errc() || major < kMajorMin || (major == kMajorMin && minor < kMinorMin)) {
    return fmt::format(
        "this OpenSearch is version {}: flat_object fields, which our mappings need, came with 2.7; upgrade "
        "it",
        version);
  }
  return std::nullopt;
}

Result<ClusterState> read_cluster(net::HttpTransport& opensearch, const ReadOptions& options) {
  ClusterState out;
  NARU_TRY_VOID(read_version(opensearch, out));
  NARU_TRY(out.nodes, read_nodes(opensearch, options.zone_attribute));
  NARU_TRY_VOID(read_settings(opensearch, out));
  NARU_TRY_VOID(read_templates(opensearch, out));
  if (out.embedded) {
    return out;
  }
  NARU_TRY_VOID(read_health(opensearch, out));
  NARU_TRY_VOID(read_tasks(opensearch, out));
  NARU_TRY_VOID(read_indices(opensearch, options, out));
  if (options.disks) {
    NARU_TRY_VOID(read_disks(opensearch, out));
  }
  return out;
}

}  // namespace naru::prepper
