// More Kafka clusters beside the first: their configuration, and the bus over all of them.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/bus/clusters/cluster_bus.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/config/config.h"
#include "core/telemetry/metrics.h"

namespace naru::program {

struct ClusterEntry {
  std::string name;
  bus::KafkaBusConfig kafka;
};

// The route of naru-alerting whose active route names the cluster to use.
struct FollowConfig {
  std::vector<std::string> alerting;  // URLs of its instances; empty: nobody is followed
  std::string target = "kafka";
  std::string token;
};

// Clusters beside the one that `kafka` describes.
struct ClusterList {
  std::string name = "main";       // of that one
  std::vector<ClusterEntry> more;  // in the order of preference
};

struct ClustersConfig : ClusterList {
  std::chrono::milliseconds switch_after{3'000};
  std::chrono::milliseconds return_after{60'000};
  bool returns = true;
  FollowConfig follow;
};

void describe(config::Schema<ClusterEntry>& schema);
void describe(config::Schema<FollowConfig>& schema);
void describe(config::Schema<ClusterList>& schema);
void validate(const ClusterList& list, config::Errors& errors);
void describe(config::Schema<ClustersConfig>& schema);
void validate(const ClustersConfig& config, config::Errors& errors);

// kInvalidArgument: as make_kafka_bus(). Also for no more than one cluster.
Result<std::unique_ptr<bus::ClusterBus>> make_cluster_bus(const bus::KafkaBusConfig& first,
                                                          const ClustersConfig& config,
                                                          telemetry::Registry& registry);

// Tells a bus which cluster naru-alerting decided on, on a thread of its own. While nobody answers, what was
// said last stays, and what the producers see themselves counts more anyway.
class RouteFollower {
 public:
  RouteFollower(FollowConfig config, bus::ClusterBus& bus);
  ~RouteFollower();

 private:
  void run();

  const FollowConfig config_;
  bus::ClusterBus& bus_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace naru::program
