// Reads topics from their beginning, or their last records, to the end that they had when it began.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/bus/bus.h"

namespace naru::bus {

class TopicReader final : private RebalanceListener {
 public:
  using Take = std::function<void(const InRecord&)>;

  // Calls `take` for each record; with `last`, of that many offsets at the end of each partition only.
  // kTimeout: the end was not reached within `most`. Otherwise the errors of consumers.
  static Result<void> read(Bus& bus, const std::vector<std::string>& topics, const Take& take,
                           std::chrono::milliseconds most, std::optional<std::int64_t> last = {});

 private:
  explicit TopicReader(std::optional<std::int64_t> last) : last_(last) {}
  void on_assigned(std::span<Assignment> partitions) override;
  void on_revoked(std::span<const TopicPartition>, bool) override {}

  const std::optional<std::int64_t> last_;
  std::map<std::string, bool> seen_;
  std::map<TopicPartition, std::int64_t> ends_;  // of partitions that are not read to their end yet
};

}  // namespace naru::bus
