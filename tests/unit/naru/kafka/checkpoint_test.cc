#include "naru/kafka/checkpoint.h"

#include <gtest/gtest.h>

namespace naru {
namespace {

using namespace std::string_literals;

// As MirrorMaker 2 of Kafka 4.1.0 wrote them.
const std::string kKey = "\0\1g\0\4logs\0\0\0\3"s;
const std::string kValue = "\0\0\0\0\0\0\0\0\2\x58\0\0\0\0\0\0\1\xf4\0\0"s;

TEST(Checkpoint, SaysWhereAGroupStandsOnBothClusters) {
  const auto one = parse_checkpoint(kKey, kValue);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->group, "g");
  EXPECT_EQ(one->partition, (bus::TopicPartition{"logs", 3}));
  EXPECT_EQ(one->upstream, 600);
  EXPECT_EQ(one->downstream, 500);
  EXPECT_EQ(checkpoints_topic("main"), "main.checkpoints.internal");
}

TEST(Checkpoint, RefusesWhatIsCutLongerOrOfAnotherVersion) {
  for (std::size_t i = 0; i < kKey.size(); ++i) {
    EXPECT_FALSE(parse_checkpoint(kKey.substr(0, i), kValue)) << i;
  }
  for (std::size_t i = 0; i < kValue.size(); ++i) {
    EXPECT_FALSE(parse_checkpoint(kKey, kValue.substr(0, i))) << i;
  }
  EXPECT_FALSE(parse_checkpoint(kKey + "x", kValue));
  EXPECT_FALSE(parse_checkpoint(kKey, kValue + "x"));
  std::string later = kValue;
  later[1] = 1;
  EXPECT_FALSE(parse_checkpoint(kKey, later));
  EXPECT_FALSE(parse_checkpoint("\xff\xff"s + kKey.substr(2), kValue));
}

}  // namespace
}  // namespace naru
