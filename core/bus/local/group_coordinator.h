// Which consumer of a group reads which partition. Pure: no threads, no clock, no I/O.
//
// Cooperative: a partition moves only after its owner has released it, or after the owner has not polled for
// too long. Sticky: partitions stay where they are as far as each topic stays even.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/bus/bus.h"

namespace naru::bus::local {

class GroupCoordinator {
 public:
  using MemberId = std::uint64_t;
  using TopicSizes = std::map<std::string, std::int32_t>;  // partitions of each existing topic

  explicit GroupCoordinator(std::uint64_t poll_interval_max_ns)
      : poll_interval_max_ns_(poll_interval_max_ns) {}

  MemberId join(std::set<std::string> topics, std::uint64_t now_ns);
  // What it owned is free at once.
  void leave(MemberId member);
  void set_topics(TopicSizes topics);

  struct Step {
    std::vector<TopicPartition> revoke;  // call released() once they are let go
    std::vector<TopicPartition> assign;  // owned from now on
    bool lost = false;                   // `revoke` is owned by others already; no released() needed
  };
  // What `member` has to do now. Takes partitions away from members that have not polled for too long.
  Step poll(MemberId member, std::uint64_t now_ns);
  void released(MemberId member, const std::vector<TopicPartition>& partitions);

  bool owns(MemberId member, const TopicPartition& partition) const;
  bool subscribes(const std::string& topic) const;
  // Grows whenever another member may have something to do.
  std::uint64_t version() const { return version_; }

 private:
  struct Member {
    std::set<std::string> topics;
    std::uint64_t polled_at = 0;
    bool expired = false;  // out of the group until it polls again
    std::set<TopicPartition> owned;
    std::set<TopicPartition> target;
  };
  void rebalance();
  void balance_topic(const std::string& topic, std::int32_t partitions,
                     const std::map<TopicPartition, MemberId>& before);
  void expire(std::uint64_t now_ns);

  const std::uint64_t poll_interval_max_ns_;
  std::map<MemberId, Member> members_;
  std::map<TopicPartition, MemberId> owners_;
  TopicSizes topics_;
  MemberId next_member_ = 1;
  std::uint64_t version_ = 1;
};

}  // namespace naru::bus::local
