#include "prepper/bootstrap/index_template.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "core/base/json_text.h"

namespace naru::prepper {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::string_view kHotPriority = "100";  // recovered before older ones
constexpr int kTemplatePriority = 500;

std::string json_object(const Flat& members) {
  std::string out;
  for (const auto& [name, value] : members) {
    out += fmt::format("{}{}:{}", out.empty() ? "{" : ",", json_string(name), json_string(value));
  }
  return out.empty() ? "{}" : out + "}";
}

}  // namespace

IndexValues index_values(const Dataset& dataset, const ClusterState& cluster, std::size_t zones) {
  IndexValues out;
  const auto tier = static_cast<std::uint32_t>(cluster.writing_nodes());
  out.hot_tier = cluster.tier_nodes(kHot) > 0;
  out.shards = dataset.shards > 0 ? dataset.shards : std::max(dataset.shards_per_hot_node, 1U) * tier;
  out.replicas = std::min(dataset.replicas, tier - 1);
  if (out.replicas < dataset.replicas) {
    out.notes.push_back(
        fmt::format("replicas: {} are declared, {} {} node{} can hold {}: {} {} used until there are more",
                    dataset.replicas, tier, out.hot_tier ? "hot" : "data", tier == 1 ? "" : "s", out.replicas,
                    out.replicas, out.replicas == 1 ? "is" : "are"));
  }
  if (dataset.total_shards_per_node > 0) {
    const std::uint32_t copies = out.shards * (out.replicas + 1);
    const std::uint32_t needed = (copies + tier - 1) / tier;
    if (dataset.total_shards_per_node < needed) {
      out.notes.push_back(
          fmt::format("total_shards_per_node: {} leaves shards unassigned: {} copies on {} nodes need {}",
                      dataset.total_shards_per_node, copies, tier, needed));
    }
  }
  if (zones > 0 && out.replicas + 1 < zones) {
    out.notes.push_back(fmt::format("{} copies cannot be in {} zones", out.replicas + 1, zones));
  }
  return out;
}

Flat dynamic_settings(const Dataset& dataset) {
  return {
      {"index.refresh_interval", dataset.refresh_interval},
      {"index.translog.flush_threshold_size", dataset.translog_flush},
      {"index.mapping.total_fields.limit", std::to_string(dataset.fields_max)},
      {"index.indexing.slowlog.threshold.index.warn", dataset.slow_log.indexing_warn},
      {"index.indexing.slowlog.threshold.index.info", dataset.slow_log.indexing_info},
      {"index.search.slowlog.threshold.query.warn", dataset.slow_log.query_warn},
      {"index.search.slowlog.threshold.query.info", dataset.slow_log.query_info},
      {"index.search.slowlog.threshold.fetch.warn", dataset.slow_log.fetch_warn},
  };
}

Result<WantedTemplate> index_template(otlp::Signal signal, std::string_view name, const Dataset& dataset,
                                      const IndexValues& values, std::string_view mapping) {
  simdjson::dom::parser parser;
  element root, mappings;
  const simdjson::padded_string padded(mapping);
  if (parser.parse(padded).get(root) != simdjson::SUCCESS ||
      root["template"]["mappings"].get(mappings) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("the template file for {}{} is no JSON object with "
                                                         "template.mappings",
                                                         index_prefix(signal), name));
  }
  Flat settings;
  if (element own; root["template"]["settings"].get(own) == simdjson::SUCCESS) {
    flatten(own, "", settings);
  }
  for (auto& [key, value] : dynamic_settings(dataset)) {
    settings[key] = value;
  }
  settings["index.number_of_shards"] = std::to_string(values.shards);
  settings["index.number_of_replicas"] = std::to_string(values.replicas);
  settings["index.codec"] = dataset.codec;
  settings["index.merge.policy"] = "log_byte_size";  // time goes on in one direction: so do segments
  settings["index.priority"] = kHotPriority;
  if (values.hot_tier) {
    settings[std::string(kRequireTier)] = kHot;
  }
  if (dataset.total_shards_per_node > 0) {
    settings["index.routing.allocation.total_shards_per_node"] =
        std::to_string(dataset.total_shards_per_node);
  }
  WantedTemplate out{
      .signal = signal, .dataset = std::string(name), .name = template_name(signal, name), .text = ""};
  std::string aliases = "{}";
  if (element own; root["template"]["aliases"].get(own) == simdjson::SUCCESS) {
    aliases = simdjson::minify(own);
  }
  out.text = fmt::format(
      R"({{"index_patterns":[{}],"priority":{},"version":1,"_meta":{{"naru":{{"delete_after_seconds":{}}}}},)"
      R"("template":{{"settings":{},"aliases":{},"mappings":{}}}}})",
      json_string(template_pattern(signal, name)), kTemplatePriority + (name.empty() ? 0 : 1),
      dataset.delete_after.count(), json_object(settings), aliases, simdjson::minify(mappings));
  return out;
}

std::optional<std::chrono::seconds> installed_delete_after(std::string_view template_text) {
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(template_text);
  std::int64_t seconds = 0;
  if (parser.parse(padded)["_meta"]["naru"]["delete_after_seconds"].get(seconds) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  return std::chrono::seconds(seconds);
}

}  // namespace naru::prepper
