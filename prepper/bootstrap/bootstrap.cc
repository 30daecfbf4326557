#include "prepper/bootstrap/bootstrap.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <map>
#include <optional>

#include "core/base/json_text.h"
#include "prepper/bootstrap/mappings.h"

namespace naru::prepper {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::chrono::milliseconds kTimeout{30'000};
constexpr std::string_view kAutoCreate = "action.auto_create_index";
constexpr std::size_t kDetailBytesMax = 80;

// A JSON value as path -> text, so that nested and dotted forms, numbers and their texts compare equal.
using Flat = std::map<std::string, std::string>;
void flatten(const element& value, const std::string& path, Flat& out) {
  const auto below = [&](std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
  };
  object members;
  array items;
  std::string_view text;
  if (value.get(members) == simdjson::SUCCESS) {
    if (members.size() == 0) {
      out[path] = "{}";
    }
    for (const auto& [name, member] : members) {
      flatten(member, below(name), out);
    }
  } else if (value.get(items) == simdjson::SUCCESS) {
    std::size_t i = 0;
    for (const element& item : items) {
      flatten(item, below(std::to_string(i++)), out);
    }
  } else if (value.get(text) == simdjson::SUCCESS) {
    out[path] = text;
  } else {
    out[path] = simdjson::minify(value);
  }
}

Result<net::HttpResponse> call(net::HttpTransport& opensearch, std::string method, std::string target,
                               std::string body = {}) {
  net::HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  if (!body.empty()) {
    request.headers.set("Content-Type", "application/json");
    request.body = std::move(body);
  }
  return opensearch.exchange(std::move(request), kTimeout);
}

Error refused(std::string_view what, const net::HttpResponse& answer) {
  const ErrorCode code = answer.status == 401   ? ErrorCode::kUnauthenticated
                         : answer.status == 403 ? ErrorCode::kPermissionDenied
                         : answer.status >= 500 ? ErrorCode::kUnavailable
                                                : ErrorCode::kInternal;
  return Error(code,
               fmt::format("{}: OpenSearch answered {} {}", what, answer.status, answer.body.substr(0, 500)));
}

std::string shorten(const std::string& text) {
  return text.size() <= kDetailBytesMax ? text : text.substr(0, kDetailBytesMax) + "...";
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

struct TemplateStep {
  Change change;
  std::string name;
  std::string text;
};

Result<std::optional<TemplateStep>> template_step(net::HttpTransport& opensearch,
                                                  const DeclaredTemplate& declared,
                                                  const TemplateValues& values) {
  TemplateStep step{
      .change = {.subject = "index template " + declared.name, .action = "create", .details = {}},
      .name = declared.name,
      .text = render_template(declared.text, values)};
  NARU_TRY(const net::HttpResponse answer, call(opensearch, "GET", "/_index_template/" + declared.name));
  if (answer.status == 404) {
    return step;
  }
  if (answer.status != 200) {
    return fail(refused("reading " + step.change.subject, answer));
  }
  simdjson::dom::parser parser, declared_parser;
  element there, wanted;
  if (parser.parse(answer.body).at_pointer("/index_templates/0/index_template").get(there) !=
      simdjson::SUCCESS) {
    return fail(ErrorCode::kInternal, "GET _index_template/" + declared.name + " has an unknown form");
  }
  if (declared_parser.parse(step.text).get(wanted) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument,
                declared.name + ".json is no JSON once its placeholders are filled");
  }
  Flat there_flat, wanted_flat;
  flatten(there, "", there_flat);
  flatten(wanted, "", wanted_flat);
  step.change.details = differences(there_flat, wanted_flat);
  if (step.change.details.empty()) {
    return std::optional<TemplateStep>();
  }
  step.change.action = "change";
  return step;
}

std::string wanted_auto_create(const std::string& now) {
  std::string out;
  for (const otlp::Signal signal : otlp::kSignals) {
    out += fmt::format("-{}*,", index_prefix(signal));
  }
  return out + (now.empty() || now == "true" ? "+*" : now);
}

struct SettingStep {
  Change change;
  std::string value;
};

// Nothing to do when the server knows no cluster settings, or creates nothing by itself.
Result<std::optional<SettingStep>> auto_create_step(net::HttpTransport& opensearch) {
  NARU_TRY(const net::HttpResponse answer, call(opensearch, "GET", "/_cluster/settings"));
  if (answer.status == 400 || answer.status == 404) {
    return std::optional<SettingStep>();
  }
  simdjson::dom::parser parser;
  element root;
  if (answer.status != 200 || parser.parse(answer.body).get(root) != simdjson::SUCCESS) {
    return fail(refused("reading the cluster settings", answer));
  }
  Flat flat;
  flatten(root, "", flat);
  std::string now;
  for (const std::string_view layer : {"persistent.", "transient."}) {  // transient wins
    if (const auto at = flat.find(std::string(layer) + std::string(kAutoCreate)); at != flat.end()) {
      now = at->second;
    }
  }
  const bool covered = now == "false" || std::ranges::all_of(otlp::kSignals, [&](otlp::Signal signal) {
                         return now.find(fmt::format("-{}*", index_prefix(signal))) != std::string::npos;
                       });
  if (covered) {
    return std::optional<SettingStep>();
  }
  SettingStep step{.change = {.subject = fmt::format("cluster setting {}", kAutoCreate),
                              .action = "change",
                              .details = {}},
                   .value = wanted_auto_create(now)};
  step.change.details = {fmt::format("{} -> {}", now.empty() ? "default" : now, step.value)};
  return step;
}

struct Steps {
  std::vector<TemplateStep> templates;
  std::optional<SettingStep> auto_create;
  std::vector<bus::TopicConfig> topics;
  std::vector<Change> changes;
};

Result<Steps> find_steps(const BootstrapConfig& config, const PrepperConfig& prepper,
                         const BootstrapTargets& targets) {
  Steps out;
  if (targets.opensearch != nullptr) {
    NARU_TRY(const Mappings mappings, load_mappings(prepper.mappings_dir));
    NARU_TRY(const ClusterShape shape, read_shape(*targets.opensearch));
    const std::uint32_t tier = shape.hot_nodes > 0 ? shape.hot_nodes : shape.data_nodes;
    const TemplateValues values{.shards = std::max(config.shards_per_node, 1U) * tier,
                                .replicas = std::min(tier - 1, 1U),
                                .hot_tier = shape.hot_nodes > 0,
                                .refresh_interval = config.refresh_interval};
    for (const DeclaredTemplate& declared : mappings.templates) {
      NARU_TRY(std::optional<TemplateStep> step, template_step(*targets.opensearch, declared, values));
      if (step.has_value()) {
        out.changes.push_back(step->change);
        out.templates.push_back(std::move(*step));
      }
    }
    NARU_TRY(out.auto_create, auto_create_step(*targets.opensearch));
    if (out.auto_create.has_value()) {
      out.changes.push_back(out.auto_create->change);
    }
  }
  if (targets.bus != nullptr) {
    const std::vector<bus::TopicConfig> topics = declared_topics(config, prepper.topics);
    std::vector<std::string> names;
    for (const bus::TopicConfig& topic : topics) {
      names.push_back(topic.name);
    }
    NARU_TRY(const std::vector<bus::TopicState> states, targets.bus->describe(names));
    for (const bus::TopicConfig& topic : topics) {
      const auto state = std::ranges::find(states, topic.name, &bus::TopicState::name);
      Change change{.subject = "topic " + topic.name, .action = "create", .details = {}};
      if (state == states.end() || !state->exists) {
        change.details = {
            fmt::format("{} partitions{}", topic.partitions, topic.compacted ? ", compacted" : "")};
        out.topics.push_back(topic);
        out.changes.push_back(std::move(change));
      } else if (state->partitions < topic.partitions) {
        change.action = "note";
        change.details = {
            fmt::format("has {} partitions, {} are declared; adding some moves keys to other partitions, so "
                        "it is left to you",
                        state->partitions, topic.partitions)};
        out.changes.push_back(std::move(change));
      }
    }
  }
  return out;
}

Result<void> expect_ok(Result<net::HttpResponse> answer, const std::string& what) {
  if (!answer) {
    return fail(answer.error().with_context(what));
  }
  if (answer->status != 200) {
    return fail(refused(what, *answer));
  }
  return {};
}

}  // namespace

Result<ClusterShape> read_shape(net::HttpTransport& opensearch) {
  NARU_TRY(const net::HttpResponse answer,
           call(opensearch, "GET", "/_nodes?filter_path=nodes.*.roles,nodes.*.attributes"));
  if (answer.status == 400 || answer.status == 404 || answer.status == 405) {
    return ClusterShape{};
  }
  simdjson::dom::parser parser;
  object nodes;
  if (answer.status != 200 || parser.parse(answer.body)["nodes"].get(nodes) != simdjson::SUCCESS) {
    return fail(refused("reading the nodes", answer));
  }
  ClusterShape out{.data_nodes = 0, .hot_nodes = 0};
  for (const auto& [id, node] : nodes) {
    array roles;
    bool data = false;
    if (node["roles"].get(roles) == simdjson::SUCCESS) {
      for (const element& role : roles) {
        std::string_view name;
        data = data || (role.get(name) == simdjson::SUCCESS && name.starts_with("data"));
      }
    }
    std::string_view tier;
    if (data) {
      ++out.data_nodes;
      out.hot_nodes += node["attributes"]["temp"].get(tier) == simdjson::SUCCESS && tier == "hot" ? 1 : 0;
    }
  }
  out.data_nodes = std::max(out.data_nodes, 1U);
  return out;
}

std::vector<bus::TopicConfig> declared_topics(const BootstrapConfig& config, const TopicsConfig& topics) {
  // contracts.md 3 and 4: a dead letter is a record of the source with headers.
  constexpr std::string_view kDeadLetterBytesMax = "1114124";  // Kafka's default 1,048,588 and 64 KiB
  const auto topic = [&](const std::string& name, std::int32_t partitions, bool compacted) {
    bus::TopicConfig out;
    out.name = name;
    out.partitions = partitions;
    out.replication = config.replication;
    out.compacted = compacted;
    return out;
  };
  std::vector<bus::TopicConfig> out = {
      topic(topics.logs, config.partitions, false), topic(topics.metrics, config.partitions, false),
      topic(topics.traces, config.partitions, false), topic(topics.dead_letters, config.partitions, false),
      topic("naru.system-status", 1, true)};
  out[3].settings.emplace("max.message.bytes", kDeadLetterBytesMax);
  return out;
}

Result<std::vector<Change>> plan(const BootstrapConfig& config, const PrepperConfig& prepper,
                                 const BootstrapTargets& targets) {
  NARU_TRY(Steps steps, find_steps(config, prepper, targets));
  return std::move(steps.changes);
}

Result<std::vector<Change>> apply(const BootstrapConfig& config, const PrepperConfig& prepper,
                                  const BootstrapTargets& targets) {
  NARU_TRY(Steps steps, find_steps(config, prepper, targets));
  for (TemplateStep& step : steps.templates) {
    NARU_TRY_VOID(
        expect_ok(call(*targets.opensearch, "PUT", "/_index_template/" + step.name, std::move(step.text)),
                  "installing " + step.change.subject));
  }
  if (steps.auto_create.has_value()) {
    const std::string body =
        fmt::format(R"({{"persistent":{{"{}":{}}}}})", kAutoCreate, json_string(steps.auto_create->value));
    NARU_TRY_VOID(expect_ok(call(*targets.opensearch, "PUT", "/_cluster/settings", body),
                            "setting " + std::string(kAutoCreate)));
  }
  if (!steps.topics.empty()) {
    NARU_TRY_VOID(targets.bus->ensure_topics(steps.topics));
  }
  return std::move(steps.changes);
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
