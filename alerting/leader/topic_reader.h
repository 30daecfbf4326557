// Reads topics from their beginning to the end that they had when it began: what restores state.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/bus/bus.h"

namespace naru::alerting {

class TopicReader final : private bus::RebalanceListener {
 public:
  using Take = std::function<void(const bus::InRecord&)>;

  // Calls `take` for each record. kTimeout: the end was not reached within `most`.
  static Result<void> read(bus::Bus& bus, std::vector<std::string> topics, const Take& take,
                           std::chrono::milliseconds most);

 private:
  void on_assigned(std::span<bus::Assignment> partitions) override;
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}

  std::map<std::string, bool> seen_;
  std::map<bus::TopicPartition, std::int64_t> ends_;  // of partitions that are not read to their end yet
};

}  // namespace naru::alerting
