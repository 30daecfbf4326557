#include "alerting/rule_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/alerting/fake_bus.h"
#include "tests/unit/alerting/otlp_logs.h"

namespace naru::alerting {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint64_t kStart = 1'800'000'000;  // seconds

UnixNanos at(double seconds) {
  return kStart * kNanosPerSecond + static_cast<UnixNanos>(static_cast<std::int64_t>(seconds * 1e9));
}

AlertingConfig one_rule() {
  RuleConfig rule;
  rule.name = "failures";
  rule.target = "service.{resource.service.name}";
  rule.match.severity_at_least = Severity::kError;
  AlertingConfig config;
  config.rules.push_back(rule);
  config.counting.commit_interval = std::chrono::milliseconds{1'000};
  return config;
}

class RuleServiceTest : public testing::Test {
 protected:
  RuleServiceTest() { bus_.create("otlp_logs", 2); }

  void start() {
    service_.reset();
    service_ = RuleService::make(config_, bus_, registry_, health_).value();
  }
  // Steps once a second up to `seconds`, as if a second passed in between.
  void run_to(double seconds) {
    for (; now_ <= seconds; now_ += 1) {
      last_ = service_->step(at(now_), std::chrono::milliseconds{0});
    }
  }
  void log(double seconds, const TestLog& log, std::int32_t partition = 0,
           std::vector<bus::Header> headers = {}) {
    TestLog copy = log;
    copy.time = at(seconds);
    bus_.append("otlp_logs", partition, logs_request(copy),
                static_cast<UnixMillis>(at(seconds) / kNanosPerMilli), std::move(headers));
  }
  // "previous->status" of every event on the bus.
  std::vector<std::string> events() {
    std::vector<std::string> all;
    for (const std::string& value : bus_.values("naru.system-status")) {
      const StatusEvent event = parse_status_event(value).value();
      all.push_back(event.target + " " + std::string(to_string(event.previous)) + "->" +
                    std::string(to_string(event.status)));
    }
    return all;
  }
  StatusEvent event(std::size_t index) {
    return parse_status_event(bus_.values("naru.system-status").at(index)).value();
  }
  std::int64_t committed(std::int32_t partition) {
    return bus_.committed.at({"naru-rules", {"otlp_logs", partition}}).offset;
  }

  bus::FakeBus bus_;
  telemetry::Registry registry_;
  telemetry::Health health_{registry_};
  AlertingConfig config_ = one_rule();
  std::unique_ptr<RuleService> service_;
  double now_ = 0;
  Result<void> last_;
};

TEST_F(RuleServiceTest, PublishesTheChangeThatTheRecordsOfAllPartitionsMake) {
  start();
  log(1, {.copies = 60}, 0);
  log(1, {.copies = 40}, 1);
  run_to(5);
  EXPECT_THAT(events(), IsEmpty());
  log(5, {.copies = 1}, 1);
  run_to(8);
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL"));
  const std::string json = bus_.values("naru.system-status")[0];
  EXPECT_THAT(json, HasSubstr(R"("epoch":1,"sequence":1,)"));
  EXPECT_THAT(
      json, HasSubstr(R"("source":"rule/failures","reason":"101 records of rule \"failures\" within 60 s)"));
  EXPECT_THAT(json, HasSubstr(R"("record":{"topic":"otlp_logs","partition":1,"offset":1})"));
  EXPECT_EQ(bus_.topics["naru.system-status"][0][0]->key, "service.api");
}

TEST_F(RuleServiceTest, MakesItsTopicCompacted) {
  start();
  run_to(3);
  ASSERT_THAT(bus_.ensured, SizeIs(1));
  EXPECT_EQ(bus_.ensured[0].name, "naru.system-status");
  EXPECT_TRUE(bus_.ensured[0].compacted);
}

TEST_F(RuleServiceTest, CountsOnlyWhatMatches) {
  start();
  log(1, {.severity = 16, .copies = 200});
  run_to(5);
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_THAT(registry_.expose(), HasSubstr("naru_rules_records_total 200\n"));
}

TEST_F(RuleServiceTest, GoesBackToHealthyWhenTheTopicIsSilent) {
  start();
  log(1, {.copies = 101});
  run_to(120);
  EXPECT_THAT(events(), SizeIs(1));
  run_to(140);
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL", "service.api CRITICAL->HEALTHY"));
  EXPECT_EQ(event(1).at, at(121));
  EXPECT_EQ(event(1).sequence, 2u);
}

TEST_F(RuleServiceTest, CountsARepeatedRecordOnce) {
  start();
  log(1, {.copies = 60, .source = 1, .base = 0});
  log(1, {.copies = 60, .source = 1, .base = 0});
  log(1, {.copies = 60, .source = 1, .base = 30});
  run_to(5);
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_THAT(registry_.expose(), HasSubstr("naru_rules_repeats_total 90\n"));
  log(6, {.copies = 11, .source = 1, .base = 90});
  run_to(8);
  EXPECT_THAT(events(), SizeIs(1));
}

TEST_F(RuleServiceTest, TakesResentRecordsForPossibleOnes) {
  start();
  log(1, {.copies = 500}, 0, {{"naru.resent", "1"}});
  run_to(5);
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CAUTION"));
}

TEST_F(RuleServiceTest, PassesOverWhatIsNoOtlpAndSaysSo) {
  start();
  bus_.append("otlp_logs", 0, "\x0a\xff garbage", static_cast<UnixMillis>(at(1) / kNanosPerMilli));
  log(1, {.copies = 101});
  run_to(5);
  EXPECT_THAT(events(), SizeIs(1));
  EXPECT_THAT(registry_.expose(), HasSubstr("naru_rules_undecodable_total 1\n"));
}

TEST_F(RuleServiceTest, CommitsOnlyWhatNoWindowNeedsAnyMore) {
  start();
  for (int second = 1; second <= 300; ++second) {
    log(second, {.copies = 1}, 0);
    log(second, {.copies = 1}, 1);
    run_to(second);
  }
  // Window 60 + hold 60 + twice lateness 10 + 2. Offset n was received in second n + 1.
  EXPECT_LE(committed(0), 300 - 142 - 1);
  EXPECT_GE(committed(0), 300 - 142 - 5);
  EXPECT_EQ(committed(0), committed(1));
}

TEST_F(RuleServiceTest, NeitherMissesNorDoublesAChangeAcrossRestarts) {
  start();
  log(1, {.copies = 100});
  run_to(20);
  start();
  run_to(30);
  EXPECT_THAT(events(), IsEmpty());
  log(31, {.copies = 1});
  run_to(40);
  EXPECT_THAT(events(), SizeIs(1));
  start();
  run_to(70);
  EXPECT_THAT(events(), SizeIs(1));
  start();
  run_to(200);
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL", "service.api CRITICAL->HEALTHY"));
  EXPECT_EQ(event(1).at, at(121));
  EXPECT_EQ(event(0).epoch, 1u);
  EXPECT_EQ(event(1).epoch, 2u);  // of the first start that found an event
  start();
  run_to(300);
  EXPECT_THAT(events(), SizeIs(2));
}

TEST_F(RuleServiceTest, DoesNotTakeTheBeginningOfItsSecondCountingForSilence) {
  start();
  for (int second = 1; second <= 300; ++second) {
    log(second, {.copies = 3}, second % 2);
    run_to(second);
  }
  ASSERT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL"));
  start();
  run_to(310);
  EXPECT_THAT(events(), SizeIs(1));
  run_to(600);
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL", "service.api CRITICAL->HEALTHY"));
  // Seconds 267 to 300 hold 102 records, and the window of a minute that begins with 267 ends with 326.
  EXPECT_EQ(event(1).at, at(326 + 60 + 1));
}

TEST_F(RuleServiceTest, FindsAChangeThatWasNotPublishedBeforeADeath) {
  start();
  bus_.deliveries_fail = true;
  log(1, {.copies = 101});
  run_to(400);
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(committed(0), 0);
  bus_.deliveries_fail = false;
  start();
  run_to(410);
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL", "service.api CRITICAL->HEALTHY"));
}

TEST_F(RuleServiceTest, SendsEventsOfATargetInOrderAgain) {
  start();
  bus_.deliveries_fail = true;
  log(1, {.copies = 101});
  run_to(200);
  EXPECT_EQ(service_->pending_events(), 2u);
  EXPECT_THAT(registry_.expose(), HasSubstr("naru_status_events_pending 2\n"));
  bus_.deliveries_fail = false;
  run_to(205);
  EXPECT_EQ(service_->pending_events(), 0u);
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL", "service.api CRITICAL->HEALTHY"));
}

TEST_F(RuleServiceTest, KeepsAnEventUntilItsDeliveryIsAnswered) {
  start();
  bus_.deliveries_wait = true;
  log(1, {.copies = 101});
  run_to(300);
  EXPECT_THAT(events(), SizeIs(1));  // the second one waits for the first
  EXPECT_EQ(committed(0), 0);
  bus_.answer_deliveries();
  bus_.deliveries_wait = false;
  run_to(305);
  EXPECT_EQ(service_->pending_events(), 0u);
  EXPECT_THAT(events(), SizeIs(2));
  EXPECT_EQ(committed(0), 1);
}

TEST_F(RuleServiceTest, PausesReadingWhileTooManyEventsWait) {
  config_.status.pending_events_max = 3;
  start();
  run_to(3);
  bus_.deliveries_fail = true;
  for (int i = 0; i < 4; ++i) {
    log(3, {.service = "s" + std::to_string(i), .copies = 101});
  }
  run_to(5);
  EXPECT_THAT(bus_.pauses, ElementsAre("pause 2"));
  log(5, {.service = "later", .copies = 101});
  run_to(10);
  EXPECT_THAT(registry_.expose(), HasSubstr("naru_status_events_pending 4\n"));
  bus_.deliveries_fail = false;
  run_to(15);
  EXPECT_THAT(bus_.pauses, ElementsAre("pause 2", "resume 2"));
  EXPECT_THAT(events(), SizeIs(5));
}

TEST_F(RuleServiceTest, CountsAgainAfterARebalanceWithoutDoubling) {
  start();
  log(1, {.copies = 60, .source = 1}, 0);
  log(1, {.copies = 40}, 1);
  run_to(5);
  bus_.reassign = true;
  run_to(10);
  EXPECT_THAT(events(), IsEmpty());
  log(11, {.copies = 1}, 0);
  run_to(13);
  EXPECT_THAT(events(), SizeIs(1));
  bus_.reassign = true;
  run_to(20);
  EXPECT_THAT(events(), SizeIs(1));
}

TEST_F(RuleServiceTest, HoldsStatusesAndSaysSoWhileItReadsOnlyAPart) {
  start();
  log(1, {.copies = 101});
  run_to(20);
  bus_.assigned_max = 1;
  bus_.reassign = true;
  run_to(500);
  EXPECT_THAT(events(), SizeIs(1));
  EXPECT_FALSE(health_.ready());
  EXPECT_THAT(health_.checks()[0].reason, HasSubstr("reads only 1 of 2 partitions of otlp_logs"));
  bus_.assigned_max = 2;
  bus_.reassign = true;
  run_to(510);
  EXPECT_THAT(events(), SizeIs(2));
  EXPECT_TRUE(health_.ready());
}

TEST_F(RuleServiceTest, DoesNotTakeABusThatIsAwayForSilence) {
  start();
  log(1, {.copies = 101});
  run_to(20);
  bus_.away = true;
  run_to(500);
  EXPECT_FALSE(last_);
  EXPECT_LT(service_->caught_up_to(), at(21));
  log(100, {.copies = 101});  // sent while we did not see it
  bus_.away = false;
  run_to(510);
  // Not lowered at 121: the windows up to second 159 were full.
  EXPECT_THAT(events(), ElementsAre("service.api HEALTHY->CRITICAL", "service.api CRITICAL->HEALTHY"));
  EXPECT_EQ(event(1).at, at(220));
}

TEST_F(RuleServiceTest, TriesAgainWhenTheBusIsAwayAtTheStart) {
  bus_.away = true;
  start();
  run_to(10);
  EXPECT_FALSE(last_);
  EXPECT_EQ(last_.error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(health_.ready());
  bus_.away = false;
  log(11, {.copies = 101});
  run_to(20);
  EXPECT_TRUE(last_);
  EXPECT_THAT(events(), SizeIs(1));
}

TEST_F(RuleServiceTest, TriesAgainWhenItGetsNoConsumer) {
  bus_.consumers_fail = true;
  start();
  run_to(5);
  EXPECT_FALSE(last_);
  bus_.consumers_fail = false;
  log(6, {.copies = 101});
  run_to(10);
  EXPECT_THAT(events(), SizeIs(1));
}

TEST_F(RuleServiceTest, TakesTheHighestEpochAndPassesOverBrokenEvents) {
  StatusEvent known;
  known.target = "service.api";
  known.status = Status::kCritical;
  known.epoch = 8;
  known.sequence = 3;
  known.at = at(-30);
  known.source = "rule/failures";
  bus_.create("naru.system-status", 1);
  bus_.append("naru.system-status", 0, to_json(known), 1, {}, "service.api");
  known.status = Status::kHealthy;
  known.epoch = 7;
  bus_.append("naru.system-status", 0, to_json(known), 1, {}, "service.api");
  bus_.append("naru.system-status", 0, "{broken", 1, {}, "x");
  start();
  log(1, {.copies = 101});
  run_to(200);
  const std::vector<std::string> values = bus_.values("naru.system-status");
  ASSERT_THAT(values, SizeIs(4));  // only the way back is new
  const StatusEvent told = parse_status_event(values[3]).value();
  EXPECT_EQ(told.status, Status::kHealthy);
  EXPECT_EQ(told.epoch, 9u);
  EXPECT_EQ(told.sequence, 1u);
}

TEST_F(RuleServiceTest, ClampsReceiveTimesOfACollectorWhoseClockRunsAhead) {
  start();
  run_to(1);
  bus_.append("otlp_logs", 0, logs_request({.time = at(86'400), .copies = 101}),
              static_cast<UnixMillis>(at(86'400) / kNanosPerMilli));
  run_to(5);
  ASSERT_THAT(events(), SizeIs(1));
  EXPECT_LE(event(0).at, at(5 + 10));
  run_to(200);
  EXPECT_THAT(events(), SizeIs(2));
}

TEST_F(RuleServiceTest, StoresPositionsWhenClosed) {
  config_.counting.commit_interval = std::chrono::minutes{5};
  start();
  log(1, {.copies = 1});
  run_to(289);
  log(290, {.copies = 1}, 0);
  log(290, {.copies = 1}, 1);
  run_to(299);
  service_->close(at(300));
  service_->close(at(300));
  EXPECT_EQ(committed(0), 1);
  EXPECT_EQ(committed(1), 0);
}

}  // namespace
}  // namespace naru::alerting
