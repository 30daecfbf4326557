// The consuming end of the local bus: a member of a group, or a reader of everything. Used by one thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/bus/local/core.h"

namespace naru::bus::local {

class LocalConsumer final : public Consumer {
 public:
  LocalConsumer(std::shared_ptr<Core> core, const ConsumerConfig& config, RebalanceListener& listener);
  ~LocalConsumer() override;
  LocalConsumer(const LocalConsumer&) = delete;
  LocalConsumer& operator=(const LocalConsumer&) = delete;

  // kInvalidArgument: the listener set a position that the partition does not have yet; the partition is held
  // until it is assigned again. Others are read on.
  Result<void> poll(std::vector<InRecord>& out, std::size_t records_max,
                    std::chrono::milliseconds wait) override;
  // kConflict: the group gave the partition to another consumer.
  Result<void> commit(std::span<const Commit> commits) override;
  Result<void> pause(std::span<const TopicPartition> partitions) override;
  Result<void> resume(std::span<const TopicPartition> partitions) override;
  std::vector<Progress> progress() override;
  void close() override;

  // The commits that may be stored for this consumer's group now; the first that may not: see commit().
  Result<void> check(std::span<const Commit> commits);
  const std::string& group_name() const { return config_.group; }

 private:
  Result<void> check(const Commit& commit);
  // An assigned partition: records read but not yet returned, and where to read on.
  struct Fetch {
    Fetch(std::shared_ptr<Topic> topic_of, std::int32_t number, std::uint64_t start)
        : topic(std::move(topic_of)),
          partition(topic->partitions[static_cast<std::size_t>(number)].get()),
          reader(partition->log().log(), start),
          position(start) {}

    std::shared_ptr<Topic> topic;
    Partition* partition;  // of `topic`
    spool::LogReader reader;
    std::uint64_t position;  // of the next record to return
    std::vector<InRecord> buffered;
    std::size_t next = 0;  // in buffered
    bool paused = false;
    bool held = false;  // its start is not in the log
  };

  Result<void> follow_group();
  Result<void> assign(const std::vector<TopicPartition>& partitions);
  void revoke(const std::vector<TopicPartition>& partitions, bool lost);
  void take(std::vector<InRecord>& out, std::size_t size_max);
  Result<void> fill(const TopicPartition& where, Fetch& fetch);
  void decode(const TopicPartition& where, const spool::ReadBatch& batch, Fetch& fetch);
  Result<Fetch*> assigned(const TopicPartition& partition);

  const std::shared_ptr<Core> core_;
  const ConsumerConfig config_;
  RebalanceListener& listener_;
  const std::shared_ptr<Signal> signal_;
  std::shared_ptr<Group> group_;
  std::optional<GroupCoordinator::MemberId> member_;  // empty once closed
  std::map<TopicPartition, Fetch> fetches_;
  std::optional<Error> read_error_;  // of one partition; the next poll() returns it
  std::size_t turn_ = 0;             // which partition begins the next round
};

}  // namespace naru::bus::local
