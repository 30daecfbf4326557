#include "alerting/leader/control_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::alerting {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<std::string> texts(const std::vector<bus::OutRecord>& records) {
  std::vector<std::string> out;
  for (const bus::OutRecord& record : records) {
    out.push_back(record.topic + "/" + record.key + "=" + (record.tombstone ? "(gone)" : record.value));
  }
  return out;
}

TEST(ControlImage, WhatIsBehindGetsWhatItLacksAndForgetsWhatIsGone) {
  const ControlImage behind{.topics = {{"t", {{"same", "1"}, {"old", "1"}, {"gone", "1"}}}}, .commit = {}};
  const ControlImage present{
      .topics = {{"t", {{"same", "1"}, {"old", "2"}, {"new", "1"}}}, {"u", {{"k", "v"}}}}, .commit = {}};
  EXPECT_THAT(texts(differences(behind, present, 1)),
              UnorderedElementsAre("t/old=2", "t/new=1", "t/gone=(gone)", "u/k=v"));
  EXPECT_THAT(differences(present, present, 1), IsEmpty());
}

TEST(ControlImage, ALaterEpochGoesBeforeALaterCommit) {
  EXPECT_LT((CommitNumber{1, 900}), (CommitNumber{2, 1}));
  EXPECT_LT((CommitNumber{2, 1}), (CommitNumber{2, 2}));
}

}  // namespace
}  // namespace naru::alerting
