// Who leads: the assignment of the one partition of naru.leader, on every cluster of the list.
//
// An instance may lead when it holds the partition of each cluster that it reaches, and of at least `quorum`
// of them. Seats are taken in the order of the list, so that two instances do not wait for each other with
// one seat each; who is stuck all the same gives up its seats and tries again after a random pause. That two
// instances reach different clusters only, and both lead, is possible with a quorum of no more than half of
// the list: then every cluster that both reach still fences one of them, and their epochs differ. Not
// thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "alerting/config.h"
#include "alerting/leader/control_cluster.h"
#include "core/bus/bus.h"

namespace naru::alerting {

class Election {
 public:
  Election(const ControlConfig& config, std::vector<ControlCluster> clusters);
  ~Election();

  // One round: at most about `wait`. Who leads keeps its seats and takes those of clusters that come back.
  // kUnavailable: no cluster answers; of a single cluster its own error.
  Result<void> step(std::chrono::milliseconds wait, bool leading);
  bool won() const;
  void close();

  std::size_t size() const { return seats_.size(); }
  const ControlCluster& cluster(std::size_t number) const;
  bool answers(std::size_t number) const;
  bool holds(std::size_t number) const;
  // It holds it, and the cluster has answered for `rejoin_after` without a break.
  bool steady(std::size_t number) const;
  // Something went wrong on it: it counts as one that does not answer, for `rejoin_after`.
  void distrust(std::size_t number, const std::string& why);
  // Number of partitions of a topic, within about a second. As Producer::partition_count.
  Result<std::int32_t> partition_count(std::size_t number, const std::string& topic);

 private:
  struct Seat;

  Result<void> join(Seat& seat);
  Result<void> step_seat(Seat& seat, std::chrono::milliseconds wait);
  void leave_if_stuck();

  const ControlConfig config_;
  std::vector<std::unique_ptr<Seat>> seats_;
  bool all_asked_ = false;
  std::uint64_t stuck_since_ = 0, pause_until_ = 0;  // monotonic; 0: not
  std::minstd_rand random_;
};

}  // namespace naru::alerting
