// Several clusters behind one Bus: producers switch between them, everything else is that of the first.
//
// Whoever reads from all of them asks for each by cluster(). The buses must be of Kafka's kind: `probes` are
// connections of their own that are asked whether their cluster answers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/bus/bus.h"
#include "core/bus/clusters/cluster_producer.h"
#include "core/telemetry/metrics.h"

namespace naru::bus {

class ClusterBus final : public Bus {
 public:
  struct Cluster {
    std::string name;
    std::unique_ptr<Bus> bus;
    std::unique_ptr<Bus> probe;  // answers within about a second, or does not
  };
  ClusterBus(ClusterProducerConfig config, std::vector<Cluster> clusters, telemetry::Registry& registry);
  ~ClusterBus() override;

  std::size_t size() const { return clusters_.size(); }
  Bus& cluster(std::size_t number) { return *clusters_[number].bus; }
  Bus& probe(std::size_t number) { return *clusters_[number].probe; }
  const std::string& name(std::size_t number) const { return clusters_[number].name; }
  // Asks it; as long as its probe takes. Thread-safe.
  bool answers(std::size_t number);

  // To all producers that were made: what somebody who knows better decided. Thread-safe.
  void told(const std::optional<ClusterOrder>& order);

  Result<std::unique_ptr<Producer>> producer() override;
  Result<std::unique_ptr<TransactionalProducer>> transactional_producer(
      const std::string& id, const std::vector<std::string>& topics) override {
    return cluster(0).transactional_producer(id, topics);
  }
  Result<std::unique_ptr<Consumer>> consumer(const ConsumerConfig& config,
                                             RebalanceListener& listener) override {
    return cluster(0).consumer(config, listener);
  }
  Result<void> ensure_topics(std::span<const TopicConfig> topics) override {
    return cluster(0).ensure_topics(topics);
  }
  Result<std::vector<TopicState>> describe(std::span<const std::string> topics) override {
    return cluster(0).describe(topics);
  }
  Result<std::map<std::string, std::string>> settings(const std::string& topic) override {
    return cluster(0).settings(topic);
  }
  Result<std::chrono::milliseconds> retention(const std::string& topic) override {
    return cluster(0).retention(topic);
  }
  Result<std::string> cluster_id() override { return cluster(0).cluster_id(); }

 private:
  // What a producer and this share: a producer may outlive it.
  struct Following;

  const ClusterProducerConfig config_;
  telemetry::Registry& registry_;
  std::vector<Cluster> clusters_;
  std::shared_ptr<Following> following_;
};

}  // namespace naru::bus
