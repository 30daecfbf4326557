// The leader on a real embedded bus: terms, restarts, fences.
#include "alerting/leader/leader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>

#include "core/base/clock.h"
#include "core/bus/local/local_bus.h"
#include "core/bus/topic_reader.h"
#include "tests/unit/temp_dir.h"

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
  LeaderTest() { open_bus(); }

  void open_bus() {
    bus_.reset();
    bus_ = open_bus_in(directory_.path());
  }

  static std::unique_ptr<bus::Bus> open_bus_in(const std::string& directory) {
    bus::LocalBusConfig config;
    config.directory = directory;
    config.poll_interval_max = std::chrono::milliseconds{300};
    std::unique_ptr<bus::Bus> bus = bus::open_local_bus(config).value();
    std::vector<bus::TopicConfig> topics(3);
    topics[0].name = "otlp_logs";
    topics[1].name = "otlp_metrics";
    topics[2].name = "otlp_spans";
    for (bus::TopicConfig& topic : topics) {
      topic.partitions = 1;
    }
    EXPECT_TRUE(bus->ensure_topics(topics));
    return bus;
  }

  struct Instance {
    Instance(const AlertingConfig& config, bus::Bus& bus) : Instance(config, only_cluster("test", bus)) {}
    Instance(const AlertingConfig& config, std::vector<ControlCluster> clusters)
        : settled(10),
          limits(10, registry),
          notifier({}, nullptr, registry),
          leader(config, std::move(clusters), settled, limits, notifier, registry, health) {
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
    count_on(*bus_, config, records, service);
  }
  void count_on(bus::Bus& bus, const AlertingConfig& config, std::uint64_t records,
                const std::string& service = "a") {
    rules::Counts counts;
    std::int64_t& counted = counted_[bus.cluster_id().value()];
    counts.from = counted;
    counts.to = ++counted;
    counts.caught_up_to = wall_now();
    if (records > 0) {
      counts.rules = {
          {config.rules.builtin->rules()[0].fingerprint(),
           {{{service}, {{static_cast<std::int64_t>(wall_now() / kNanosPerSecond), records, 0, 0, {}}}}}}};
    }
    auto producer = bus.transactional_producer("test").value();
    std::vector<bus::OutRecord> out;
    for (const std::string& value : rules::encode(counts)) {
      bus::OutRecord& record = out.emplace_back();
      record.topic = "naru.rule-counts";
      record.key = rules::format_feed({bus.cluster_id().value(), "otlp_logs", 0});
      record.value = value;
      record.timestamp_ms = static_cast<UnixMillis>(wall_now() / kNanosPerMilli);
    }
    ASSERT_TRUE(producer->commit(std::move(out), nullptr, {}));
  }

  std::vector<StatusEvent> events() { return events_on(*bus_); }
  static std::vector<StatusEvent> events_on(bus::Bus& bus) {
    std::vector<StatusEvent> out;
    EXPECT_TRUE(bus::TopicReader::read(
        bus, {"naru.system-status"},
        [&](const bus::InRecord& record) { out.push_back(parse_status_event(record.value).value()); },
        std::chrono::seconds{10}));
    return out;
  }

  test::TempDir directory_;
  std::unique_ptr<bus::Bus> bus_;
  std::map<std::string, std::int64_t> counted_;
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
  ASSERT_FALSE(*refused);
  EXPECT_EQ(refused->error().code(), ErrorCode::kUnavailable);
  ASSERT_TRUE(one.lead());
  EXPECT_TRUE(one.ask(set));
  ASSERT_THAT(events(), SizeIs(1));
  EXPECT_EQ(events()[0].source, "person/kim");
  const auto bad = one.ask([](Decider& decider, UnixNanos now, Decisions& out) {
    return decider.set_status("service.x", Status::kHealthy, "", "kim", now, out);
  });
  ASSERT_FALSE(bad);
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
  ASSERT_FALSE(*late);
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
    return decider.set_route("broker", {.route = "sub", .percent = {}, .lock = true}, "a drill", "kim", now,
                             out);
  }));
  EXPECT_THAT(body, HasSubstr(R"("active":"sub")"));
  EXPECT_THAT(body, HasSubstr(R"("locked":true)"));
}

// A bus that can be cut off: nothing answers, commits hang until it is connected again.
class CutBus final : public bus::Bus {
 public:
  explicit CutBus(bus::Bus& inner) : inner_(inner) {}

  void cut(bool is_cut) {
    const std::lock_guard lock(state_->mutex);
    state_->cut = is_cut;
    state_->since = is_cut ? 0 : monotonic_now();
    state_->changed.notify_all();
  }
  bool is_cut() const {
    const std::lock_guard lock(state_->mutex);
    return state_->cut;
  }
  ControlCluster cluster(const std::string& name) {
    return {.name = name, .bus = this, .probe = this, .reach = [this] {
              const std::lock_guard lock(state_->mutex);
              return bus::ClusterReach{.asked = true,
                                       .answers = !state_->cut,
                                       .since = state_->since,
                                       .last = state_->cut ? 0 : monotonic_now()};
            }};
  }

  Result<std::unique_ptr<bus::Producer>> producer() override {
    NARU_TRY_VOID(check());
    return inner_.producer();
  }
  Result<std::unique_ptr<bus::TransactionalProducer>> transactional_producer(
      const std::string& id, const std::vector<std::string>& topics) override {
    NARU_TRY_VOID(check());
    NARU_TRY(auto made, inner_.transactional_producer(id, topics));
    return std::make_unique<Writer>(std::move(made), state_);
  }
  Result<std::unique_ptr<bus::Consumer>> consumer(const bus::ConsumerConfig& config,
                                                  bus::RebalanceListener& listener) override {
    NARU_TRY_VOID(check());
    NARU_TRY(auto made, inner_.consumer(config, listener));
    return std::make_unique<Reader>(std::move(made), state_);
  }
  Result<void> ensure_topics(std::span<const bus::TopicConfig> topics) override {
    NARU_TRY_VOID(check());
    return inner_.ensure_topics(topics);
  }
  Result<std::vector<bus::TopicState>> describe(std::span<const std::string> topics) override {
    NARU_TRY_VOID(check());
    return inner_.describe(topics);
  }
  Result<std::string> cluster_id() override { return inner_.cluster_id(); }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool cut = false;
    std::uint64_t since = 1;
  };
  class Writer final : public bus::TransactionalProducer {
   public:
    Writer(std::unique_ptr<bus::TransactionalProducer> inner, std::shared_ptr<State> state)
        : inner_(std::move(inner)), state_(std::move(state)) {}
    Result<void> commit(std::vector<bus::OutRecord> records, bus::Consumer* consumer,
                        std::span<const bus::Commit> positions) override {
      {
        std::unique_lock lock(state_->mutex);
        if (state_->cut) {
          state_->changed.wait(lock, [this] { return !state_->cut; });
          return fail(ErrorCode::kTimeout, "the bus was cut off");
        }
      }
      return inner_->commit(std::move(records), consumer, positions);
    }

   private:
    std::unique_ptr<bus::TransactionalProducer> inner_;
    std::shared_ptr<State> state_;
  };
  class Reader final : public bus::Consumer {
   public:
    Reader(std::unique_ptr<bus::Consumer> inner, std::shared_ptr<State> state)
        : inner_(std::move(inner)), state_(std::move(state)) {}
    Result<void> poll(std::vector<bus::InRecord>& out, std::size_t records_max,
                      std::chrono::milliseconds wait) override {
      {
        const std::lock_guard lock(state_->mutex);
        if (state_->cut) {
          return {};
        }
      }
      return inner_->poll(out, records_max, wait);
    }
    Result<void> commit(std::span<const bus::Commit> commits) override { return inner_->commit(commits); }
    Result<void> pause(std::span<const bus::TopicPartition> partitions) override {
      return inner_->pause(partitions);
    }
    Result<void> resume(std::span<const bus::TopicPartition> partitions) override {
      return inner_->resume(partitions);
    }
    std::vector<Progress> progress() override { return inner_->progress(); }
    void close() override { inner_->close(); }

   private:
    std::unique_ptr<bus::Consumer> inner_;
    std::shared_ptr<State> state_;
  };

  Result<void> check() const {
    return is_cut() ? fail(ErrorCode::kUnavailable, "the bus is cut off") : Result<void>();
  }

  bus::Bus& inner_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Two clusters, and instances that may be cut off from either.
class ClustersLeaderTest : public LeaderTest {
 protected:
  ClustersLeaderTest() : sub_(open_bus_in(directory_ / "sub")) {
    // Long enough for a machine that is busy with other tests.
    config_.control.copy_wait = std::chrono::milliseconds{1000};
    config_.control.rejoin_after = std::chrono::milliseconds{300};
    config_.control.lost_after = std::chrono::milliseconds{1000};
  }

  // An instance with connections of its own.
  struct Host {
    Host(const AlertingConfig& config, bus::Bus& main_bus, bus::Bus& sub_bus)
        : main(main_bus), sub(sub_bus), instance(config, {main.cluster("main"), sub.cluster("sub")}) {}
    CutBus main, sub;
    Instance instance;
  };
  std::unique_ptr<Host> host() { return std::make_unique<Host>(config_, *bus_, *sub_); }
  static Leader::Apply set(const std::string& target, Status status) {
    return [target, status](Decider& decider, UnixNanos now, Decisions& out) {
      return decider.set_status(target, status, "a drill", "kim", now, out);
    };
  }
  static bool writes_to(Instance& instance, int clusters) {
    return instance.registry.expose().find(fmt::format("naru_alerting_clusters {}\n", clusters)) !=
           std::string::npos;
  }
  // The last event of each target.
  static std::map<std::string, std::string> last(bus::Bus& bus) {
    std::map<std::string, std::string> out;
    for (const StatusEvent& event : events_on(bus)) {
      out[event.target] = to_json(event);
    }
    return out;
  }

  std::unique_ptr<bus::Bus> sub_;
  AlertingConfig config_ = config_of(kRule);
};

TEST_F(ClustersLeaderTest, WritesToAllClustersAndCountsWhatIsOnAny) {
  const auto one = host();
  ASSERT_TRUE(one->instance.lead());
  count_on(*bus_, config_, 60);
  count_on(*sub_, config_, 41);
  ASSERT_TRUE(one->instance.step_until(
      [&] { return one->instance.route().find(R"("active":"sub")") != std::string::npos; }));
  EXPECT_THAT(last(*bus_), SizeIs(1));
  EXPECT_EQ(last(*bus_), last(*sub_));
}

TEST_F(ClustersLeaderTest, TheLossOfOneStopsNothingAndItIsBroughtUpToDateWhenItIsBack) {
  const auto one = host();
  ASSERT_TRUE(one->instance.lead());
  ASSERT_TRUE(one->instance.ask(set("a", Status::kCritical)));
  one->main.cut(true);
  ASSERT_TRUE(one->instance.ask(set("b", Status::kCritical)));
  ASSERT_TRUE(one->instance.ask(set("a", Status::kHealthy)));
  EXPECT_TRUE(one->instance.leader.leads());
  EXPECT_TRUE(writes_to(one->instance, 1));
  EXPECT_THAT(last(*bus_), SizeIs(1));
  EXPECT_THAT(last(*sub_), SizeIs(2));
  one->main.cut(false);
  ASSERT_TRUE(one->instance.step_until([&] { return writes_to(one->instance, 2); }));
  EXPECT_EQ(last(*bus_), last(*sub_));
  ASSERT_TRUE(one->instance.ask(set("c", Status::kCaution)));
  EXPECT_THAT(last(*bus_), SizeIs(3));
  EXPECT_EQ(last(*bus_), last(*sub_));
}

TEST_F(ClustersLeaderTest, ASuccessorTakesTheNewestStateWhicheverClusterHasIt) {
  {
    const auto one = host();
    ASSERT_TRUE(one->instance.lead());
    ASSERT_TRUE(one->instance.ask(set("a", Status::kCritical)));
    one->main.cut(true);
    ASSERT_TRUE(one->instance.ask(set("b", Status::kCritical)));
    one->main.cut(false);
  }
  const auto two = host();
  ASSERT_TRUE(two->instance.lead());
  EXPECT_THAT(two->instance.status("b"), HasSubstr("CRITICAL"));
  EXPECT_EQ(last(*bus_), last(*sub_));
}

// It reached a cluster that its successor does not reach: what it wrote there alone must not count.
TEST_F(ClustersLeaderTest, AStoppedLeaderThatWakesIsFencedByAnyOfTheClusters) {
  const auto old = host(), fresh = host();
  ASSERT_TRUE(old->instance.lead());
  std::optional<Result<void>> late;
  old->instance.leader.submit(set("a", Status::kCritical),
                              [&](const Result<void>& result) { late = result; });
  fresh->main.cut(true);
  ASSERT_TRUE(fresh->instance.lead());
  ASSERT_TRUE(fresh->instance.ask(set("b", Status::kCritical)));
  old->instance.step_until([&] { return late.has_value(); });
  ASSERT_TRUE(late);
  ASSERT_FALSE(*late);
  EXPECT_EQ(late->error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(old->instance.leader.leads());
  EXPECT_THAT(last(*sub_), testing::UnorderedElementsAre(testing::Key("b")));
  // And what it may have written to the other one alone is gone once that is in use again.
  fresh->main.cut(false);
  old->instance.leader.close();
  ASSERT_TRUE(fresh->instance.step_until([&] { return writes_to(fresh->instance, 2); }));
  EXPECT_THAT(fresh->instance.status("a"), HasSubstr("HEALTHY"));
}

TEST_F(ClustersLeaderTest, IsBlindWhileAClusterCannotBeSeen) {
  config_.rules.blind_after = std::chrono::milliseconds{300};
  const auto one = host();
  one->main.cut(true);
  ASSERT_TRUE(one->instance.lead());
  ASSERT_TRUE(one->instance.step_until([&] {
    count_on(*sub_, config_, 0);
    return one->instance.status("naru.detection").find("CAUTION") != std::string::npos;
  }));
  EXPECT_THAT(one->instance.status("naru.detection"), HasSubstr("main/otlp_logs"));
}

TEST_F(ClustersLeaderTest, OneOfTwoInstancesLeadsAndTheOtherTakesOver) {
  auto one = host(), two = host();
  ASSERT_TRUE(one->instance.step_until([&] {
    (void)two->instance.leader.step(std::chrono::milliseconds(1));
    return one->instance.leader.leads() || two->instance.leader.leads();
  }));
  EXPECT_NE(one->instance.leader.leads(), two->instance.leader.leads());
  auto& first = one->instance.leader.leads() ? one : two;
  auto& second = one->instance.leader.leads() ? two : one;
  ASSERT_TRUE(first->instance.ask(set("a", Status::kCritical)));
  first.reset();
  ASSERT_TRUE(second->instance.lead());
  EXPECT_TRUE(writes_to(second->instance, 2));
  EXPECT_THAT(second->instance.status("a"), HasSubstr("CRITICAL"));
}

TEST_F(ClustersLeaderTest, WithAQuorumTheLastClusterIsNotEnough) {
  config_.control.quorum = 2;
  const auto one = host();
  ASSERT_TRUE(one->instance.lead());
  one->main.cut(true);
  ASSERT_TRUE(one->instance.step_until([&] { return !one->instance.leader.leads(); }));
  for (int i = 0; i < 50; ++i) {
    (void)one->instance.leader.step(std::chrono::milliseconds(2));
    ASSERT_FALSE(one->instance.leader.leads());
  }
  one->main.cut(false);
  ASSERT_TRUE(one->instance.lead());
}

}  // namespace
}  // namespace naru::alerting
