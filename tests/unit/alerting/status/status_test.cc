#include "alerting/status/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::alerting {
namespace {

using testing::HasSubstr;

StatusEvent example() {
  StatusEvent event;
  event.target = "broker.main";
  event.status = Status::kCritical;
  event.previous = Status::kHealthy;
  event.epoch = 3;
  event.sequence = 7;
  event.at = 1'795'222'923'123'456'789;
  event.source = "rule/failures";
  event.reason = "101 records of rule \"failures\" within 60 s, more than 100";
  event.evidence.rule = "failures";
  event.evidence.count = 101;
  event.evidence.more_than = 100;
  event.evidence.window_s = 60;
  event.evidence.topic = "otlp_logs";
  event.evidence.partition = 2;
  event.evidence.offset = 4711;
  return event;
}

// The example of docs/formats/status-event.md.
TEST(StatusEvent, HasTheDocumentedForm) {
  EXPECT_EQ(
      to_json(example()),
      R"({"type":"broker.main","status":"CRITICAL","prevStatus":"HEALTHY","eventId":"Rhjn2zkiqYMft8CRTPqcVw",)"
      R"("epoch":3,"sequence":7,"at":"2026-11-21T01:02:03.123456789Z","source":"rule/failures",)"
      R"("reason":"101 records of rule \"failures\" within 60 s, more than 100","fingerprint":"e1aa80c072fb3df2",)"
      R"("evidence":{"rule":"failures","count":101,"moreThan":100,"windowSeconds":60,)"
      R"("record":{"topic":"otlp_logs","partition":2,"offset":4711}}})");
}

TEST(StatusEvent, LeavesOutTheRecordOnAWayBack) {
  StatusEvent event = example();
  event.evidence.topic.clear();
  EXPECT_THAT(to_json(event), HasSubstr(R"("windowSeconds":60}})"));
}

TEST(StatusEvent, ComesBackFromItsJson) {
  StatusEvent event = example();
  event.target = "bro\"ker\n\xc3\xa9";
  const StatusEvent read = parse_status_event(to_json(event)).value();
  EXPECT_EQ(read.target, event.target);
  EXPECT_EQ(read.status, event.status);
  EXPECT_EQ(read.previous, event.previous);
  EXPECT_EQ(read.epoch, 3u);
  EXPECT_EQ(read.sequence, 7u);
  EXPECT_EQ(read.at, event.at);
  EXPECT_EQ(read.source, event.source);
}

TEST(StatusEvent, IsRefusedWithTheFieldThatIsWrong) {
  const auto why = [](std::string_view json) { return parse_status_event(json).error().message(); };
  EXPECT_THAT(why(""), HasSubstr("no JSON object"));
  EXPECT_THAT(why("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(why("{\"type\":\"a\""), HasSubstr("no JSON object"));
  EXPECT_THAT(why(R"({"status":"HEALTHY"})"), HasSubstr("\"type\""));
  EXPECT_THAT(why(R"({"type":"a","status":"GREEN"})"), HasSubstr("\"GREEN\" is no status"));
  EXPECT_THAT(why(R"({"type":"a","status":"HEALTHY","prevStatus":"HEALTHY","epoch":-1})"),
              HasSubstr("\"epoch\""));
  EXPECT_THAT(
      why(R"({"type":"a","status":"HEALTHY","prevStatus":"HEALTHY","epoch":1,"sequence":1,"at":"soon"})"),
      testing::Not(testing::IsEmpty()));
}

TEST(EventId, IsTheSameForTheSameChangeAndOtherwiseDifferent) {
  const StatusEvent event = example();
  StatusEvent again = event;
  again.epoch = 9;
  again.sequence = 1;
  again.evidence.count = 150;
  EXPECT_EQ(event_id(again), event_id(event));
  EXPECT_EQ(event_id(event).size(), 22u);
  StatusEvent other = event;
  other.at += 1;
  EXPECT_NE(event_id(other), event_id(event));
  other = event;
  other.status = Status::kCaution;
  EXPECT_NE(event_id(other), event_id(event));
  // The border between two texts counts.
  StatusEvent left = event;
  left.target = "ab";
  left.source = "c";
  StatusEvent right = event;
  right.target = "a";
  right.source = "bc";
  EXPECT_NE(event_id(left), event_id(right));
}

}  // namespace
}  // namespace naru::alerting
