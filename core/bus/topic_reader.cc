#include "core/bus/topic_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/clock.h"

namespace naru::bus {

void TopicReader::on_assigned(std::span<Assignment> partitions) {
  for (Assignment& partition : partitions) {
    seen_[partition.partition.topic] = true;
    if (last_) {
      partition.start = std::max(partition.low, partition.high - *last_);
    }
    if (partition.start < partition.high) {
      ends_.emplace(partition.partition, partition.high);
    }
  }
}

Result<void> TopicReader::read(Bus& bus, const std::vector<std::string>& topics, const Take& take,
                               std::chrono::milliseconds most, std::optional<std::int64_t> last) {
  constexpr std::size_t kRecordsMax = 1'000;
  constexpr std::chrono::milliseconds kWait{20};
  TopicReader reader(last);
  NARU_TRY(const std::unique_ptr<Consumer> consumer, bus.consumer({.group = {}, .topics = topics}, reader));
  const std::uint64_t deadline = monotonic_now() + to_nanos(most);
  std::vector<InRecord> batch;
  while (monotonic_now() < deadline) {
    batch.clear();
    NARU_TRY_VOID(consumer->poll(batch, kRecordsMax, kWait));
    for (const InRecord& record : batch) {
      take(record);
    }
    for (const Consumer::Progress& progress : consumer->progress()) {
      if (const auto end = reader.ends_.find(progress.partition);
          end != reader.ends_.end() && progress.position >= end->second) {
        reader.ends_.erase(end);
      }
    }
    const bool all =
        std::ranges::all_of(topics, [&](const std::string& topic) { return reader.seen_[topic]; });
    if (all && reader.ends_.empty()) {
      consumer->close();
      return {};
    }
  }
  return fail(ErrorCode::kTimeout, fmt::format("{} could not be read to its end within {} ms",
                                               fmt::join(topics, ", "), most.count()));
}

}  // namespace naru::bus
