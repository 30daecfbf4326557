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
  event.version = {3, 7};
  event.at = 1'795'222'923'123'456'789;
  event.source = "rule/ApiFailures";
  event.reason = "count of rule \"ApiFailures\" is 101 within 60 s, above 100";
  event.fingerprint = fingerprint_of(event.target, event.source);
  event.evidence =
      R"({"rule":"ApiFailures","measure":"count","value":101,"threshold":100,"windowSeconds":60})";
  return event;
}

// The example of docs/formats/status-event.md.
TEST(StatusEvent, HasTheDocumentedForm) {
  EXPECT_EQ(
      to_json(example()),
      R"({"type":"broker.main","status":"CRITICAL","prevStatus":"HEALTHY","eventId":")" +
          event_id(example()) +
          R"(","epoch":3,"sequence":7,"at":"2026-11-21T01:02:03.123456789Z","source":"rule/ApiFailures",)"
          R"("reason":"count of rule \"ApiFailures\" is 101 within 60 s, above 100","fingerprint":")" +
          example().fingerprint +
          R"(","evidence":{"rule":"ApiFailures","measure":"count","value":101,"threshold":100,"windowSeconds":60}})");
}

TEST(StatusEvent, ComesBackAsItWas) {
  const StatusEvent back = parse_status_event(to_json(example())).value();
  EXPECT_EQ(to_json(back), to_json(example()));
}

TEST(StatusEvent, HasAnIdOfTheChangeAlone) {
  StatusEvent again = example();
  again.version = {9, 1};
  again.reason = "other words";
  EXPECT_EQ(event_id(again), event_id(example()));
  again.at += 1;
  EXPECT_NE(event_id(again), event_id(example()));
}

TEST(StatusEvent, SaysWhichFieldIsMissing) {
  const std::string whole = to_json(example());
  for (const char* field : {"type", "status", "prevStatus", "epoch", "sequence", "at", "source"}) {
    std::string broken = whole;
    broken.replace(broken.find(std::string("\"") + field + "\""), std::string(field).size() + 2, "\"x\"");
    const auto parsed = parse_status_event(broken);
    ASSERT_FALSE(parsed) << field;
    EXPECT_THAT(parsed.error().message(), HasSubstr(field));
  }
  EXPECT_FALSE(parse_status_event("[]"));
  EXPECT_FALSE(parse_status_event(whole.substr(0, whole.size() - 1)));
  std::string bad = whole;
  bad.replace(bad.find("CRITICAL"), 8, "UNHEALTH");
  EXPECT_FALSE(parse_status_event(bad));
}

}  // namespace
}  // namespace naru::alerting
