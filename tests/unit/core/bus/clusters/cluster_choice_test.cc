#include "core/bus/clusters/cluster_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(ClusterChoice, LeavesASilentClusterForOneThatAnswers) {
  ClusterChoice choice = two();
  EXPECT_FALSE(choice.step(std::nullopt, kStart + 100 * kSecond));
  EXPECT_FALSE(choice.step(kStart, kStart + 2 * kSecond));
  const auto move = choice.step(kStart, kStart + 3 * kSecond);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->to, 1u);
  EXPECT_FALSE(move->drained);
  choice.asked(1, false, kStart);
  EXPECT_FALSE(choice.step(kStart, kStart + 30 * kSecond));  // nowhere to go
}

TEST(ClusterChoice, ComesBackDrainedWhenItHasAnsweredWithoutABreak) {
  ClusterChoice choice = two();
  choice.moved(1);
  choice.asked(0, false, kStart);
  choice.asked(0, true, kStart + 10 * kSecond);
  EXPECT_FALSE(choice.step(std::nullopt, kStart + 69 * kSecond));
  choice.asked(0, false, kStart + 69 * kSecond);
  choice.asked(0, true, kStart + 70 * kSecond);
  EXPECT_FALSE(choice.step(std::nullopt, kStart + 129 * kSecond));
  const auto move = choice.step(std::nullopt, kStart + 130 * kSecond);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->to, 0u);
  EXPECT_TRUE(move->drained);
  ClusterChoice stays = two(false);
  stays.moved(1);
  EXPECT_FALSE(stays.step(std::nullopt, kStart + 10'000 * kSecond));
}

TEST(ClusterChoice, DoesAsItIsToldUnlessThatClusterDoesNotAnswer) {
  ClusterChoice choice = two();
  choice.told(1);
  EXPECT_EQ(choice.step(std::nullopt, kStart)->to, 1u);
  EXPECT_TRUE(choice.step(std::nullopt, kStart)->drained);
  choice.moved(1);
  EXPECT_FALSE(choice.step(std::nullopt, kStart + 1'000 * kSecond));  // it does not come back by itself
  choice.asked(0, false, kStart);
  choice.told(0);
  EXPECT_FALSE(choice.step(std::nullopt, kStart));
  choice.asked(0, true, kStart);
  EXPECT_EQ(choice.step(std::nullopt, kStart)->to, 0u);
}

TEST(ClusterChoice, WhatItSeesItselfCountsMoreThanWhatItIsTold) {
  ClusterChoice choice = two();
  choice.told(0);
  EXPECT_EQ(choice.step(kStart, kStart + 3 * kSecond)->to, 1u);
  choice.moved(1);
  choice.told(0);  // said again: nothing new
  EXPECT_FALSE(choice.step(std::nullopt, kStart + 4 * kSecond));
  EXPECT_EQ(choice.step(std::nullopt, kStart + 60 * kSecond)->to, 0u);
}

}  // namespace
}  // namespace naru::bus
