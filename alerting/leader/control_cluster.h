// One of the clusters that carry the control topics, as a leader sees it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/bus/bus.h"
#include "core/bus/clusters/cluster_watch.h"

namespace naru::alerting {

struct ControlCluster {
  std::string name;
  bus::Bus* bus = nullptr;  // outlives everything that leads on it
  // The same cluster by connections that give up within about a second.
  bus::Bus* probe = nullptr;
  std::function<bus::ClusterReach()> reach;  // thread-safe; empty: it is the only one, and always tried
};

// The list where there is one cluster only.
inline std::vector<ControlCluster> only_cluster(std::string name, bus::Bus& bus) {
  return {{.name = std::move(name), .bus = &bus, .probe = &bus, .reach = {}}};
}

}  // namespace naru::alerting
