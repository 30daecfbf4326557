// The leader on a real embedded bus: terms, restarts, fences.
#include "alerting/leader/leader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "alerting/leader/topic_reader.h"
#include "core/base/clock.h"
#include "core/bus/local/local_bus.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

AlertingConfig config_of(const std::string& rules) {
  AlertingConfig config;
  config.rules.builtin =
      rules::RuleSet::compile({{"r.yaml", "groups: [{name: g, rules: [" + rules + "]}]"}}).value();
  TargetConfig target;
  target.name = "broker";
  target.routes = {{.name = "main", .url = "http://main", .watch = "service.a", .probe = {}},
                   {.name = "sub", .url = "http://sub", .watch = {}, .probe = {}}};
  target.hold = std::chrono::seconds{0};
  config.targets = {target};
  config.limits = {{"orders", {.per_second = 7}}};
  return config;
}

const std::string kRule =
    "{alert: Failures, by: {service: body}, critical_above: 100, target: \"service.{{ $labels.service }}\"}";

// One process with its own bus directory.
class LeaderTest : public testing::Test {
 protected:
  LeaderTest() {
    char name[] = "/tmp/naru-leader-XXXXXX";
    directory_ = ::mkdtemp(name);
    open_bus();
  }
  ~LeaderTest() override {
    bus_.reset();
    std::filesystem::remove_all(directory_);
  }

  void open_bus() {
    bus_.reset();
    bus::LocalBusConfig config;
    config.directory = directory_.string();
    config.poll_interval_max = std::chrono::milliseconds{300};
    bus_ = bus::open_local_bus(config).value();
    std::vector<bus::TopicConfig> topics(3);
    topics[0].name = "otlp_logs";
    topics[1].name = "otlp_metrics";
    topics[2].name = "otlp_spans";
    for (bus::TopicConfig& topic : topics) {
      topic.partitions = 1;
    }
    ASSERT_TRUE(bus_->ensure_topics(topics));
  }

  struct Instance {
    Instance(const AlertingConfig& config, bus::Bus& bus)
        : settled(10),
          limits(10, registry),
          notifier({}, nullptr, registry),
          leader(config, bus, settled, limits, notifier, registry, health) {
      EXPECT_TRUE(leader.load());
    }
    bool step_until(const std::function<bool()>& condition) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
      while (std::chrono::steady_clock::now() < end) {
        (void)leader.step(std::chrono::milliseconds{2});
        if (condition()) {
          return true;
        }
      }
      return false;
    }
    bool lead() {
      return step_until([this] { return leader.leads(); });
    }
    // Runs the request through steps of the leader.
    Result<void> ask(Leader::Apply apply) {
      std::optional<Result<void>> answer;
      leader.submit(std::move(apply), [&](const Result<void>& result) { answer = result; });
      step_until([&] { return answer.has_value(); });
      return answer.value_or(fail(ErrorCode::kTimeout, "no answer"));
    }
    std::string status(const std::string& target) { return settled.status(target).value_or("does not lead"); }
    std::string route() {
      std::string body;
      settled.route("broker", {}, std::chrono::milliseconds(0),
                    net::Responder([&](const net::HttpResponse& response) { body = response.body; }));
      return body;
    }

    telemetry::Registry registry;
    telemetry::Health health{registry};
    Settled settled;
    LimitService limits;
    Notifier notifier;
    Leader leader;
  };

  // What a counter publishes of one message of otlp_logs.
  void count(const AlertingConfig& config, std::uint64_t records, const std::string& service = "a") {
    rules::Counts counts;
    counts.from = counted_;
    counts.to = ++counted_;
    counts.caught_up_to = wall_now();
    if (records > 0) {
      counts.rules = {
          {config.rules.builtin->rules()[0].fingerprint(),
           {{{service}, {{static_cast<std::int64_t>(wall_now() / kNanosPerSecond), records, 0, 0, {}}}}}}};
    }
    auto producer = bus_->transactional_producer("test").value();
    std::vector<bus::OutRecord> out;
    for (const std::string& value : rules::encode(counts)) {
      bus::OutRecord& record = out.emplace_back();
      record.topic = "naru.rule-counts";
      record.key = rules::format_feed({bus_->cluster_id().value(), "otlp_logs", 0});
      record.value = value;
      record.timestamp_ms = static_cast<UnixMillis>(wall_now() / kNanosPerMilli);
    }
    ASSERT_TRUE(producer->commit(std::move(out), nullptr, {}));
  }

  std::vector<StatusEvent> events() {
    std::vector<StatusEvent> out;
    EXPECT_TRUE(TopicReader::read(
        *bus_, {"naru.system-status"},
        [&](const bus::InRecord& record) { out.push_back(parse_status_event(record.value).value()); },
        std::chrono::seconds{10}));
    return out;
  }

  std::filesystem::path directory_;
  std::unique_ptr<bus::LocalBus> bus_;
  std::int64_t counted_ = 0;
};

TEST_F(LeaderTest, TurnsCountsIntoAStatusEventAndASwitchedRoute) {
  const AlertingConfig config = config_of(kRule);
  Instance one(config, *bus_);
  EXPECT_THAT(one.route(), HasSubstr("does not lead"));
  ASSERT_TRUE(one.lead());
  EXPECT_THAT(one.route(), HasSubstr(R"("active":"main")"));
  count(config, 100);
  count(config, 1);
  ASSERT_TRUE(one.step_until([&] { return one.route().find(R"("active":"sub")") != std::string::npos; }));
  EXPECT_THAT(one.status("service.a"), HasSubstr(R"("status":"CRITICAL")"));
  ASSERT_THAT(events(), SizeIs(1));
  EXPECT_EQ(events()[0].source, "rule/Failures");
}

TEST_F(LeaderTest, ASuccessorGoesOnWithoutAMissedOrADoubledChange) {
  const AlertingConfig config = config_of(kRule);
  {
    Instance one(config, *bus_);
    ASSERT_TRUE(one.lead());
    count(config, 101);
    ASSERT_TRUE(
        one.step_until([&] { return one.status("service.a").find("CRITICAL") != std::string::npos; }));
    count(config, 60, "b");  // not enough yet
    one.step_until([&] { return one.registry.expose().find("naru_rules_groups 2") != std::string::npos; });
  }  // gone without a word
  open_bus();
  Instance two(config, *bus_);
  ASSERT_TRUE(two.lead());
  EXPECT_THAT(two.status("service.a"), HasSubstr(R"("status":"CRITICAL")"));
  EXPECT_THAT(two.route(), HasSubstr(R"("active":"sub")"));
  count(config, 41, "b");
  ASSERT_TRUE(two.step_until([&] { return two.status("service.b").find("CRITICAL") != std::string::npos; }));
  const auto all = events();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[1].target, "service.b");
  EXPECT_GT(all[1].version.epoch, all[0].version.epoch);
}

TEST_F(LeaderTest, AnswersARequestWhenItIsDurableAndRefusesItWhereNobodyLeads) {
  const AlertingConfig config = config_of(kRule);
  Instance one(config, *bus_), two(config, *bus_);
  const auto set = [](Decider& decider, UnixNanos now, Decisions& out) {
    return decider.set_status("service.x", Status::kCritical, "a drill", "kim", now, out);
  };
  std::optional<Result<void>> refused;
  two.leader.submit(set, [&](const Result<void>& result) { refused = result; });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error().code(), ErrorCode::kUnavailable);
  ASSERT_TRUE(one.lead());
  EXPECT_TRUE(one.ask(set));
  ASSERT_THAT(events(), SizeIs(1));
  EXPECT_EQ(events()[0].source, "person/kim");
  const auto bad = one.ask([](Decider& decider, UnixNanos now, Decisions& out) {
    return decider.set_status("service.x", Status::kHealthy, "", "kim", now, out);
  });
  EXPECT_EQ(bad.error().code(), ErrorCode::kInvalidArgument);
}

// A leader that is stopped is replaced; when it wakes it must change nothing, whatever it had in its hands.
TEST_F(LeaderTest, AStoppedLeaderThatWakesChangesNothing) {
  const AlertingConfig config = config_of(kRule);
  Instance old(config, *bus_), fresh(config, *bus_);
  ASSERT_TRUE(old.lead());
  // It stops here, in its group, with a request in its queue.
  std::optional<Result<void>> late;
  old.leader.submit(
      [](Decider& decider, UnixNanos now, Decisions& out) {
        return decider.set_status("service.a", Status::kCritical, "from before", "old", now, out);
      },
      [&](const Result<void>& result) { late = result; });
  ASSERT_TRUE(fresh.lead());
  EXPECT_TRUE(fresh.ask([](Decider& decider, UnixNanos now, Decisions& out) {
    return decider.set_status("service.b", Status::kCritical, "now", "fresh", now, out);
  }));
  old.step_until([&] { return late.has_value(); });
  ASSERT_TRUE(late);
  EXPECT_EQ(late->error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(old.leader.leads());
  EXPECT_THAT(old.route(), HasSubstr("does not lead"));
  EXPECT_THAT(fresh.route(), HasSubstr(R"("active":"main")"));
  ASSERT_THAT(events(), SizeIs(1));
  EXPECT_EQ(events()[0].target, "service.b");
}

TEST_F(LeaderTest, IsBlindAndHoldsEverythingWhileNothingIsCounted) {
  AlertingConfig config = config_of(
      "{alert: Failures, by: {service: body}, critical_above: 100, keep_firing_for: 0s, "
      "window: 1s, target: \"service.{{ $labels.service }}\"}");
  config.rules.lateness = std::chrono::seconds{0};
  config.rules.blind_after = std::chrono::milliseconds{300};
  Instance one(config, *bus_);
  ASSERT_TRUE(one.lead());
  count(config, 101);
  ASSERT_TRUE(one.step_until([&] { return one.status("service.a").find("CRITICAL") != std::string::npos; }));
  // The counters stop. Nothing is known to be quiet, so nothing goes down.
  ASSERT_TRUE(
      one.step_until([&] { return one.status("naru.detection").find("CAUTION") != std::string::npos; }));
  EXPECT_THAT(one.status("service.a"), HasSubstr(R"("status":"CRITICAL")"));
  EXPECT_THAT(one.status("service.a"), HasSubstr(R"("blind":true)"));
  EXPECT_FALSE(one.health.ready());
  // They go on, and tell that it was quiet.
  ASSERT_TRUE(one.step_until([&] {
    count(config, 0);
    return one.status("service.a").find("HEALTHY") != std::string::npos &&
           one.status("naru.detection").find("HEALTHY") != std::string::npos;
  }));
}

TEST_F(LeaderTest, ARateThatWasSetSurvivesTheLeader) {
  const AlertingConfig config = config_of(kRule);
  {
    Instance one(config, *bus_);
    ASSERT_TRUE(one.lead());
    EXPECT_EQ(one.limits.rates().at("orders"), 7);
    std::optional<Result<void>> answer;
    one.leader.set_limit("orders", 55, "kim", [&](const Result<void>& result) { answer = result; });
    one.step_until([&] { return answer.has_value(); });
    ASSERT_TRUE(*answer);
    EXPECT_EQ(one.limits.rates().at("orders"), 55);
  }
  Instance two(config, *bus_);
  ASSERT_TRUE(two.lead());
  EXPECT_EQ(two.limits.rates().at("orders"), 55);
}

TEST_F(LeaderTest, TellsWhoWaitsForARouteAtOnce) {
  const AlertingConfig config = config_of(kRule);
  Instance one(config, *bus_);
  ASSERT_TRUE(one.lead());
  std::string etag;
  one.settled.route(
      "broker", {}, std::chrono::milliseconds(0),
      net::Responder([&](const net::HttpResponse& response) { etag = response.headers.get("ETag"); }));
  int unchanged = 0;
  one.settled.route("broker", etag, std::chrono::milliseconds(50),
                    net::Responder([&](const net::HttpResponse& response) { unchanged = response.status; }));
  EXPECT_EQ(unchanged, 0);
  ASSERT_TRUE(one.step_until([&] { return unchanged != 0; }));
  EXPECT_EQ(unchanged, 304);
  std::string body;
  one.settled.route("broker", etag, std::chrono::seconds(30),
                    net::Responder([&](const net::HttpResponse& response) { body = response.body; }));
  ASSERT_TRUE(one.ask([](Decider& decider, UnixNanos now, Decisions& out) {
    return decider.set_route("broker", "sub", true, "a drill", "kim", now, out);
  }));
  EXPECT_THAT(body, HasSubstr(R"("active":"sub")"));
  EXPECT_THAT(body, HasSubstr(R"("locked":true)"));
}

}  // namespace
}  // namespace naru::alerting
