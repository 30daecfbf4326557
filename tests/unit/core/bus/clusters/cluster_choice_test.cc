#include "core/bus/clusters/cluster_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace naru::bus {
namespace {

constexpr std::uint64_t kSecond = kNanosPerSecond;
constexpr std::uint64_t kStart = 1'000 * kSecond;

ClusterChoice two(bool returns = true) {
  ClusterChoice choice({.clusters = 2,
                        .switch_after = std::chrono::seconds{3},
                        .return_after = std::chrono::seconds{60},
                        .returns = returns});
  choice.asked(0, true, kStart);
  choice.asked(1, true, kStart);
  return choice;
}

using Silence = std::vector<std::optional<std::uint64_t>>;
const Silence kNone(2);
Silence silent(std::size_t cluster, std::uint64_t since) {
  Silence out(2);
  out[cluster] = since;
  return out;
}

TEST(ClusterChoice, LeavesASilentClusterForOneThatAnswers) {
  ClusterChoice choice = two();
  EXPECT_FALSE(choice.step(kNone, kStart + 100 * kSecond));
  EXPECT_FALSE(choice.step(silent(0, kStart), kStart + 2 * kSecond));
  const auto move = choice.step(silent(0, kStart), kStart + 3 * kSecond);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->to.active, 1u);
  EXPECT_EQ(move->left, 0u);
  choice.asked(1, false, kStart);
  EXPECT_FALSE(choice.step(silent(0, kStart), kStart + 30 * kSecond));  // nowhere to go
}

TEST(ClusterChoice, ComesBackDrainedWhenItHasAnsweredWithoutABreak) {
  ClusterChoice choice = two();
  choice.moved({.active = 1});
  choice.asked(0, false, kStart);
  choice.asked(0, true, kStart + 10 * kSecond);
  EXPECT_FALSE(choice.step(kNone, kStart + 69 * kSecond));
  choice.asked(0, false, kStart + 69 * kSecond);
  choice.asked(0, true, kStart + 70 * kSecond);
  EXPECT_FALSE(choice.step(kNone, kStart + 129 * kSecond));
  const auto move = choice.step(kNone, kStart + 130 * kSecond);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->to.active, 0u);
  EXPECT_FALSE(move->left);
  ClusterChoice stays = two(false);
  stays.moved({.active = 1});
  EXPECT_FALSE(stays.step(kNone, kStart + 10'000 * kSecond));
}

TEST(ClusterChoice, DoesAsItIsToldUnlessThatClusterDoesNotAnswer) {
  ClusterChoice choice = two();
  choice.told(ClusterPlacement{.active = 1});
  EXPECT_EQ(choice.step(kNone, kStart)->to.active, 1u);
  EXPECT_FALSE(choice.step(kNone, kStart)->left);
  choice.moved({.active = 1});
  EXPECT_FALSE(choice.step(kNone, kStart + 1'000 * kSecond));  // it does not come back by itself
  choice.asked(0, false, kStart);
  choice.told(ClusterPlacement{.active = 0});
  EXPECT_FALSE(choice.step(kNone, kStart));
  choice.asked(0, true, kStart);
  EXPECT_EQ(choice.step(kNone, kStart)->to.active, 0u);
}

TEST(ClusterChoice, WhatItSeesItselfCountsMoreThanWhatItIsTold) {
  ClusterChoice choice = two();
  choice.told(ClusterPlacement{.active = 0});
  EXPECT_EQ(choice.step(silent(0, kStart), kStart + 3 * kSecond)->to.active, 1u);
  choice.moved({.active = 1});
  choice.told(ClusterPlacement{.active = 0});  // said again: nothing new
  EXPECT_FALSE(choice.step(kNone, kStart + 4 * kSecond));
  EXPECT_EQ(choice.step(kNone, kStart + 60 * kSecond)->to.active, 0u);
}

TEST(ClusterChoice, MovesAShareOfThePartitionsAndTakesItBackFromASilentCluster) {
  ClusterChoice choice = two();
  const ClusterPlacement quarter{.active = 0, .shift_to = 1, .percent = 25};
  choice.told(quarter);
  const auto move = choice.step(kNone, kStart);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->to, quarter);
  EXPECT_FALSE(move->left);
  choice.moved(quarter);
  EXPECT_FALSE(choice.step(kNone, kStart + 1'000 * kSecond));
  // The cluster with the share fails: what it has goes back, the rest stays where it is.
  choice.asked(1, false, kStart);
  auto back = choice.step(silent(1, kStart), kStart + 3 * kSecond);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to, ClusterPlacement{.active = 0});
  EXPECT_EQ(back->left, 1u);
  choice.moved(back->to);
  // It has answered for long enough: the share is what is wanted.
  choice.asked(1, true, kStart + 10 * kSecond);
  EXPECT_FALSE(choice.step(kNone, kStart + 69 * kSecond));
  back = choice.step(kNone, kStart + 70 * kSecond);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to, quarter);
}

TEST(ClusterPlacement, MovesWholePartitionsAndRoundsUp) {
  const auto moved = [](unsigned percent, std::uint64_t partitions) {
    const ClusterPlacement placement{.active = 0, .shift_to = 1, .percent = percent};
    std::uint64_t out = 0;
    for (std::uint64_t partition = 0; partition < partitions; ++partition) {
      out += placement.of(partition, partitions);
    }
    return out;
  };
  EXPECT_EQ(moved(0, 12), 0u);
  EXPECT_EQ(moved(1, 12), 1u);
  EXPECT_EQ(moved(25, 12), 3u);
  EXPECT_EQ(moved(26, 12), 4u);
  EXPECT_EQ(moved(99, 4), 4u);
  EXPECT_EQ(moved(100, 12), 12u);
}

}  // namespace
}  // namespace naru::bus
