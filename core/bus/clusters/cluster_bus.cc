#include "core/bus/clusters/cluster_bus.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace naru::bus {

struct ClusterBus::Following {
  std::mutex mutex;
  std::vector<ClusterProducer*> producers;
  std::optional<ClusterOrder> told;
};

namespace {

// A producer that leaves the list of those who are told when it ends.
class FollowingProducer final : public Producer {
 public:
  FollowingProducer(std::unique_ptr<ClusterProducer> inner, std::function<void(ClusterProducer*)> leave)
      : inner_(std::move(inner)), leave_(std::move(leave)) {}
  ~FollowingProducer() override { leave_(inner_.get()); }
  Result<void> send(OutRecord& record, DeliveryCallback done) override {
    return inner_->send(record, std::move(done));
  }
  Result<void> flush(std::chrono::milliseconds deadline) override { return inner_->flush(deadline); }
  Result<std::int32_t> partition_count(const std::string& topic) override {
    return inner_->partition_count(topic);
  }

 private:
  std::unique_ptr<ClusterProducer> inner_;
  std::function<void(ClusterProducer*)> leave_;
};

}  // namespace

ClusterBus::ClusterBus(ClusterProducerConfig config, std::vector<Cluster> clusters,
                       telemetry::Registry& registry)
    : config_([&] {
        config.names.clear();
        for (const Cluster& cluster : clusters) {
          config.names.push_back(cluster.name);
        }
        config.choice.clusters = clusters.size();
        return config;
      }()),
      registry_(registry),
      clusters_(std::move(clusters)),
      following_(std::make_shared<Following>()) {}

ClusterBus::~ClusterBus() = default;

void ClusterBus::told(const std::optional<ClusterOrder>& order) {
  const std::lock_guard lock(following_->mutex);
  following_->told = order;
  for (ClusterProducer* producer : following_->producers) {
    producer->told(order);
  }
}

bool ClusterBus::answers(std::size_t number) {
  const std::string nothing;
  return clusters_[number].probe->describe(std::span(&nothing, 1)).has_value();
}

Result<std::unique_ptr<Producer>> ClusterBus::producer() {
  std::vector<std::unique_ptr<Producer>> inner;
  for (const Cluster& cluster : clusters_) {
    NARU_TRY(auto made, cluster.bus->producer());
    inner.push_back(std::move(made));
  }
  auto made = std::make_unique<ClusterProducer>(
      config_, std::move(inner), [this](std::size_t number) { return answers(number); }, registry_);
  ClusterProducer* const raw = made.get();
  {
    const std::lock_guard lock(following_->mutex);
    following_->producers.push_back(raw);
    raw->told(following_->told);
  }
  return std::make_unique<FollowingProducer>(std::move(made),
                                             [following = following_](ClusterProducer* gone) {
                                               const std::lock_guard lock(following->mutex);
                                               std::erase(following->producers, gone);
                                             });
}

}  // namespace naru::bus
