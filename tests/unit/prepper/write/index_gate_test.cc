#include "prepper/write/index_gate.h"

#include <gtest/gtest.h>

namespace naru::prepper {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(IndexGate, ProbesAHeldIndexOneAtATimeUntilItSucceeds) {
  IndexGate gate({}, 1);
  EXPECT_TRUE(gate.open("a"));
  EXPECT_TRUE(gate.hold("a", HoldCause::kRefused, "closed", 0));
  EXPECT_FALSE(gate.hold("a", HoldCause::kRefused, "closed", 0));  // already known: no second alarm
  EXPECT_FALSE(gate.open("a"));
  EXPECT_TRUE(gate.open("b"));
  const std::uint64_t due = gate.probe_at("a");
  EXPECT_GE(due, kSecond / 2);
  EXPECT_LE(due, kSecond);
  EXPECT_FALSE(gate.probe_due("a", due - 1));
  ASSERT_TRUE(gate.probe_due("a", due));
  gate.take_probe("a");
  EXPECT_FALSE(gate.probe_due("a", due + 100 * kSecond));
  gate.hold("a", HoldCause::kRefused, "still closed", due);
  ASSERT_EQ(gate.held().size(), 1u);
  EXPECT_EQ(gate.held()[0].reason, "still closed");
  EXPECT_GT(gate.probe_at("a"), due);
  gate.take_probe("a");
  gate.succeeded("a");
  EXPECT_TRUE(gate.open("a"));
  EXPECT_TRUE(gate.held().empty());
}

TEST(IndexGate, IsNotStuckAfterAProbeThatSaidNothing) {
  IndexGate gate({}, 1);
  gate.hold("a", HoldCause::kRefused, "closed", 0);
  gate.take_probe("a");
  gate.end_probe("a", 5 * kSecond);
  EXPECT_GT(gate.probe_at("a"), 5 * kSecond);
  EXPECT_TRUE(gate.probe_due("a", 1000 * kSecond));
}

TEST(IndexGate, GoesOnCountingRefusalsWhenAnAnswerOpensIt) {
  IndexGateConfig config;
  config.document_faults_max = 2;
  IndexGate gate(config, 1);
  gate.document_fault("a", "strict");
  gate.hold("a", HoldCause::kUnavailable, "away", 0);
  gate.take_probe("a");
  gate.document_fault("a", "strict");
  gate.answered("a");
  EXPECT_TRUE(gate.open("a"));
  EXPECT_NE(gate.document_fault("a", "strict"), std::nullopt);
}

TEST(IndexGate, DoesNotDelayTheProbeForLateAnswers) {
  IndexGate gate({}, 1);
  gate.hold("a", HoldCause::kRefused, "x", 0);
  const std::uint64_t due = gate.probe_at("a");
  gate.hold("a", HoldCause::kRefused, "x", due - 1);
  EXPECT_EQ(gate.probe_at("a"), due);
}

TEST(IndexGate, BlamesTheIndexOnlyForManyRefusalsOfOneTypeInARow) {
  IndexGateConfig config;
  config.document_faults_max = 3;
  IndexGate gate(config, 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(gate.document_fault("a", "strict"), std::nullopt);
  }
  EXPECT_EQ(gate.document_fault("a", "parse"), std::nullopt);  // another type begins anew
  EXPECT_EQ(gate.document_fault("a", "parse"), std::nullopt);
  gate.succeeded("a");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(gate.document_fault("a", "parse"), std::nullopt);
    EXPECT_EQ(gate.document_fault("b", "parse"), std::nullopt);
  }
  EXPECT_NE(gate.document_fault("a", "parse"), std::nullopt);
}

}  // namespace
}  // namespace naru::prepper
