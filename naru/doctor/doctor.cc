#include "naru/doctor/doctor.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "core/base/clock.h"
#include "core/base/json_text.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/program/service.h"
#include "prepper/bootstrap/bootstrap.h"
#include "prepper/doctor/doctor.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

using prepper::Finding;

constexpr std::size_t kExplainedMax = 20;  // indices that the cluster is asked about

// What keeps a shard of this index from every node, in OpenSearch's words.
std::string explain(net::HttpTransport& opensearch, const std::string& index,
                    const prepper::IndexShard& shard) {
  const auto answer = prepper::call(opensearch, "POST", "/_cluster/allocation/explain",
                                    fmt::format(R"({{"index":{},"shard":{},"primary":{}}})",
                                                json_string(index), shard.number, shard.primary));
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (!answer || answer->status != 200 || parser.parse(answer->body).get(root) != simdjson::SUCCESS) {
    return "";
  }
  std::string_view text;
  std::string out;
  if (root["allocate_explanation"].get(text) == simdjson::SUCCESS) {
    out = text;
  }
  simdjson::dom::array nodes;
  if (root["node_allocation_decisions"].get(nodes) == simdjson::SUCCESS) {
    for (const simdjson::dom::element& node : nodes) {
      std::string_view name, why;
      if (node["node_name"].get(name) == simdjson::SUCCESS &&
          node["deciders"].at(0)["explanation"].get(why) == simdjson::SUCCESS) {
        out += fmt::format("; {}: {}", name, why);
      }
    }
  }
  return out;
}

Result<std::vector<Finding>> look(const prepper::ProgramConfig& config) {
  NARU_TRY(const prepper::Mappings mappings, prepper::load_mappings(config.mappings_dir));
  NARU_TRY(const auto access, prepper::opensearch_access(config.opensearch));
  const auto opensearch = access.any();
  NARU_TRY(const prepper::ClusterState cluster,
           prepper::read_cluster(
               *opensearch,
               {.zone_attribute = config.datasets.cluster.zone_attribute, .mappings = true, .disks = true}));
  prepper::DoctorInput input{.config = config, .mappings = mappings, .cluster = cluster, .now = wall_now()};
  for (const prepper::LiveIndex& index : cluster.indices) {
    for (const prepper::IndexShard& shard : index.shards) {
      if (shard.state == "UNASSIGNED" && input.unassigned.size() < kExplainedMax &&
          !input.unassigned.contains(index.target.name)) {
        if (std::string why = explain(*opensearch, index.target.name, shard); !why.empty()) {
          input.unassigned[index.target.name] = std::move(why);
        }
      }
    }
  }
  NARU_TRY(const auto bus, bus::make_kafka_bus(config.kafka));
  std::vector<std::string> names;
  for (const bus::TopicConfig& topic : prepper::declared_topics(config.datasets.topics, config.topics)) {
    names.push_back(topic.name);
  }
  NARU_TRY(const std::vector<bus::TopicState> states, bus->describe(names));
  for (const bus::TopicState& state : states) {
    prepper::KafkaTopic topic{.state = state, .settings = {}};
    if (state.exists) {
      NARU_TRY(topic.settings, bus->settings(state.name));
    }
    input.topics.push_back(std::move(topic));
  }
  return prepper::diagnose(input);
}

std::string to_json(const std::vector<Finding>& findings) {
  std::string out = "[";
  for (const Finding& one : findings) {
    out += fmt::format("{}\n{{\"check\":{},\"subject\":{},\"what\":{},\"mend\":{}}}",
                       out.size() > 1 ? "," : "", json_string(one.check), json_string(one.subject),
                       json_string(one.what), json_string(one.mend));
  }
  return out + (findings.empty() ? "]\n" : "\n]\n");
}

std::string to_text(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& one : findings) {
    out += fmt::format("{}: {}\n    {}\n    mend: {}\n", one.check, one.subject, one.what, one.mend);
  }
  return out + (findings.empty()
                    ? "nothing found\n"
                    : fmt::format("{} finding{}\n", findings.size(), findings.size() == 1 ? "" : "s"));
}

}  // namespace

void add_flags(CLI::App& app, DoctorOptions& options) {
  app.add_option("--config", options.config, "configuration of the prepper (YAML)")->required();
  app.add_option("--output", options.output, "text or json")->check(CLI::IsMember({"text", "json"}));
}

int run_doctor(const DoctorOptions& options) {
  const auto config = prepper::load_program_config(options.config);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message());
    return program::kExitUsage;
  }
  const auto findings = look(*config);
  if (!findings) {
    fmt::print(stderr, "naru doctor: {}\n", findings.error().message());
    return program::exit_code(findings.error());
  }
  fmt::print("{}", options.output == "json" ? to_json(*findings) : to_text(*findings));
  return findings->empty() ? program::kExitDone : program::kExitFailure;
}

}  // namespace naru
