#include "core/bus/local/producer.h"

#include <fmt/format.h>

#include "core/bus/local/record_codec.h"

namespace naru::bus::local {
namespace {

std::unexpected<Error> unknown_topic(const std::string& topic) {
  return fail(ErrorCode::kNotFound,
              fmt::format("the bus has no topic '{}': create it with ensure_topics", topic));
}

}  // namespace

LocalProducer::LocalProducer(std::shared_ptr<Core> core)
    : core_(std::move(core)), outstanding_(std::make_shared<Outstanding>()) {}

// The disk answers everything, so this ends.
LocalProducer::~LocalProducer() {
  std::unique_lock lock(outstanding_->mutex);
  outstanding_->answered.wait(lock, [&] { return outstanding_->open[0] == 0 && outstanding_->open[1] == 0; });
}

void LocalProducer::Outstanding::finish(std::size_t generation) {
  const std::lock_guard lock(mutex);
  if (--open[generation] == 0) {
    answered.notify_all();
  }
}

Result<std::int32_t> LocalProducer::choose_partition(const OutRecord& record, const Topic& topic) {
  const auto count = static_cast<std::int32_t>(topic.partitions.size());
  if (record.partition != kPartitionByKey) {
    if (record.partition < 0 || record.partition >= count) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("topic '{}' has no partition {}: it has {}",
                                                           topic.name, record.partition, count));
    }
    return record.partition;
  }
  if (record.key.empty()) {
    return static_cast<std::int32_t>(round_robin_++ % static_cast<std::uint32_t>(count));
  }
  return partition_of_key(record.key, count);
}

Result<void> LocalProducer::send(OutRecord& record, DeliveryCallback done) {
  const auto topic = core_->find_topic(record.topic);
  if (!topic) {
    return unknown_topic(record.topic);
  }
  if (topic->compacted && record.key.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a record of the compacted topic '{}' needs a key", record.topic));
  }
  if (record.tombstone && !record.value.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a tombstone for topic '{}' carries a value of {} bytes", record.topic,
                            record.value.size()));
  }
  NARU_TRY(const std::int32_t partition, choose_partition(record, *topic));
  if (record.key.size() + record.value.size() > core_->config().record_bytes_max) {
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("a record of {} bytes for topic '{}' is over the limit of {} bytes",
                    record.key.size() + record.value.size(), record.topic, core_->config().record_bytes_max));
  }
  spool::OwnedEntry entry{.head = encode_record_head(record),
                          .body = std::move(record.value),
                          .flags = record.tombstone ? kTombstoneFlag : std::uint8_t{0}};
  std::size_t generation;
  {
    const std::lock_guard lock(outstanding_->mutex);
    generation = outstanding_->current;
    ++outstanding_->open[generation];
  }
  auto taken = topic->partitions[static_cast<std::size_t>(partition)]->log().append(
      entry, [done = std::move(done), outstanding = outstanding_, partition,
              generation](Result<std::uint64_t> offset) mutable {
        if (offset) {
          done(Position{partition, static_cast<std::int64_t>(*offset)});
        } else {
          done(fail(std::move(offset).error()));
        }
        outstanding->finish(generation);
      });
  if (!taken) {
    record.value = std::move(entry.body);
    outstanding_->finish(generation);
  }
  return taken;
}

Result<void> LocalProducer::flush(std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  const std::lock_guard one_at_a_time(flush_mutex_);
  std::unique_lock lock(outstanding_->mutex);
  // First what a flush that timed out left in the older generation, then the current one.
  for (int round = 0; round < 2; ++round) {
    const std::size_t older = 1 - outstanding_->current;
    if (!outstanding_->answered.wait_until(lock, until, [&] { return outstanding_->open[older] == 0; })) {
      return fail(ErrorCode::kTimeout,
                  fmt::format("{} records are not on the disk after {} ms",
                              outstanding_->open[0] + outstanding_->open[1], deadline.count()));
    }
    if (round == 0) {
      outstanding_->current = older;
    }
  }
  return {};
}

Result<std::int32_t> LocalProducer::partition_count(const std::string& topic) {
  const auto found = core_->find_topic(topic);
  if (!found) {
    return unknown_topic(topic);
  }
  return static_cast<std::int32_t>(found->partitions.size());
}

}  // namespace naru::bus::local
