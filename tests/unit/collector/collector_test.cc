#include "collector/collector.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include "core/otlp/build.h"
#include "core/otlp/json.h"
#include "core/otlp/rewrite.h"
#include "tests/unit/collector/fake_bus.h"
#include "tests/unit/core/spool/memory_file_system.h"
#include "tests/unit/temp_dir.h"

namespace naru::collector {
namespace {

using std::chrono::milliseconds;
using test::TempDir;

// An answer that may come on any thread.
template <class T>
class Answer {
 public:
  void set(T value) {
    const std::scoped_lock lock(mutex_);
    EXPECT_FALSE(value_.has_value()) << "answered twice";
    value_ = std::move(value);
    given_.notify_all();
  }
  T get() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(given_.wait_for(lock, std::chrono::seconds(30), [&] { return value_.has_value(); }));
    return value_.value_or(T{});
  }
  bool given() {
    const std::scoped_lock lock(mutex_);
    return value_.has_value();
  }

 private:
  std::mutex mutex_;
  std::condition_variable given_;
  std::optional<T> value_;
};
using HttpAnswer = std::shared_ptr<Answer<net::HttpResponse>>;

const net::Peer kAgentPeer{"127.0.0.1:9", true, false, {}};
const net::Peer kClientPeer{"10.0.0.7:9", false, false, {}};

std::string log_request(std::string_view body, std::size_t records = 1, std::string_view service = "web") {
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", service);
  otlp::LogsBuilder builder;
  builder.begin_resource(resource);
  builder.begin_scope({1, 2, 3}, 5);
  for (std::size_t i = 0; i < records; ++i) {
    builder.add(1, 2, body);
  }
  return builder.take();
}

// The bodies of the log records of stored values, in order.
std::vector<std::string> bodies_of(const std::vector<bus::OutRecord>& values) {
  std::vector<std::string> out;
  for (const bus::OutRecord& value : values) {
    for (otlp::Messages groups = otlp::resource_groups(value.value); groups.next();) {
      for (otlp::Messages scopes(groups.bytes(), 2); scopes.next();) {
        for (otlp::Messages records(scopes.bytes(), 2); records.next();) {
          otlp::LogRecord record;
          otlp::AnyValue body;
          EXPECT_TRUE(otlp::parse(records.bytes(), record) && otlp::parse(record.body, body));
          out.emplace_back(body.bytes);
        }
      }
    }
  }
  return out;
}

class CollectorTest : public testing::Test {
 protected:
  CollectorTest() {
    config_.retry_after = milliseconds(1);
    config_.spill.after = milliseconds(60'000);
    config_.spill.retry_max = milliseconds(50);
  }
  void start() {
    collector_ = config_.spill.directory.starts_with(dir_.path())
                     ? std::make_unique<Collector>(config_, bus_, registry_, health_)
                     : std::make_unique<Collector>(config_, bus_, registry_, health_, files_);
    const auto started = collector_->start();
    ASSERT_TRUE(started.has_value()) << started.error().message();
  }
  void start_with_spill() {
    config_.spill.directory = dir_.path() + "/spill";
    start();
  }
  HttpAnswer post(const net::Peer& peer, std::string body, std::string type = "application/x-protobuf",
                  std::string target = "/v1/logs", std::string method = "POST") {
    net::HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers.set("Content-Type", std::move(type));
    request.body = std::move(body);
    request.peer = peer;
    auto answer = std::make_shared<Answer<net::HttpResponse>>();
    collector_->http_handler()(std::move(request),
                               net::Responder([answer](net::HttpResponse r) { answer->set(std::move(r)); }));
    return answer;
  }
  std::uint64_t count(const char* what, const char* signal = "logs") {
    telemetry::StageLedger ledger(registry_, "collector", signal, "default");
    const std::string_view name = what;
    return name == "accepted"       ? ledger.accepted.value()
           : name == "delivered"    ? ledger.delivered.value()
           : name == "created"      ? ledger.created.value()
           : name == "lost"         ? ledger.lost.value()
           : name == "deadlettered" ? ledger.deadlettered.value()
                                    : static_cast<std::uint64_t>(ledger.in_flight.value());
  }
  void expect_balanced() {
    EXPECT_EQ(count("accepted") + count("created"),
              count("delivered") + count("deadlettered") + count("lost") + count("in_flight"));
  }
  void wait_until_drained() {
    for (int i = 0; i < 3'000 && collector_->progress().spilled_requests > 0; ++i) {
      std::this_thread::sleep_for(milliseconds(5));
    }
    ASSERT_EQ(collector_->progress().spilled_requests, 0U);
  }

  // A disk that works again is tried after a moment.
  void send_until_taken(std::string_view body) {
    while (post(kClientPeer, log_request(body))->get().status != 200) {
      std::this_thread::yield();
    }
  }
  std::uint64_t spill_refusals(const char* reason) {
    return registry_.counter("naru_collector_spill_refusals_total", "", {{"reason", reason}}).value();
  }
  double disk_failing() { return registry_.gauge("naru_collector_spill_disk_failing", "").value(); }

  TempDir dir_;
  spool::MemoryFileSystem files_;
  CollectorConfig config_;
  FakeBus bus_;
  telemetry::Registry registry_;
  telemetry::Health health_{registry_};
  std::unique_ptr<Collector> collector_;
};

// --- HTTP

TEST_F(CollectorTest, AnswersOnlyWhenEveryRecordIsDurable) {
  config_.value_bytes_max = 10'000;
  start();
  bus_.set_mode(FakeBus::Mode::kHold);
  const HttpAnswer answer = post(kAgentPeer, log_request(std::string(6'000, 'x'), 4));
  const std::size_t values = bus_.held();
  ASSERT_GT(values, 2U);
  for (std::size_t i = 0; i < values; ++i) {
    EXPECT_FALSE(answer->given());
    EXPECT_EQ(count("accepted"), 0U);
    bus_.answer_oldest({});
  }
  EXPECT_EQ(answer->get().status, 200);
  EXPECT_TRUE(answer->get().body.empty());
  EXPECT_EQ(answer->get().headers.get("Content-Type"), "application/x-protobuf");
  EXPECT_EQ(count("accepted"), 4U);
  EXPECT_EQ(count("delivered"), 4U);
}

TEST_F(CollectorTest, AnswersInTheEncodingOfTheRequest) {
  start();
  const HttpAnswer answer = post(kAgentPeer, R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]})",
                                 "Application/JSON; charset=utf-8");
  EXPECT_EQ(answer->get().status, 200);
  EXPECT_EQ(answer->get().body, "{}");
  EXPECT_EQ(answer->get().headers.get("Content-Type"), "application/json");
  EXPECT_EQ(bus_.stored().size(), 1U);
}

TEST_F(CollectorTest, AnEmptyRequestIsASuccess) {
  start();
  EXPECT_EQ(post(kAgentPeer, "")->get().status, 200);
  EXPECT_EQ(post(kClientPeer, "{}", "application/json")->get().status, 200);
  EXPECT_TRUE(bus_.stored().empty());
}

TEST_F(CollectorTest, RefusesWhatIsNoOtlpRequest) {
  start();
  EXPECT_EQ(post(kAgentPeer, "", "application/x-protobuf", "/v1/logs", "GET")->get().status, 405);
  EXPECT_EQ(post(kAgentPeer, "", "text/plain")->get().status, 415);
  EXPECT_EQ(post(kAgentPeer, "", "")->get().status, 415);
  EXPECT_EQ(post(kAgentPeer, "", "application/x-protobuf", "/v1/other")->get().status, 404);
  const net::HttpResponse bad = post(kAgentPeer, "\xff\xff")->get();
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.body.substr(0, 2), std::string("\x08\x03"));
  EXPECT_FALSE(bad.headers.has("Retry-After"));
  const net::HttpResponse json = post(kAgentPeer, "{", "application/json")->get();
  EXPECT_EQ(json.status, 400);
  EXPECT_TRUE(json.body.starts_with(R"({"code":3,"message":)"));
}

TEST_F(CollectorTest, RefusesUnknownSendersWhenAuthenticationIsConfigured) {
  config_.authentication.tokens = {{"secret", Role::kAgent}};
  start();
  const net::HttpResponse answer = post(kAgentPeer, log_request("x"))->get();
  EXPECT_EQ(answer.status, 401);
  EXPECT_TRUE(answer.headers.has("WWW-Authenticate"));
  EXPECT_TRUE(bus_.stored().empty());
}

TEST_F(CollectorTest, RefusesARequestThatNoValueCanHold) {
  config_.value_bytes_max = 10'000;
  start();
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "k", std::string(20'000, 'x'));
  otlp::LogsBuilder builder;
  builder.begin_resource(resource);
  builder.begin_scope({1}, 0);
  builder.add(1, 2, "x");
  EXPECT_EQ(post(kAgentPeer, builder.take())->get().status, 413);
}

TEST_F(CollectorTest, KeepsTheIdentitiesOfAgentsAndReplacesThoseOfClients) {
  start();
  const std::string request = log_request("x", 2);
  EXPECT_EQ(post(kAgentPeer, request)->get().status, 200);
  EXPECT_EQ(post(kClientPeer, request)->get().status, 200);
  const auto stored = bus_.stored();
  ASSERT_EQ(stored.size(), 2U);
  EXPECT_EQ(stored[0].value, request);
  EXPECT_EQ(stored[0].topic, "otlp_logs");
  EXPECT_EQ(stored[0].key.size(), 16U);
  EXPECT_EQ(stored[0].partition, otlp::partition_of_key(stored[0].key, 4));
  EXPECT_GT(stored[0].timestamp_ms, 1'600'000'000'000);
  EXPECT_NE(stored[1].value, request);
  EXPECT_EQ(stored[1].key, stored[0].key);
}

TEST_F(CollectorTest, SignalsGoToTheirTopics) {
  start();
  const std::string span = R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]})";
  const std::string metric =
      R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{},{}]}}]}]}]})";
  EXPECT_EQ(post(kClientPeer, span, "application/json", "/v1/traces")->get().status, 200);
  EXPECT_EQ(post(kClientPeer, metric, "application/json", "/v1/metrics")->get().status, 200);
  const auto stored = bus_.stored();
  ASSERT_EQ(stored.size(), 2U);
  EXPECT_EQ(stored[0].topic, "otlp_spans");
  EXPECT_EQ(stored[1].topic, "otlp_metrics");
  EXPECT_EQ(count("delivered", "traces"), 1U);
  EXPECT_EQ(count("delivered", "metrics"), 2U);
}

// --- pressure

TEST_F(CollectorTest, AsksAgentsToWaitWhileTheBusRefuses) {
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  const net::HttpResponse answer = post(kAgentPeer, log_request("x"))->get();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.get("Retry-After"), "1");
  EXPECT_EQ(answer.body.substr(0, 2), std::string("\x08\x0e"));
  EXPECT_EQ(collector_->progress().spilled_requests, 0U);
  EXPECT_EQ(count("accepted"), 0U);
  EXPECT_FALSE(health_.ready());
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  for (int i = 0; i < 1'000 && post(kAgentPeer, log_request("x"))->get().status != 200; ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_TRUE(health_.ready());
  EXPECT_EQ(bus_.stored().size(), 1U);
}

TEST_F(CollectorTest, AsksAgentsToWaitWhenADeliveryFails) {
  config_.value_bytes_max = 10'000;
  start();
  bus_.set_mode(FakeBus::Mode::kHold);
  const HttpAnswer answer = post(kAgentPeer, log_request(std::string(6'000, 'x'), 2));
  ASSERT_EQ(bus_.held(), 2U);
  bus_.answer_oldest(fail(ErrorCode::kTimeout, "lost the broker"));
  EXPECT_FALSE(answer->given()) << "the other value is still under way";
  bus_.answer_oldest({});
  EXPECT_EQ(answer->get().status, 503);
  EXPECT_EQ(count("accepted"), 0U);
}

TEST_F(CollectorTest, AsksAgentsToWaitWhenTheBusDoesNotAnswerInTime) {
  config_.answer_within = milliseconds(1);
  start();
  bus_.set_mode(FakeBus::Mode::kHold);
  const HttpAnswer answer = post(kAgentPeer, log_request("x"));
  EXPECT_EQ(answer->get().status, 503);
  bus_.acknowledge_held();  // too late to change the answer
  EXPECT_EQ(bus_.stored().size(), 1U);
  EXPECT_EQ(count("accepted"), 0U);
  collector_->stop(milliseconds(10'000));
  EXPECT_EQ(collector_->progress().requests_in_flight, 0U);
}

TEST_F(CollectorTest, BoundsTheBytesThatAreNotDurable) {
  config_.bytes_in_flight_max = 1'500;
  start();
  bus_.set_mode(FakeBus::Mode::kHold);
  const HttpAnswer first = post(kAgentPeer, log_request(std::string(1'000, 'x')));
  const HttpAnswer second = post(kAgentPeer, log_request(std::string(1'000, 'y')));
  EXPECT_EQ(second->get().status, 503);
  EXPECT_TRUE(second->get().headers.has("Retry-After"));
  bus_.acknowledge_held();
  EXPECT_EQ(first->get().status, 200);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  EXPECT_EQ(post(kAgentPeer, log_request(std::string(1'000, 'y')))->get().status, 200);
}

TEST_F(CollectorTest, WaitsForTheTopicsWithoutExiting) {
  bus_.set_partitions(0);
  start();
  EXPECT_EQ(post(kAgentPeer, log_request("x"))->get().status, 503);
  EXPECT_FALSE(health_.ready());
}

// --- spill

TEST_F(CollectorTest, SpillsClientsWhileTheBusIsAwayAndDrainsInOrder) {
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    expected.push_back("record " + std::to_string(i));
    EXPECT_EQ(post(kClientPeer, log_request(expected.back()))->get().status, 200);
  }
  EXPECT_EQ(count("accepted"), 20U);
  EXPECT_EQ(count("in_flight"), 20U);
  EXPECT_EQ(count("delivered"), 0U);
  EXPECT_EQ(collector_->progress().spilled_requests, 20U);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  expected.push_back("behind the spill");
  EXPECT_EQ(post(kClientPeer, log_request(expected.back()))->get().status, 200);
  wait_until_drained();
  EXPECT_EQ(bodies_of(bus_.stored()), expected);
  EXPECT_EQ(count("delivered"), 21U);
  EXPECT_EQ(count("in_flight"), 0U);
  expect_balanced();
}

TEST_F(CollectorTest, DrainsWhatAnEarlierProcessLeft) {
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  EXPECT_EQ(post(kClientPeer, log_request("left behind", 3))->get().status, 200);
  collector_->stop(milliseconds(0));
  collector_.reset();
  telemetry::Registry registry;
  telemetry::Health health(registry);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  Collector second(config_, bus_, registry, health);
  ASSERT_TRUE(second.start().has_value());
  for (int i = 0; i < 3'000 && second.progress().spilled_requests > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_EQ(bodies_of(bus_.stored()), std::vector<std::string>(3, "left behind"));
  EXPECT_EQ(telemetry::StageLedger(registry, "collector", "logs", "default").delivered.value(), 3U);
}

TEST_F(CollectorTest, KeepsReceiveTimeAndIdentityThroughTheSpill) {
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kHold);
  const HttpAnswer answer = post(kClientPeer, log_request("x"));
  bus_.fail_held(ErrorCode::kTimeout);  // the bus may have it, or not
  EXPECT_EQ(answer->get().status, 200);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  bus_.fail_held(ErrorCode::kTimeout);
  wait_until_drained();
  const auto stored = bus_.stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_LE(stored[0].timestamp_ms, static_cast<UnixMillis>(wall_now() / kNanosPerMilli));
  expect_balanced();
}

TEST_F(CollectorTest, SpillsAClientsRequestThatTheBusDoesNotAnswer) {
  config_.spill.after = milliseconds(1);
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kHold);
  const HttpAnswer client = post(kClientPeer, log_request("client"));
  const HttpAnswer agent = post(kAgentPeer, log_request("agent"));
  EXPECT_EQ(client->get().status, 200);
  EXPECT_FALSE(agent->given());
  EXPECT_EQ(count("in_flight"), 1U);
  EXPECT_FALSE(bus_.wait_for_held(3, milliseconds(200))) << "what the bus may still take is sent again";
  bus_.acknowledge_held();
  EXPECT_EQ(agent->get().status, 200);
  wait_until_drained();
  EXPECT_EQ(bodies_of(bus_.stored()), (std::vector<std::string>{"client", "agent"}));
  EXPECT_EQ(count("accepted"), 2U);
  EXPECT_EQ(count("delivered"), 2U);
  expect_balanced();
}

TEST_F(CollectorTest, DrainsASpilledRequestThatTheBusFailedLater) {
  config_.spill.after = milliseconds(1);
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kHold);
  EXPECT_EQ(post(kClientPeer, log_request("x"))->get().status, 200);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  bus_.fail_held(ErrorCode::kTimeout);
  wait_until_drained();
  EXPECT_EQ(bodies_of(bus_.stored()), std::vector<std::string>{"x"});
  EXPECT_EQ(count("accepted"), 1U);
  EXPECT_EQ(count("delivered"), 1U);
}

TEST_F(CollectorTest, OnlyTheKeysOfTheSpillQueueBehindIt) {
  start_with_spill();
  bus_.set_refusal(ErrorCode::kOverloaded);  // the bus is there
  bus_.set_mode(FakeBus::Mode::kRefuse);
  EXPECT_EQ(post(kClientPeer, log_request("spilled", 1, "a"))->get().status, 200);
  bus_.set_mode(FakeBus::Mode::kHold);
  while (bus_.held() == 0) {  // the spill drains it, and the bus does not answer
    std::this_thread::yield();
  }
  EXPECT_EQ(post(kClientPeer, log_request("behind", 1, "a"))->get().status, 200);
  const HttpAnswer other = post(kClientPeer, log_request("other", 1, "b"));
  EXPECT_EQ(bus_.held(), 2U);
  EXPECT_FALSE(other->given()) << "another key waits for the bus only";
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  bus_.acknowledge_held();
  EXPECT_EQ(other->get().status, 200);
  wait_until_drained();
  EXPECT_EQ(bodies_of(bus_.stored()), (std::vector<std::string>{"spilled", "other", "behind"}));
  expect_balanced();
}

TEST_F(CollectorTest, NothingOvertakesASpilledRequestThatFailsWhileOthersAreSent) {
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  for (const char* body : {"first", "second", "third"}) {
    EXPECT_EQ(post(kClientPeer, log_request(body))->get().status, 200);
  }
  bus_.set_judge(
      [fails = 1](const bus::OutRecord&) mutable -> Result<void> {
        return fails-- > 0 ? fail(ErrorCode::kTimeout, "lost the broker") : Result<void>{};
      },
      false);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  wait_until_drained();
  EXPECT_EQ(bodies_of(bus_.stored()), (std::vector<std::string>{"first", "second", "third"}));
}

TEST_F(CollectorTest, SendsNothingOfARequestBehindAValueThatTheBusDidNotTake) {
  config_.value_bytes_max = 10'000;
  start();
  const std::string a(6'000, 'a'), b(6'000, 'b');
  std::string request = log_request(a) + log_request(b);
  bus_.set_judge(
      [&, fails = 1](const bus::OutRecord&) mutable -> Result<void> {
        return fails-- > 0 ? fail(ErrorCode::kOverloaded, "the queue is full") : Result<void>{};
      },
      true);
  EXPECT_EQ(post(kAgentPeer, request)->get().status, 503);
  EXPECT_TRUE(bus_.stored().empty());
  EXPECT_EQ(post(kAgentPeer, request)->get().status, 200);
  EXPECT_EQ(bodies_of(bus_.stored()), (std::vector<std::string>{a, b}));
}

TEST_F(CollectorTest, AsksClientsToWaitWhenTheSpillIsFull) {
  config_.spill.bytes_max = 1 << 20;
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  int status = 200;
  for (int i = 0; i < 100 && status == 200; ++i) {
    status = post(kClientPeer, log_request(std::string(100'000, 'x')))->get().status;
  }
  EXPECT_EQ(status, 503);
  expect_balanced();
}

TEST_F(CollectorTest, AnswersEverythingWhenItStops) {
  start();
  bus_.set_mode(FakeBus::Mode::kHold);
  const HttpAnswer answer = post(kAgentPeer, log_request("x"));
  collector_->stop(milliseconds(1));
  EXPECT_EQ(answer->get().status, 503);
}

TEST_F(CollectorTest, SyslogKeepsTheIdentityOfItsListenerAndMaySpill) {
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  const auto answer = std::make_shared<Answer<int>>();
  collector_->syslog_handler()(log_request("from syslog"), 1,
                               [answer](Result<void> outcome) { answer->set(outcome ? 1 : 2); });
  EXPECT_EQ(answer->get(), 1);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  wait_until_drained();
  const auto stored = bus_.stored();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].value, log_request("from syslog"));
}

// --- what the bus refuses for its own fault

std::map<std::string, std::string> headers_of(const bus::OutRecord& record) {
  std::map<std::string, std::string> out;
  for (const bus::Header& header : record.headers) {
    out[header.key] = header.value;
  }
  return out;
}

FakeBus::Judge limit(std::size_t bytes, std::size_t letter_bytes = 1 << 20) {
  return [=](const bus::OutRecord& record) -> Result<void> {
    const std::size_t most = record.topic == "naru.deadletter" ? letter_bytes : bytes;
    return record.value.size() <= most ? Result<void>{}
                                       : fail(ErrorCode::kTooLarge, "over the topic's limit");
  };
}

TEST_F(CollectorTest, HalvesWhatTheBusRefusesAsTooLarge) {
  for (const bool at_once : {true, false}) {
    SCOPED_TRACE(at_once);
    bus_.set_judge(limit(3'000), at_once);
    start();
    EXPECT_EQ(post(kAgentPeer, log_request(std::string(800, 'x'), 20))->get().status, 200);
    std::size_t stored = 0;
    for (const bus::OutRecord& value : bus_.stored()) {
      EXPECT_EQ(value.topic, "otlp_logs");
      EXPECT_GT(value.timestamp_ms, 0);
      EXPECT_LE(value.value.size(), 3'000U);
      EXPECT_EQ(value.key.size(), 16U);
      stored += bodies_of({value}).size();
    }
    EXPECT_EQ(stored, at_once ? 20U : 40U);
    EXPECT_EQ(count("delivered"), at_once ? 20U : 40U);
    expect_balanced();
    collector_.reset();
  }
}

TEST_F(CollectorTest, OneRecordThatTheBusNeverTakesBecomesADeadLetterAndTheOthersPass) {
  bus_.set_judge(
      [](const bus::OutRecord& record) -> Result<void> {
        const bool poison = record.topic == "otlp_logs" && record.value.find("poison") != std::string::npos;
        return poison ? fail(ErrorCode::kTooLarge, "over the topic's limit") : Result<void>{};
      },
      false);
  start();
  std::string request = log_request("before") + log_request("poison") + log_request("after");
  EXPECT_EQ(post(kAgentPeer, request)->get().status, 200);
  const auto stored = bus_.stored();
  std::vector<bus::OutRecord> letters, values;
  for (const auto& record : stored) {
    (record.topic == "naru.deadletter" ? letters : values).push_back(record);
  }
  EXPECT_EQ(bodies_of(values), (std::vector<std::string>{"before", "after"}));
  ASSERT_EQ(letters.size(), 1U);
  EXPECT_EQ(bodies_of(letters), std::vector<std::string>{"poison"});
  EXPECT_EQ(letters[0].key.size(), 22U);
  EXPECT_EQ(letters[0].timestamp_ms, values[0].timestamp_ms);
  auto headers = headers_of(letters[0]);
  EXPECT_EQ(headers["naru.dl.kind"], "logs");
  EXPECT_EQ(headers["naru.dl.type"], "value_too_large");
  EXPECT_EQ(headers["naru.dl.reason"], "over the topic's limit");
  EXPECT_EQ(headers["naru.dl.status"], "413");
  EXPECT_TRUE(headers["naru.dl.source"].starts_with("otlp_logs/"));
  EXPECT_EQ(headers.size(), 11U);
  EXPECT_EQ(count("accepted"), 3U);
  EXPECT_EQ(count("delivered"), 2U);
  EXPECT_EQ(count("deadlettered"), 1U);
  expect_balanced();
}

TEST_F(CollectorTest, AFailingDeadLetterIsAFailureOfTheRequest) {
  bus_.set_judge(limit(10), false);
  bus_.set_mode(FakeBus::Mode::kHold);
  start();
  const HttpAnswer answer = post(kAgentPeer, log_request("x", 2));
  ASSERT_EQ(bus_.held(), 2U);  // one letter for each record
  bus_.answer_oldest({});
  EXPECT_FALSE(answer->given());
  bus_.answer_oldest(fail(ErrorCode::kTimeout, "lost the broker"));
  EXPECT_EQ(answer->get().status, 503);
  EXPECT_EQ(count("accepted"), 0U);
  EXPECT_EQ(count("deadlettered"), 0U);
}

TEST_F(CollectorTest, CountsAsLostWhatNotEvenADeadLetterCanHold) {
  bus_.set_judge(limit(10, 10), true);
  start();
  EXPECT_EQ(post(kAgentPeer, log_request("x", 3))->get().status, 200);
  EXPECT_EQ(count("lost"), 3U);
  expect_balanced();
}

TEST_F(CollectorTest, APoisonEntryDoesNotHoldTheSpill) {
  start_with_spill();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  for (const char* body : {"before", "poison", "after"}) {
    EXPECT_EQ(post(kClientPeer, log_request(body))->get().status, 200);
  }
  bus_.set_judge(
      [](const bus::OutRecord& record) -> Result<void> {
        const bool poison = record.topic == "otlp_logs" && record.value.find("poison") != std::string::npos;
        return poison ? fail(ErrorCode::kInvalidArgument, "the broker says no") : Result<void>{};
      },
      false);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  wait_until_drained();
  EXPECT_EQ(bus_.stored().size(), 3U);
  EXPECT_EQ(count("delivered"), 2U);
  EXPECT_EQ(count("deadlettered"), 1U);
  expect_balanced();
}

// --- a disk that does not take what it is given

TEST_F(CollectorTest, AFullDiskIsToldToTheClientAndPasses) {
  files_.set_space(4'096);
  config_.spill.directory = "/spill";
  start();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  const net::HttpResponse full = post(kClientPeer, log_request(std::string(8'000, 'x')))->get();
  EXPECT_EQ(full.status, 503);
  EXPECT_TRUE(full.headers.has("Retry-After"));
  EXPECT_NE(full.body.find("the disk of the spill in /spill is full"), std::string::npos) << full.body;
  EXPECT_EQ(count("accepted"), 0U);
  EXPECT_EQ(spill_refusals("disk_full"), 1U);
  EXPECT_EQ(disk_failing(), 1);
  files_.set_space(1 << 20);
  send_until_taken("fits");
  EXPECT_EQ(disk_failing(), 0);
  EXPECT_EQ(count("accepted"), 1U);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  wait_until_drained();
  EXPECT_EQ(bodies_of(bus_.stored()), std::vector<std::string>{"fits"});
  expect_balanced();
}

TEST_F(CollectorTest, AFailingDiskIsToldToTheClientAndPasses) {
  config_.spill.directory = "/spill";
  start();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  files_.fail_syncs(true);
  const net::HttpResponse failing = post(kClientPeer, log_request("x"))->get();
  EXPECT_EQ(failing.status, 503);
  EXPECT_TRUE(failing.headers.has("Retry-After"));
  EXPECT_NE(failing.body.find("the disk of the spill in /spill fails"), std::string::npos) << failing.body;
  EXPECT_EQ(spill_refusals("disk_failing"), 1U);
  EXPECT_EQ(disk_failing(), 1);
  files_.fail_syncs(false);
  send_until_taken("x");
  EXPECT_EQ(disk_failing(), 0);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  wait_until_drained();
  EXPECT_EQ(bodies_of(bus_.stored()), std::vector<std::string>{"x"});
  expect_balanced();
}

// What is left there is what fills it.
TEST_F(CollectorTest, StartsOnAFullDiskAndEmptiesIt) {
  config_.spill.directory = "/spill";
  start();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  EXPECT_EQ(post(kClientPeer, log_request("left"))->get().status, 200);
  files_.set_space(0);
  files_.die_at(files_.calls() + 1);
  collector_.reset();
  files_.power_cut();
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  telemetry::Registry registry;
  telemetry::Health health(registry);
  Collector second(config_, bus_, registry, health, files_);
  ASSERT_TRUE(second.start().has_value());
  while (second.progress().spilled_requests > 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(bodies_of(bus_.stored()), std::vector<std::string>{"left"});
}

TEST_F(CollectorTest, DrainsAlthoughTheDiskIsTooFullForThePosition) {
  config_.spill.directory = "/spill";
  start();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(post(kClientPeer, log_request(std::to_string(i)))->get().status, 200);
  }
  files_.set_space(0);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  wait_until_drained();
  EXPECT_EQ(bus_.stored().size(), 20U) << "each once";
  expect_balanced();
}

// --- the counts and a kill

TEST_F(CollectorTest, TheCountsGoOnAfterAKill) {
  config_.spill.directory = "/spill";
  start();
  EXPECT_EQ(post(kClientPeer, log_request("direct", 2))->get().status, 200);
  bus_.set_mode(FakeBus::Mode::kRefuse);
  EXPECT_EQ(post(kClientPeer, log_request("first", 3))->get().status, 200);
  bus_.set_mode(FakeBus::Mode::kAcknowledge);
  wait_until_drained();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  EXPECT_EQ(post(kClientPeer, log_request("left", 5))->get().status, 200);
  EXPECT_EQ(count("accepted"), 10U);
  // The kill: from here on nothing of this process reaches the disk.
  files_.die_at(files_.calls() + 1);
  collector_.reset();
  files_.power_cut();
  telemetry::Registry registry;
  telemetry::Health health(registry);
  Collector second(config_, bus_, registry, health, files_);
  ASSERT_TRUE(second.start().has_value());
  const telemetry::StageLedger ledger(registry, "collector", "logs", "default");
  EXPECT_EQ(ledger.accepted.value(), 10U);
  EXPECT_EQ(ledger.delivered.value(), 5U);
  EXPECT_EQ(ledger.in_flight.value(), 5.0);
}

// A check that never fails shows nothing: the ledger must notice a record that the collector forgets. In a
// process of its own, because the environment is read once.
TEST_F(CollectorTest, TheLedgerMissesARecordThatTheCollectorForgets) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto missing = [this] {
    setenv("NARU_FAULT", "collector.drop_record", 1);
    start();
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(post(kAgentPeer, log_request("x", 3))->get().status, 200);
    }
    return static_cast<int>(count("accepted") - count("delivered"));
  };
  EXPECT_EXIT(std::_Exit(missing()), testing::ExitedWithCode(1), "");
}

// --- gRPC

class GrpcAnswer {
 public:
  net::GrpcResponder responder() {
    return net::GrpcResponder([this](net::GrpcResponder::Answer answer) { answer_.set(std::move(answer)); });
  }
  net::GrpcResponder::Answer get() { return answer_.get(); }

 private:
  Answer<net::GrpcResponder::Answer> answer_;
};

net::GrpcCall export_call(std::string service, std::string message, net::Peer peer) {
  net::GrpcCall call;
  call.method = "/opentelemetry.proto.collector." + service + "/Export";
  call.message = std::move(message);
  call.peer = std::move(peer);
  return call;
}

TEST_F(CollectorTest, ServesTheExportMethodsOverGrpc) {
  start();
  GrpcAnswer taken, unknown, malformed;
  collector_->grpc_handler()(export_call("logs.v1.LogsService", log_request("x"), kAgentPeer),
                             taken.responder());
  EXPECT_TRUE(taken.get().has_value());
  EXPECT_EQ(bus_.stored().size(), 1U);
  collector_->grpc_handler()(export_call("logs.v1.Other", "", kAgentPeer), unknown.responder());
  EXPECT_EQ(unknown.get().error().code, net::GrpcCode::kUnimplemented);
  collector_->grpc_handler()(export_call("trace.v1.TraceService", "\xff", kAgentPeer), malformed.responder());
  EXPECT_EQ(malformed.get().error().code, net::GrpcCode::kInvalidArgument);
  EXPECT_FALSE(malformed.get().error().retry_delay.has_value());
}

TEST_F(CollectorTest, AsksGrpcSendersToComeBack) {
  config_.authentication.tokens = {{"secret", Role::kAgent}};
  start();
  bus_.set_mode(FakeBus::Mode::kRefuse);
  GrpcAnswer unauthenticated, away;
  net::GrpcCall call = export_call("metrics.v1.MetricsService", "", kAgentPeer);
  collector_->grpc_handler()(std::move(call), unauthenticated.responder());
  EXPECT_EQ(unauthenticated.get().error().code, net::GrpcCode::kUnauthenticated);
  call = export_call("logs.v1.LogsService", log_request("x"), kAgentPeer);
  call.metadata.set("authorization", "Bearer secret");
  collector_->grpc_handler()(std::move(call), away.responder());
  EXPECT_EQ(away.get().error().code, net::GrpcCode::kUnavailable);
  EXPECT_EQ(away.get().error().retry_delay, config_.retry_after);
}

}  // namespace
}  // namespace naru::collector
