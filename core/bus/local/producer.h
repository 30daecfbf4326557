// The producing end of the local bus. Thread-safe; callbacks run on the partition's writer thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "core/bus/local/core.h"

namespace naru::bus::local {

class LocalProducer final : public Producer {
 public:
  explicit LocalProducer(std::shared_ptr<Core> core);
  ~LocalProducer() override;

  Result<void> send(OutRecord& record, DeliveryCallback done) override;
  Result<void> flush(std::chrono::milliseconds deadline) override;
  Result<std::int32_t> partition_count(const std::string& topic) override;

 private:
  // Unanswered records, in two generations: a flush waits for one while new sends count in the other.
  struct Outstanding {
    std::mutex mutex;
    std::condition_variable answered;
    std::size_t open[2] = {0, 0};
    std::size_t current = 0;

    void finish(std::size_t generation);
  };

  Result<std::int32_t> choose_partition(const OutRecord& record, const Topic& topic);

  const std::shared_ptr<Core> core_;
  const std::shared_ptr<Outstanding> outstanding_;
  std::mutex flush_mutex_;
  std::atomic<std::uint32_t> round_robin_{0};
};

}  // namespace naru::bus::local
