#include "alerting/notify/notices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "alerting/notify/smtp.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr UnixNanos kSecond = kNanosPerSecond;
constexpr UnixNanos kNow = 1'700'000'000 * kSecond;

StatusEvent event_of(const std::string& target, Status previous, Status status) {
  StatusEvent event;
  event.target = target;
  event.previous = previous;
  event.status = status;
  event.at = kNow;
  event.reason = "because <of> & this";
  return event;
}

NoticeConfig config() {
  NoticeConfig out;
  out.mention = "<!here>";
  out.console_url = "http://console/";
  out.runbooks = {{"", "http://wiki/any"}, {"broker", "http://wiki/broker"}};
  return out;
}

TEST(Notices, TellCriticalAndHealthyAfterCriticalOnly) {
  Notices notices(config());
  notices.tell(event_of("a", Status::kHealthy, Status::kCaution), kNow);
  notices.tell(event_of("a", Status::kCaution, Status::kHealthy), kNow);
  EXPECT_EQ(notices.pending(), 0u);
  notices.tell(event_of("a", Status::kCaution, Status::kCritical), kNow);
  notices.tell(event_of("a", Status::kCritical, Status::kCaution), kNow);
  notices.tell(event_of("a", Status::kCaution, Status::kHealthy), kNow);  // it was CRITICAL before that
  EXPECT_EQ(notices.pending(), 2u);
}

TEST(Notices, GroupWhatHappensTogetherTheWorstFirst) {
  Notices notices(config());
  notices.tell(event_of("broker", Status::kHealthy, Status::kCritical), kNow);
  notices.tell(
      RouteChange{
          .target = "broker", .from = "main", .to = "sub", .dry_run = false, .reason = "r", .at = kNow},
      kNow);
  notices.tell(event_of("b", Status::kCritical, Status::kHealthy), kNow);
  EXPECT_FALSE(notices.take(kNow));
  const auto notice = notices.take(kNow + kSecond);
  ASSERT_TRUE(notice);
  ASSERT_THAT(notice->lines, SizeIs(3));
  EXPECT_EQ(notice->worst, Status::kCritical);
  EXPECT_EQ(notice->mention, "<!here>");
  EXPECT_THAT(notice->lines[0].text, HasSubstr("CRITICAL broker"));
  EXPECT_EQ(notice->lines[0].runbook, "http://wiki/broker");
  EXPECT_THAT(notice->lines[1].text, HasSubstr("broker main -> sub"));
  EXPECT_THAT(notice->lines[2].text, HasSubstr("HEALTHY b: back to normal"));
  EXPECT_EQ(notice->subject(), "[CRITICAL] broker and 2 more");
  EXPECT_FALSE(notices.take(kNow + 2 * kSecond));
}

TEST(Notices, TellTheSameOnceAndAgainAfterALongTime) {
  Notices notices(config());
  for (int i = 0; i < 10; ++i) {
    notices.tell(event_of("a", Status::kCaution, Status::kCritical), kNow + i * kSecond);
  }
  EXPECT_EQ(notices.pending(), 1u);
  notices.tell(event_of("a", Status::kCaution, Status::kCritical), kNow + 3'600 * kSecond);
  EXPECT_EQ(notices.pending(), 2u);
}

TEST(Notices, AreNoMoreThanPeopleCanRead) {
  NoticeConfig few = config();
  few.messages_per_minute_max = 2;
  few.lines_max = 3;
  few.pending_max = 10;
  Notices notices(few);
  int messages = 0;
  for (int i = 0; i < 50; ++i) {
    notices.tell(event_of("t" + std::to_string(i), Status::kHealthy, Status::kCritical), kNow + i * kSecond);
    messages += notices.take(kNow + i * kSecond + kSecond / 2 + 1) ? 1 : 0;
  }
  EXPECT_EQ(messages, 2);
  EXPECT_EQ(notices.pending(), 10u);
  EXPECT_GT(notices.dropped(), 0u);
  const auto rest = notices.take(kNow + 120 * kSecond);
  ASSERT_TRUE(rest);
  EXPECT_THAT(rest->lines, SizeIs(3));
  EXPECT_EQ(rest->left_out, 7u);
  EXPECT_THAT(rest->plain(), HasSubstr("and 7 more"));
}

TEST(Notices, AreWrittenForSlackAndOthers) {
  Notices notices(config());
  notices.tell(event_of("broker", Status::kHealthy, Status::kCritical), kNow);
  const Notice notice = notices.take(kNow + kSecond).value();
  const std::string slack = slack_json(notice);
  simdjson::dom::parser parser;
  EXPECT_EQ(parser.parse(slack).error(), simdjson::SUCCESS);
  EXPECT_THAT(slack, HasSubstr(R"("text":"<!here> [CRITICAL] broker")"));
  EXPECT_THAT(
      slack,
      HasSubstr("22:13:20.000 CRITICAL broker: because &lt;of&gt; &amp; this <http://wiki/broker|runbook>"));
  EXPECT_THAT(slack, HasSubstr("<http://console/|console>"));
  const std::string generic = generic_json(notice);
  EXPECT_EQ(parser.parse(generic).error(), simdjson::SUCCESS);
  EXPECT_THAT(generic, HasSubstr(R"("status":"CRITICAL")"));
}

TEST(Mail, HasHeadersThatNoTextCanAddToAndDoublesDots) {
  const std::string data = mail_data({.from = "naru@example\r\nBcc: x@y",
                                      .to = {"a@example", "b@example"},
                                      .subject = "S\r\nX: y",
                                      .text = ".a\nb\r\n"},
                                     "Fri, 27 Nov 2026 22:00:00 +0000");
  EXPECT_THAT(data,
              HasSubstr("From: naru@exampleBcc: x@y\r\nTo: a@example, b@example\r\nSubject: =?UTF-8?B?"));
  EXPECT_THAT(data, Not(HasSubstr("\r\nX: y")));
  EXPECT_TRUE(data.ends_with("\r\n\r\n..a\r\nb\r\n.\r\n"));
}

}  // namespace
}  // namespace naru::alerting
