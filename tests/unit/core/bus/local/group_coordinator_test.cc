#include "core/bus/local/group_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace naru::bus::local {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kPatience = 1000;

TEST(GroupCoordinator, GivesAllPartitionsToTheOnlyMember) {
  GroupCoordinator group(kPatience);
  group.set_topics({{"a", 4}, {"b", 2}, {"other", 3}});
  const auto member = group.join({"a", "b"}, 0);
  EXPECT_THAT(group.poll(member, 1).assign, SizeIs(6));
  EXPECT_THAT(group.poll(member, 2).assign, IsEmpty());
}

TEST(GroupCoordinator, MovesAPartitionOnlyAfterItsOwnerReleasedIt) {
  GroupCoordinator group(kPatience);
  group.set_topics({{"a", 4}});
  const auto first = group.join({"a"}, 0);
  group.poll(first, 1);
  const auto second = group.join({"a"}, 2);
  EXPECT_THAT(group.poll(second, 3).assign, IsEmpty());
  const auto step = group.poll(first, 4);
  EXPECT_THAT(step.revoke, SizeIs(2));
  EXPECT_FALSE(step.lost);
  EXPECT_TRUE(group.owns(first, step.revoke[0])) << "it may still commit while it lets go";
  EXPECT_THAT(group.poll(second, 5).assign, IsEmpty());
  group.released(first, step.revoke);
  EXPECT_EQ(group.poll(second, 6).assign, step.revoke);
  EXPECT_FALSE(group.owns(first, step.revoke[0]));
}

TEST(GroupCoordinator, KeepsEachTopicEven) {
  GroupCoordinator group(kPatience);
  group.set_topics({{"logs", 4}, {"metrics", 4}, {"spans", 4}});
  const auto first = group.join({"logs", "metrics", "spans"}, 0);
  group.poll(first, 1);
  group.join({"logs", "metrics", "spans"}, 2);
  const auto step = group.poll(first, 3);
  std::map<std::string, int> revoked;
  for (const auto& partition : step.revoke) {
    ++revoked[partition.topic];
  }
  EXPECT_EQ(revoked, (std::map<std::string, int>{{"logs", 2}, {"metrics", 2}, {"spans", 2}}));
}

TEST(GroupCoordinator, SpreadsTopicsOfOnePartition) {
  GroupCoordinator group(kPatience);
  group.set_topics({{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}});
  const auto first = group.join({"a", "b", "c", "d"}, 0);
  const auto second = group.join({"a", "b", "c", "d"}, 0);
  group.leave(first);
  const auto third = group.join({"a", "b", "c", "d"}, 0);
  group.leave(second);
  const auto fourth = group.join({"a", "b", "c", "d"}, 0);
  group.set_topics({});
  group.set_topics({{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}});
  EXPECT_THAT(group.poll(third, 1).assign, SizeIs(2));
  EXPECT_THAT(group.poll(fourth, 1).assign, SizeIs(2));
}

TEST(GroupCoordinator, TakesPartitionsFromAMemberThatDoesNotPoll) {
  GroupCoordinator group(kPatience);
  group.set_topics({{"a", 2}});
  const auto stuck = group.join({"a"}, 0);
  group.poll(stuck, 0);
  const auto other = group.join({"a"}, 10);
  EXPECT_THAT(group.poll(other, kPatience).assign, IsEmpty());
  EXPECT_THAT(group.poll(other, kPatience + 1).assign, SizeIs(2));
  EXPECT_FALSE(group.owns(stuck, {"a", 0}));
  const auto step = group.poll(stuck, kPatience + 2);
  EXPECT_TRUE(step.lost);
  EXPECT_THAT(step.revoke, SizeIs(2));
  const auto back = group.poll(other, kPatience + 3);
  group.released(other, back.revoke);
  EXPECT_THAT(group.poll(stuck, kPatience + 4).assign, SizeIs(1)) << "it joins again";
}

TEST(GroupCoordinator, FollowsNewTopics) {
  GroupCoordinator group(kPatience);
  const auto member = group.join({"later"}, 0);
  EXPECT_THAT(group.poll(member, 1).assign, IsEmpty());
  group.set_topics({{"later", 3}});
  EXPECT_THAT(group.poll(member, 2).assign, SizeIs(3));
}

// Random joins, leaves and polls: no partition ever has two owners, and in the end each has one.
TEST(GroupCoordinator, NeverGivesAPartitionToTwo) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    std::mt19937_64 random(seed);
    GroupCoordinator group(1'000'000);
    group.set_topics({{"a", 7}, {"b", 3}});
    std::map<GroupCoordinator::MemberId, std::set<TopicPartition>> members;
    const auto poll = [&](GroupCoordinator::MemberId id) {
      const auto step = group.poll(id, 1);
      for (const auto& partition : step.revoke) {
        members[id].erase(partition);
      }
      group.released(id, step.revoke);
      for (const auto& partition : step.assign) {
        for (const auto& [other, owned] : members) {
          ASSERT_FALSE(owned.contains(partition)) << "seed " << seed;
        }
        members[id].insert(partition);
      }
    };
    for (int i = 0; i < 200; ++i) {
      const auto pick = [&] {
        return std::next(members.begin(), static_cast<long>(random() % members.size()))->first;
      };
      if (members.empty() || random() % 8 == 0) {
        members[group.join({"a", "b"}, 0)];
      } else if (random() % 12 == 0) {
        const auto id = pick();
        group.leave(id);
        members.erase(id);
      } else {
        poll(pick());
      }
    }
    if (members.empty()) {
      members[group.join({"a", "b"}, 0)];
    }
    for (int round = 0; round < 3; ++round) {
      for (const auto& [id, owned] : std::map(members)) {
        poll(id);
      }
    }
    std::size_t total = 0;
    for (const auto& [id, owned] : members) {
      total += owned.size();
    }
    EXPECT_EQ(total, 10u) << "seed " << seed;
  }
}

}  // namespace
}  // namespace naru::bus::local
