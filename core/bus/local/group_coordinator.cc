#include "core/bus/local/group_coordinator.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace naru::bus::local {

GroupCoordinator::MemberId GroupCoordinator::join(std::set<std::string> topics, std::uint64_t now_ns) {
  const MemberId id = next_member_++;
  Member& member = members_[id];
  member.topics = std::move(topics);
  member.polled_at = now_ns;
  rebalance();
  return id;
}

void GroupCoordinator::leave(MemberId id) {
  const auto member = members_.find(id);
  if (member == members_.end()) {
    return;
  }
  for (const auto& partition : member->second.owned) {
    owners_.erase(partition);
  }
  members_.erase(member);
  rebalance();
}

void GroupCoordinator::set_topics(TopicSizes topics) {
  topics_ = std::move(topics);
  rebalance();
}

GroupCoordinator::Step GroupCoordinator::poll(MemberId id, std::uint64_t now_ns) {
  Member& self = members_.at(id);
  self.polled_at = now_ns;
  Step step;
  if (self.expired) {
    step.lost = true;
    step.revoke.assign(self.owned.begin(), self.owned.end());
    self.owned.clear();
    self.expired = false;
    rebalance();
    return step;
  }
  expire(now_ns);
  std::ranges::set_difference(self.owned, self.target, std::back_inserter(step.revoke));
  for (const auto& partition : self.target) {
    if (owners_.try_emplace(partition, id).second) {
      self.owned.insert(partition);
      step.assign.push_back(partition);
    }
  }
  return step;
}

void GroupCoordinator::released(MemberId id, const std::vector<TopicPartition>& partitions) {
  Member& self = members_.at(id);
  for (const auto& partition : partitions) {
    if (self.owned.erase(partition) != 0) {
      owners_.erase(partition);
    }
  }
  ++version_;
}

bool GroupCoordinator::owns(MemberId id, const TopicPartition& partition) const {
  const auto owner = owners_.find(partition);
  return owner != owners_.end() && owner->second == id;
}

bool GroupCoordinator::subscribes(const std::string& topic) const {
  return std::ranges::any_of(members_,
                             [&](const auto& member) { return member.second.topics.contains(topic); });
}

void GroupCoordinator::expire(std::uint64_t now_ns) {
  bool changed = false;
  for (auto& [id, member] : members_) {
    if (!member.expired && now_ns - member.polled_at > poll_interval_max_ns_ && now_ns > member.polled_at) {
      member.expired = true;  // keeps `owned`, to be told what it lost
      for (const auto& partition : member.owned) {
        owners_.erase(partition);
      }
      changed = true;
    }
  }
  if (changed) {
    rebalance();
  }
}

void GroupCoordinator::rebalance() {
  std::map<TopicPartition, MemberId> before;
  for (auto& [id, member] : members_) {
    for (const auto& partition : member.target) {
      before[partition] = id;
    }
    member.target.clear();
  }
  for (const auto& [topic, partitions] : topics_) {
    balance_topic(topic, partitions, before);
  }
  ++version_;
}

// Spreads one topic so that its readers differ by at most one partition; of equals the one with less in all.
void GroupCoordinator::balance_topic(const std::string& topic, std::int32_t partitions,
                                     const std::map<TopicPartition, MemberId>& before) {
  std::map<MemberId, std::vector<TopicPartition>> shares;
  for (const auto& [id, member] : members_) {
    if (!member.expired && member.topics.contains(topic)) {
      shares[id];
    }
  }
  if (shares.empty()) {
    return;
  }
  const auto rank = [&](const auto& share) {
    return std::pair(share.second.size(), members_.at(share.first).target.size() + share.second.size());
  };
  std::vector<TopicPartition> free;
  for (std::int32_t p = 0; p < partitions; ++p) {
    TopicPartition partition{topic, p};
    const auto held = before.find(partition);
    const auto share = held == before.end() ? shares.end() : shares.find(held->second);
    (share == shares.end() ? free : share->second).push_back(std::move(partition));
  }
  for (auto& partition : free) {
    std::ranges::min_element(shares, {}, rank)->second.push_back(std::move(partition));
  }
  for (;;) {
    const auto least = std::ranges::min_element(shares, {}, rank);
    const auto most = std::ranges::max_element(shares, {}, rank);
    if (most->second.size() - least->second.size() <= 1) {
      break;
    }
    least->second.push_back(std::move(most->second.back()));
    most->second.pop_back();
  }
  for (auto& [id, share] : shares) {
    members_.at(id).target.insert(share.begin(), share.end());
  }
}

}  // namespace naru::bus::local
