#include "prepper/lifecycle/ism_policy.h"

#include <fmt/format.h>

#include "core/base/json_text.h"

namespace naru::prepper {
namespace {

constexpr std::string_view kAfterMove = "1h";
constexpr int kWarmPriority = 10;

std::chrono::seconds length(Period period) {
  using namespace std::chrono_literals;
  return period == Period::kHour ? 1h : period == Period::kDay ? 24h : 31 * 24h;
}

std::string age(std::chrono::seconds age) {
  constexpr int kSecondsPerHour = 3600;
  return age.count() % kSecondsPerHour == 0 ? fmt::format("{}h", age.count() / kSecondsPerHour)
                                            : fmt::format("{}s", age.count());
}

std::string transition(std::string_view state, std::string_view condition, std::string_view value) {
  return fmt::format(R"([{{"state_name":"{}","conditions":{{"{}":"{}"}}}}])", state, condition, value);
}

std::string state(std::string_view name, std::string_view actions, std::string_view transitions) {
  return fmt::format(R"({{"name":"{}","actions":[{}],"transitions":{}}})", name, actions, transitions);
}

}  // namespace

bool left_to_ism(const LifecycleConfig& config, const ClusterState& cluster) {
  return config.driver == LifecycleBy::kIsm ||
         (config.driver == LifecycleBy::kAuto && cluster.index_management());
}

std::string ism_policy_name(std::string_view template_name) {
  return fmt::format("naru-{}", template_name);
}

std::string ism_policy(std::string_view pattern, int priority, const Dataset& dataset, bool warm_tier,
                       std::chrono::seconds margin) {
  const std::chrono::seconds from_creation = length(dataset.period) + margin;
  const std::string to_delete =
      transition("delete", "min_index_age", age(dataset.delete_after + from_creation));
  const bool read_only = dataset.read_only_after.count() > 0;
  const std::string to_end =
      read_only ? transition("read_only", "min_index_age", age(dataset.read_only_after + from_creation))
                : to_delete;
  std::string states;
  if (!warm_tier) {
    states = state("hot", "", to_end);
  } else {
    std::string merged = fmt::format(R"({{"index_priority":{{"priority":{}}}}})", kWarmPriority);
    if (dataset.merge_segments > 0) {
      merged = fmt::format(R"({{"force_merge":{{"max_num_segments":{}}}}},)", dataset.merge_segments) +
               std::move(merged);
    }
    states = state("hot", "", transition("warm", "min_index_age", age(dataset.hot_for + from_creation))) +
             "," +
             state("warm",
                   fmt::format(R"({{"allocation":{{"require":{{"temp":"warm"}}}}}},)"
                               R"({{"replica_count":{{"number_of_replicas":{}}}}})",
                               dataset.warm_replicas),
                   transition("merged", "min_state_age", kAfterMove)) +
             "," + state("merged", merged, to_end);
  }
  if (read_only) {
    states += "," + state("read_only", R"({"read_only":{}})", to_delete);
  }
  return fmt::format(
      R"({{"policy":{{"description":"hot for {}, deleted after {}, of Naru's declaration","default_state":)"
      R"("hot","states":[{},{}],"ism_template":[{{"index_patterns":[{}],"priority":{}}}]}}}})",
      age(dataset.hot_for), age(dataset.delete_after), states, state("delete", R"({"delete":{}})", "[]"),
      json_string(pattern), priority);
}

}  // namespace naru::prepper
