#include "prepper/bootstrap/bootstrap.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <map>
#include <optional>

#include "core/base/json_text.h"
#include "core/rules/counts.h"
#include "prepper/bootstrap/index_template.h"
#include "prepper/bootstrap/mapping_extension.h"
#include "prepper/bootstrap/mappings.h"
#include "prepper/cluster/cluster_state.h"
#include "prepper/lifecycle/ism_policy.h"

namespace naru::prepper {
namespace {

constexpr std::string_view kAutoCreate = "action.auto_create_index";
constexpr std::size_t kDetailBytesMax = 80;
constexpr std::size_t kNamesMax = 5;  // of indices in one line

struct Request {
  std::string method, target, body;
};
// A change and how it is made: by requests in their order, or by creating a topic; neither for notes.
struct Step {
  Change change;
  std::vector<Request> requests;
  std::optional<bus::TopicConfig> topic;
};

std::string shorten(const std::string& text) {
  return text.size() <= kDetailBytesMax ? text : text.substr(0, kDetailBytesMax) + "...";
}

Step step(std::string subject, std::string action, std::vector<std::string> details,
          std::vector<Request> requests = {}) {
  return {
      .change = {.subject = std::move(subject), .action = std::move(action), .details = std::move(details)},
      .requests = std::move(requests),
      .topic = {}};
}

std::vector<std::string> differences(const Flat& there, const Flat& declared) {
  std::vector<std::string> out;
  for (const auto& [path, value] : declared) {
    const auto at = there.find(path);
    if (at == there.end()) {
      out.push_back(fmt::format("{}: missing -> {}", path, shorten(value)));
    } else if (at->second != value) {
      out.push_back(fmt::format("{}: {} -> {}", path, shorten(at->second), shorten(value)));
    }
  }
  for (const auto& [path, value] : there) {
    if (!declared.contains(path)) {
      out.push_back(fmt::format("{}: {} -> removed", path, shorten(value)));
    }
  }
  return out;
}

Flat flat_of(std::string_view json) {
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(json);
  Flat out;
  if (simdjson::dom::element root; parser.parse(padded).get(root) == simdjson::SUCCESS) {
    flatten(root, "", out);
  }
  return out;
}

// --- index templates

struct Declared {
  std::vector<WantedTemplate> templates;  // those of a data set behind those of all
  std::vector<Step> notes;

  const WantedTemplate* of(const IndexTarget& target) const {
    const WantedTemplate* out = nullptr;
    for (const WantedTemplate& one : templates) {
      if (one.signal == target.signal && (one.dataset.empty() || one.dataset == target.dataset)) {
        out = &one;
      }
    }
    return out;
  }
};

// Whether a template says the same as another but for its name, pattern and priority.
bool same_rules(const WantedTemplate& a, const WantedTemplate& b) {
  const auto rules = [](const WantedTemplate& one) {
    Flat flat = flat_of(one.text);
    std::erase_if(flat, [](const auto& entry) {
      return entry.first.starts_with("index_patterns") || entry.first == "priority";
    });
    return flat;
  };
  return rules(a) == rules(b);
}

std::optional<std::string> codec_problem(const Dataset& dataset, const ClusterState& cluster) {
  const bool plugin = std::ranges::all_of(cluster.nodes, [](const ClusterNode& node) {
    return !node.data || node.plugins.contains("opensearch-custom-codecs");
  });
  if (!dataset.codec.starts_with("zstd") || plugin) {
    return std::nullopt;
  }
  return fmt::format(
      "codec {} needs the plugin opensearch-custom-codecs on every data node; install it or declare "
      "best_compression",
      dataset.codec);
}

Result<Declared> declared_templates(const PrepperConfig& config, const Mappings& mappings,
                                    const ClusterState& cluster) {
  const Datasets& declared = config.datasets;
  Declared out;
  const auto add = [&](const DeclaredTemplate& of_signal, std::string_view name) -> Result<void> {
    const Dataset dataset = declared.resolve(of_signal.signal, name);
    if (const auto problem = codec_problem(dataset, cluster)) {
      return fail(ErrorCode::kInvalidArgument, *problem);
    }
    std::string text = of_signal.text;
    if (!dataset.mapping.empty()) {
      NARU_TRY(text, load_mapping_file(config.mappings_dir, dataset.mapping, mappings.promoted));
    }
    const IndexValues values = index_values(dataset, cluster, declared.cluster.zones.size());
    NARU_TRY(WantedTemplate made, index_template(of_signal.signal, name, dataset, values, text));
    const auto general = std::ranges::find_if(out.templates, [&](const WantedTemplate& one) {
      return one.signal == of_signal.signal && one.dataset.empty();
    });
    if (!name.empty() && general != out.templates.end() && same_rules(made, *general)) {
      return {};
    }
    if (!values.notes.empty()) {
      out.notes.push_back(step("index template " + made.name, "note", values.notes));
    }
    out.templates.push_back(std::move(made));
    return {};
  };
  for (const DeclaredTemplate& one : mappings.templates) {
    NARU_TRY_VOID(add(one, ""));
  }
  for (const auto& [name, entry] : declared.datasets) {
    for (const DeclaredTemplate& one : mappings.templates) {
      NARU_TRY_VOID(add(one, name));
    }
  }
  return out;
}

// Indices that end with a shorter delete_after at once.
std::vector<std::string> doomed(const WantedTemplate& wanted, const Declared& declared,
                                const ClusterState& cluster, std::chrono::seconds after, UnixNanos now) {
  std::vector<std::string> out;
  for (const LiveIndex& index : cluster.indices) {
    if (declared.of(index.target) == &wanted && index.target.end < now &&
        now - index.target.end >= to_nanos(after)) {
      out.push_back(index.target.name);
    }
  }
  return out;
}

void template_steps(const Declared& declared, const ClusterState& cluster, bool accept_loss, UnixNanos now,
                    std::vector<Step>& out) {
  for (const WantedTemplate& wanted : declared.templates) {
    const std::string subject = "index template " + wanted.name;
    const std::vector<Request> put = {{"PUT", "/_index_template/" + wanted.name, wanted.text}};
    const auto there = cluster.templates.find(wanted.name);
    if (there == cluster.templates.end()) {
      out.push_back(step(subject, "create", {}, put));
      continue;
    }
    std::vector<std::string> details = differences(flat_of(there->second), flat_of(wanted.text));
    if (details.empty()) {
      continue;
    }
    const auto before = installed_delete_after(there->second), after = installed_delete_after(wanted.text);
    if (before.has_value() && after < before && !accept_loss) {
      const std::vector<std::string> ending = doomed(wanted, declared, cluster, *after, now);
      if (!ending.empty()) {
        const auto shown = std::span(ending).first(std::min(ending.size(), kNamesMax));
        out.push_back(
            step(subject, "refuse",
                 {fmt::format("delete_after goes from {}h to {}h: {} {} be deleted at once ({}{}); say "
                              "--accept-loss if that is meant",
                              before->count() / 3600, after->count() / 3600, ending.size(),
                              ending.size() == 1 ? "index would" : "indices would", fmt::join(shown, ", "),
                              shown.size() < ending.size() ? ", ..." : "")}));
        continue;
      }
    }
    out.push_back(step(subject, "change", std::move(details), put));
  }
  for (const auto& [name, text] : cluster.templates) {
    if (installed_delete_after(text).has_value() &&
        std::ranges::find(declared.templates, name, &WantedTemplate::name) == declared.templates.end()) {
      out.push_back(
          step("index template " + name, "note",
               {"its data set is not declared any more; while the template is there, new indices follow it: "
                "DELETE _index_template/" +
                name + " if that is not meant"}));
    }
  }
}

// --- live indices

void index_steps(const PrepperConfig& config, const Declared& declared, const ClusterState& cluster,
                 std::vector<Step>& out) {
  for (const LiveIndex& index : cluster.indices) {
    const WantedTemplate* wanted = declared.of(index.target);
    if (wanted == nullptr || index.closed) {
      continue;
    }
    const std::string subject = "index " + index.target.name;
    const MappingExtension extension = extend_mapping(wanted->text, index.mapping);
    if (!extension.body.empty()) {
      out.push_back(step(subject, "change", {fmt::format("new fields: {}", fmt::join(extension.added, ", "))},
                         {{"PUT", "/" + index.target.name + "/_mapping", extension.body}}));
    }
    if (!extension.conflicts.empty()) {
      std::vector<std::string> details = extension.conflicts;
      details.push_back("a field of an existing index cannot change; its next index has the declared one");
      out.push_back(step(subject, "note", std::move(details)));
    }
    const Dataset dataset = config.datasets.resolve(index.target.signal, index.target.dataset);
    std::vector<std::string> details;
    std::string body;
    for (const auto& [name, value] : dynamic_settings(dataset)) {
      if (index.setting(name) != value) {
        details.push_back(fmt::format("{}: {} -> {}", name,
                                      index.setting(name).empty() ? "default" : index.setting(name), value));
        body += fmt::format("{}{}:{}", body.empty() ? "{" : ",", json_string(name), json_string(value));
      }
    }
    if (!details.empty()) {
      out.push_back(step(subject, "change", std::move(details),
                         {{"PUT", "/" + index.target.name + "/_settings", body + "}"}}));
    }
    const std::string_view alias = read_alias(index.target.signal);
    if (!index.aliases.contains(std::string(alias))) {
      out.push_back(step(subject, "change", {fmt::format("read alias {}", alias)},
                         {{"PUT", fmt::format("/{}/_alias/{}", index.target.name, alias), ""}}));
    }
  }
}

// --- lifecycle policies

Result<void> policy_steps(const PrepperConfig& config, const Declared& declared, const ClusterState& cluster,
                          net::HttpTransport& opensearch, std::vector<Step>& out) {
  const LifecycleConfig& lifecycle = config.datasets.lifecycle;
  if (!left_to_ism(lifecycle, cluster)) {
    return {};
  }
  if (!cluster.index_management()) {
    return fail(ErrorCode::kInvalidArgument,
                "lifecycle.driver is ism, and this cluster has no index management plugin; install "
                "opensearch-index-management or declare driver: naru");
  }
  const bool warm = cluster.has_tiers();
  for (const WantedTemplate& wanted : declared.templates) {
    const std::string name = ism_policy_name(wanted.name);
    const std::string pattern = template_pattern(wanted.signal, wanted.dataset);
    const Dataset dataset = config.datasets.resolve(wanted.signal, wanted.dataset);
    const std::string body =
        ism_policy(pattern, wanted.dataset.empty() ? 100 : 101, dataset, warm, lifecycle.ism_margin);
    const std::string target = "/_plugins/_ism/policies/" + name;
    const std::string by_name = fmt::format(R"({{"policy_id":"{}"}})", name);
    NARU_TRY(const net::HttpResponse answer, call(opensearch, "GET", target));
    if (answer.status == 404) {
      out.push_back(step("lifecycle policy " + name, "create", {},
                         {{"PUT", target, body}, {"POST", "/_plugins/_ism/add/" + pattern, by_name}}));
      continue;
    }
    simdjson::dom::parser parser;
    simdjson::dom::element root, policy;
    std::int64_t sequence = 0, term = 0;
    if (answer.status != 200 || parser.parse(answer.body).get(root) != simdjson::SUCCESS ||
        root["policy"].get(policy) != simdjson::SUCCESS ||
        root["_seq_no"].get(sequence) != simdjson::SUCCESS ||
        root["_primary_term"].get(term) != simdjson::SUCCESS) {
      return fail(refused("reading lifecycle policy " + name, answer));
    }
    // The plugin adds members of its own (retry, last_updated_time, ...): only what is declared is compared.
    Flat there;
    flatten(policy, "policy", there);
    std::vector<std::string> details;
    for (const auto& [path, value] : flat_of(body)) {
      const auto at = there.find(path);
      if (at == there.end() || at->second != value) {
        details.push_back(fmt::format("{}: {} -> {}", path,
                                      at == there.end() ? "missing" : shorten(at->second), shorten(value)));
      }
    }
    if (!details.empty()) {
      out.push_back(
          step("lifecycle policy " + name, "change", std::move(details),
               {{"PUT", fmt::format("{}?if_seq_no={}&if_primary_term={}", target, sequence, term), body},
                {"POST", "/_plugins/_ism/change_policy/" + pattern, by_name}}));
    }
  }
  return {};
}

// --- cluster settings

// A setting's text; lists joined by commas; empty: not set.
std::string setting_of(const ClusterState& cluster, const std::string& name) {
  if (const auto at = cluster.settings.find(name); at != cluster.settings.end()) {
    return at->second;
  }
  std::string out;
  for (std::size_t i = 0;; ++i) {
    const auto at = cluster.settings.find(fmt::format("{}.{}", name, i));
    if (at == cluster.settings.end()) {
      return out;
    }
    out += (out.empty() ? "" : ",") + at->second;
  }
}

std::string wanted_auto_create(const std::string& now) {
  const bool covered = now == "false" || std::ranges::all_of(otlp::kSignals, [&](otlp::Signal signal) {
                         return now.find(fmt::format("-{}*", index_prefix(signal))) != std::string::npos;
                       });
  if (covered) {
    return now;
  }
  std::string out;
  for (const otlp::Signal signal : otlp::kSignals) {
    out += fmt::format("-{}*,", index_prefix(signal));
  }
  return out + (now.empty() || now == "true" ? "+*" : now);
}

void setting_steps(const ClusterDeclaration& declared, const ClusterState& cluster, std::vector<Step>& out) {
  const auto wanted = [&](const std::string& name, const std::string& value, std::string_view built_in = "") {
    const std::string now = setting_of(cluster, name);
    if (now == value || (now.empty() && value == built_in)) {
      return;
    }
    out.push_back(step("cluster setting " + name, "change",
                       {fmt::format("{} -> {}", now.empty() ? "default" : now, value)},
                       {{"PUT", "/_cluster/settings",
                         fmt::format(R"({{"persistent":{{"{}":{}}}}})", name, json_string(value))}}));
  };
  wanted(std::string(kAutoCreate), wanted_auto_create(setting_of(cluster, std::string(kAutoCreate))));
  if (cluster.embedded) {
    return;
  }
  const std::string allocation = "cluster.routing.allocation.";
  wanted(allocation + "disk.watermark.low", declared.disk_low, "85%");
  wanted(allocation + "disk.watermark.high", declared.disk_high, "90%");
  wanted(allocation + "disk.watermark.flood_stage", declared.disk_flood, "95%");
  if (declared.shards_per_node_max > 0) {
    wanted("cluster.max_shards_per_node", std::to_string(declared.shards_per_node_max));
  }
  if (declared.zones.empty()) {
    return;
  }
  wanted(allocation + "awareness.attributes", declared.zone_attribute);
  wanted(allocation + "awareness.force." + declared.zone_attribute + ".values",
         fmt::format("{}", fmt::join(declared.zones, ",")));
  for (const std::string& zone : declared.zones) {
    const auto in_zone = [&](std::string_view tier) {
      return std::ranges::any_of(cluster.nodes, [&](const ClusterNode& node) {
        return node.data && node.zone == zone && (tier.empty() || node.tier == tier);
      });
    };
    for (const std::string_view tier : {kHot, kWarm}) {
      const std::string_view asked = cluster.tier_nodes(tier) > 0 ? tier : std::string_view();
      if (!in_zone(asked)) {
        out.push_back(step("zone " + zone, "note",
                           {fmt::format("it has no {}{}data node: copies that belong there stay unassigned",
                                        asked, asked.empty() ? "" : " ")}));
        break;
      }
    }
  }
}

// --- topics

Result<void> topic_steps(const PrepperConfig& config, bus::Bus& bus, std::vector<Step>& out) {
  const std::vector<bus::TopicConfig> topics = declared_topics(config.datasets.topics, config.topics);
  std::vector<std::string> names;
  for (const bus::TopicConfig& topic : topics) {
    names.push_back(topic.name);
  }
  NARU_TRY(const std::vector<bus::TopicState> states, bus.describe(names));
  for (const bus::TopicConfig& topic : topics) {
    const std::string subject = "topic " + topic.name;
    const auto state = std::ranges::find(states, topic.name, &bus::TopicState::name);
    if (state == states.end() || !state->exists) {
      Step made =
          step(subject, "create",
               {fmt::format("{} partitions{}", topic.partitions, topic.compacted ? ", compacted" : "")});
      made.topic = topic;
      out.push_back(std::move(made));
      continue;
    }
    std::vector<std::string> notes;
    if (state->partitions < topic.partitions) {
      notes.push_back(
          fmt::format("has {} partitions, {} are declared; adding some moves keys to other partitions, so "
                      "it is left to you",
                      state->partitions, topic.partitions));
    }
    NARU_TRY(const auto settings, bus.settings(topic.name));
    for (const auto& [name, value] : topic.settings) {
      if (const auto at = settings.find(name); at != settings.end() && at->second != value) {
        notes.push_back(
            fmt::format("{}: {} there, {} declared; kafka-configs.sh --alter --entity-type topics "
                        "--entity-name {} --add-config {}={}",
                        name, at->second, value, topic.name, name, value));
      }
    }
    if (!notes.empty()) {
      out.push_back(step(subject, "note", std::move(notes)));
    }
  }
  return {};
}

Result<std::vector<Step>> find_steps(const PrepperConfig& config, const BootstrapTargets& targets,
                                     UnixNanos now) {
  std::vector<Step> out;
  if (targets.opensearch != nullptr) {
    NARU_TRY(const Mappings mappings, load_mappings(config.mappings_dir));
    NARU_TRY(const ClusterState cluster,
             read_cluster(*targets.opensearch,
                          {.zone_attribute = config.datasets.cluster.zone_attribute, .mappings = true}));
    NARU_TRY(Declared declared, declared_templates(config, mappings, cluster));
    template_steps(declared, cluster, targets.accept_loss, now, out);
    NARU_TRY_VOID(policy_steps(config, declared, cluster, *targets.opensearch, out));
    index_steps(config, declared, cluster, out);
    setting_steps(config.datasets.cluster, cluster, out);
    std::ranges::move(declared.notes, std::back_inserter(out));
  }
  if (targets.bus != nullptr) {
    NARU_TRY_VOID(topic_steps(config, *targets.bus, out));
  }
  return out;
}

std::vector<Change> changes_of(std::vector<Step> steps) {
  std::vector<Change> out;
  for (Step& one : steps) {
    out.push_back(std::move(one.change));
  }
  return out;
}

}  // namespace

std::vector<bus::TopicConfig> declared_topics(const TopicsDeclaration& declared, const TopicsConfig& topics) {
  // contracts.md 3 and 4: a dead letter is a record of the source with headers.
  constexpr std::string_view kDeadLetterBytesMax = "1114124";  // Kafka's default 1,048,588 and 64 KiB
  const auto topic = [&](const std::string& name, std::int32_t partitions, bool compacted) {
    bus::TopicConfig out;
    out.name = name;
    out.partitions = partitions;
    out.replication = declared.replication;
    out.compacted = compacted;
    if (declared.min_insync_replicas > 0) {
      out.settings.emplace("min.insync.replicas", std::to_string(declared.min_insync_replicas));
    }
    if (!compacted && declared.retention.count() > 0) {
      out.settings.emplace("retention.ms",
                           std::to_string(std::chrono::milliseconds(declared.retention).count()));
    }
    return out;
  };
  std::vector<bus::TopicConfig> out = {topic(topics.logs, declared.partitions, false),
                                       topic(topics.metrics, declared.partitions, false),
                                       topic(topics.traces, declared.partitions, false),
                                       topic(topics.dead_letters, declared.partitions, false),
                                       topic("naru.rule-counts", rules::kCountsPartitions, false),
                                       topic("naru.system-status", 1, true),
                                       topic("naru.routes", 1, true),
                                       topic("naru.rule-state", 1, true),
                                       topic("naru.leader", 1, false)};
  out[3].settings.emplace("max.message.bytes", kDeadLetterBytesMax);
  out[4].settings.insert_or_assign("retention.ms", std::to_string(rules::kCountsRetention.count()));
  return out;
}

Result<std::vector<Change>> plan(const PrepperConfig& config, const BootstrapTargets& targets,
                                 UnixNanos now) {
  NARU_TRY(std::vector<Step> steps, find_steps(config, targets, now));
  return changes_of(std::move(steps));
}

Result<std::vector<Change>> apply(const PrepperConfig& config, const BootstrapTargets& targets,
                                  UnixNanos now) {
  NARU_TRY(std::vector<Step> steps, find_steps(config, targets, now));
  std::string refusals;
  for (const Step& one : steps) {
    if (one.change.action == "refuse") {
      refusals += fmt::format("\n    {}: {}", one.change.subject, fmt::join(one.change.details, "; "));
    }
  }
  if (!refusals.empty()) {
    return fail(ErrorCode::kConflict, "nothing was changed, because data would be lost:" + refusals);
  }
  std::vector<bus::TopicConfig> topics;
  for (Step& one : steps) {
    for (Request& request : one.requests) {
      NARU_TRY_VOID(
          expect_ok(call(*targets.opensearch, request.method, request.target, std::move(request.body)),
                    one.change.subject));
    }
    if (one.topic.has_value()) {
      topics.push_back(*one.topic);
    }
  }
  if (!topics.empty()) {
    NARU_TRY_VOID(targets.bus->ensure_topics(topics));
  }
  return changes_of(std::move(steps));
}

std::string to_text(const std::vector<Change>& changes) {
  if (changes.empty()) {
    return "nothing to do\n";
  }
  std::string out;
  for (const Change& change : changes) {
    out += fmt::format("{} {}\n", change.action, change.subject);
    for (const std::string& detail : change.details) {
      out += fmt::format("    {}\n", detail);
    }
  }
  return out;
}

}  // namespace naru::prepper
