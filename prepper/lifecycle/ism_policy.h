// The lifecycle of a data set as a policy of OpenSearch's index state management plugin (formats.md 2.5).
// Pure.
//
// Not run on a real plugin here: it is on no package registry. Its body is checked against its documented
// form.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "prepper/cluster/cluster_state.h"
#include "prepper/declaration/datasets.h"

namespace naru::prepper {

// Whether ISM moves and deletes here, so that only the creation of indices is left to the driver.
bool left_to_ism(const LifecycleConfig& config, const ClusterState& cluster);

// "naru-logs-otel-v1-web" for the template of that name.
std::string ism_policy_name(std::string_view template_name);

// The body of PUT _plugins/_ism/policies/<name>. `pattern`: of indices. ISM counts ages from an index's
// creation instead of the period in its name, so `margin` is added to them; it can begin a force merge before
// the shards have moved, so that is a state of its own, an hour later.
std::string ism_policy(std::string_view pattern, int priority, const Dataset& dataset, bool warm_tier,
                       std::chrono::seconds margin);

}  // namespace naru::prepper
