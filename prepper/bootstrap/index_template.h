// The index templates that a declaration means for one cluster. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "prepper/cluster/cluster_state.h"
#include "prepper/declaration/datasets.h"

namespace naru::prepper {

struct WantedTemplate {
  otlp::Signal signal = otlp::Signal::kLogs;
  std::string dataset;  // empty: of all data sets of the signal that have none of their own
  std::string name;
  std::string text;  // for PUT _index_template/<name>
};

// What a data set's indices are set to while they are hot.
struct IndexValues {
  std::uint32_t shards = 1;
  std::uint32_t replicas = 0;
  bool hot_tier = false;
  std::vector<std::string> notes;  // where the cluster cannot hold what is declared
};
IndexValues index_values(const Dataset& dataset, const ClusterState& cluster, std::size_t zones);

// Settings of live indices that bootstrap keeps as declared, by full name; "" as value: not set.
Flat dynamic_settings(const Dataset& dataset);

// `mapping`: a template file of config/mappings; what it says of settings is kept unless the declaration says
// otherwise. kInvalidArgument: it is no JSON object with mappings.
Result<WantedTemplate> index_template(otlp::Signal signal, std::string_view name, const Dataset& dataset,
                                      const IndexValues& values, std::string_view mapping);

// When an index of this template is deleted after its period, as bootstrap installed it; nullopt: it does not
// tell. See lifecycle/lifecycle_plan.h for why it stands there.
std::optional<std::chrono::seconds> installed_delete_after(std::string_view template_text);

}  // namespace naru::prepper
