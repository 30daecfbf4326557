#include "naru/kafka/comparison.h"

#include <gtest/gtest.h>

#include <string>

namespace naru {
namespace {

class ComparisonTest : public testing::Test {
 protected:
  void add(Comparison::Side side, const std::string& value, std::int64_t at_ms, std::int32_t partition = 0) {
    bus::InRecord record;
    record.topic = side == Comparison::kTo ? "main.logs" : "logs";
    record.partition = partition;
    record.value = value;
    record.timestamp_ms = at_ms;
    comparison_.add(side, record, "logs");
  }
  Comparison comparison_;
};

TEST_F(ComparisonTest, AMirrorThatLacksARecordAmongOthersIsTold) {
  for (int i = 0; i < 10; ++i) {
    add(Comparison::kFrom, "r" + std::to_string(i), i);
    if (i != 4 && i < 8) {
      add(Comparison::kTo, "r" + std::to_string(i), i);
    }
  }
  const auto all = comparison_.partitions();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].partition.topic, "logs");
  EXPECT_EQ(all[0].from, 10u);
  EXPECT_EQ(all[0].to, 7u);
  EXPECT_EQ(all[0].both, 7u);
  EXPECT_EQ(all[0].missing, 1u);
  EXPECT_EQ(all[0].behind, 2u);
}

TEST_F(ComparisonTest, APartitionThatMovedInOnePieceDoesNotOverlap) {
  add(Comparison::kFrom, "a", 100);
  add(Comparison::kFrom, "b", 200);
  add(Comparison::kTo, "c", 300);
  add(Comparison::kTo, "d", 400);
  add(Comparison::kFrom, "x", 100, 1);
  add(Comparison::kTo, "y", 150, 1);
  add(Comparison::kFrom, "z", 180, 1);
  add(Comparison::kTo, "w", 250, 1);
  add(Comparison::kTo, "z", 180, 2);
  const auto all = comparison_.partitions();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].overlap_ms, 0);
  EXPECT_EQ(all[0].missing, 0u);
  EXPECT_EQ(all[0].both, 0u);
  EXPECT_EQ(all[1].overlap_ms, 30);
  EXPECT_EQ(all[2].from, 0u);
}

}  // namespace
}  // namespace naru
