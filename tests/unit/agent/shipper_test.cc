#include "agent/ship/shipper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <set>

#include "core/otlp/build.h"
#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

using std::chrono::milliseconds;

class ShipperTest : public testing::Test {
 protected:
  ShipperTest() {
    config_.retry_initial = milliseconds(1);
    config_.retry_max = milliseconds(5);
    config_.held_retry = milliseconds(5);
  }
  void start() {
    shipper_ = std::make_unique<Shipper>(config_, collector_.factory(), metrics_, health_, [this] {
      const std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    });
    shipper_->start();
  }
  // Starts, and batch 1 is under way until release_.
  void start_busy(test::FakeCollector::Answer answer) {
    std::promise<void> under_way;
    collector_.answer_with([this, &under_way, gate = release_.get_future().share(),
                            answer = std::move(answer)](const auto& records) {
      if (!std::exchange(busy_, true)) {
        under_way.set_value();
        gate.wait();
      }
      return answer(records);
    });
    start();
    shipper_->send(0, shipment(1, {"first"}));
    under_way.get_future().wait();
  }
  static Shipment shipment(BatchNumber number, const std::vector<std::string>& bodies) {
    otlp::LogsBuilder builder;
    builder.begin_resource({});
    builder.begin_scope({}, number * 100);
    for (const std::string& body : bodies) {
      builder.add(0, 1, body);
    }
    return {number, bodies.size(), 0, builder.take()};
  }
  std::vector<Delivered> wait_done(std::size_t count) {
    std::vector<Delivered> done;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      for (const Delivered& one : shipper_->take_done()) {
        done.push_back(one);
      }
      return done.size() >= count;
    });
    return done;
  }

  ShipConfig config_;
  telemetry::Registry registry_;
  telemetry::Health health_{registry_};
  Metrics metrics_{registry_};
  test::FakeCollector collector_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
  std::promise<void> release_;
  bool busy_ = false;  // of the connection's thread
  std::unique_ptr<Shipper> shipper_;
};

TEST_F(ShipperTest, SaysWhenABatchIsDelivered) {
  start();
  shipper_->send(0, shipment(1, {"a", "b"}));
  const auto done = wait_done(1);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].number, 1U);
  EXPECT_EQ(shipper_->in_flight_bytes(), 0U);
  EXPECT_EQ(shipper_->delivered_records(), 2U);
  EXPECT_EQ(metrics_.ledger.delivered.value(), 2U);
  EXPECT_EQ(metrics_.ledger.in_flight.value(), 0);
}

TEST_F(ShipperTest, RepeatsTheSameBytesUntilTheyAreTaken) {
  int asked = 0;
  collector_.answer_with([&](const auto&) -> Result<net::HttpResponse> {
    switch (++asked) {
      case 1: return fail(ErrorCode::kUnavailable, "connection refused");
      case 2: return fail(ErrorCode::kTimeout, "no answer");
      case 3: return test::FakeCollector::status(503);
      case 4: return test::FakeCollector::status(401);
      default: return test::FakeCollector::ok();
    }
  });
  start();
  shipper_->send(0, shipment(1, {"a"}));
  EXPECT_EQ(wait_done(1).size(), 1U);
  const auto seen = collector_.seen();
  ASSERT_EQ(seen.size(), 5U);
  for (const auto& request : seen) {
    EXPECT_EQ(request[0].raw, seen[0][0].raw);
    EXPECT_EQ(request[0].position, 100U);
  }
  EXPECT_EQ(metrics_.retries.value(), 4U);
}

TEST_F(ShipperTest, TheDependencyTurnsRedAndGreenAgain) {
  std::atomic<bool> up{false};
  collector_.answer_with(
      [&](const auto&) { return up ? test::FakeCollector::ok() : test::FakeCollector::status(503); });
  start();
  shipper_->send(0, shipment(1, {"a"}));
  ASSERT_TRUE(collector_.wait_seen(2));
  const auto red = [&] {
    for (const auto& check : health_.checks()) {
      if (check.name == "collector") {
        return !check.ok;
      }
    }
    return false;
  };
  EXPECT_TRUE(red());
  up = true;
  EXPECT_EQ(wait_done(1).size(), 1U);
  EXPECT_FALSE(red());
}

TEST_F(ShipperTest, HalvesARefusedBatchDownToTheRecordAndHoldsIt) {
  std::atomic<bool> strict{true};
  collector_.answer_with([&](const std::vector<test::Arrived>& records) {
    const bool poison = std::ranges::any_of(records, [](const auto& one) { return one.body == "poison"; });
    return poison && strict ? test::FakeCollector::status(400) : test::FakeCollector::ok();
  });
  start();
  shipper_->send(0, shipment(1, {"a", "b", "poison", "c", "d"}));
  shipper_->send(0, shipment(2, {"e"}));
  // Everything else passes, the next batch too, and the poison record is still there.
  ASSERT_TRUE(collector_.wait_for(5));
  const auto first = wait_done(1);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].number, 2U);
  EXPECT_EQ(shipper_->in_flight_records(), 1U);
  EXPECT_EQ(metrics_.ledger.in_flight.value(), 1);
  strict = false;
  EXPECT_EQ(wait_done(1).size(), 1U);
  std::set<std::pair<std::uint64_t, std::string>> arrived;
  for (const auto& one : collector_.accepted()) {
    arrived.insert({one.position, one.body});
  }
  const std::set<std::pair<std::uint64_t, std::string>> expected = {{100, "a"}, {101, "b"}, {102, "poison"},
                                                                    {103, "c"}, {104, "d"}, {200, "e"}};
  EXPECT_EQ(arrived, expected);
  EXPECT_EQ(collector_.accepted().size(), 6U);
  EXPECT_EQ(metrics_.held_records.value(), 0);
}

TEST_F(ShipperTest, CountsWhatAPartialSuccessLeavesOut) {
  collector_.answer_with([](const auto&) {
    std::string body;
    const std::size_t mark = otlp::begin_message_field(body, 1);
    otlp::append_varint_field(body, 1, 2);
    otlp::end_message_field(body, mark);
    net::HttpResponse response;
    response.body = body;
    return Result<net::HttpResponse>(response);
  });
  start();
  shipper_->send(0, shipment(1, {"a", "b", "c"}));
  const auto done = wait_done(1);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].outcomes.rejected, 2U);
  EXPECT_EQ(metrics_.ledger.delivered.value(), 1U);
  EXPECT_EQ(metrics_.ledger.dropped("rejected_by_collector").value(), 2U);
}

TEST_F(ShipperTest, KeepsTheOrderOfALane) {
  config_.connections = 1;
  int asked = 0;
  collector_.answer_with([&](const auto&) {
    return ++asked % 3 == 0 ? test::FakeCollector::ok() : test::FakeCollector::status(503);
  });
  start();
  for (BatchNumber number = 1; number <= 20; ++number) {
    shipper_->send(0, shipment(number, {"x"}));
  }
  EXPECT_EQ(wait_done(20).size(), 20U);
  const auto accepted = collector_.accepted();
  for (std::size_t i = 0; i < accepted.size(); ++i) {
    EXPECT_EQ(accepted[i].position, (i + 1) * 100);
  }
}

// While one request is under way, what waits behind it is gathered, up to the limit.
TEST_F(ShipperTest, BatchesThatWaitTravelTogether) {
  config_.connections = 1;
  config_.request_bytes_max = 3'500;
  start_busy([](const auto&) { return test::FakeCollector::ok(); });
  for (BatchNumber number = 2; number <= 8; ++number) {
    shipper_->send(0, shipment(number, {std::string(900, 'x'), "y"}));
  }
  release_.set_value();
  EXPECT_EQ(wait_done(8).size(), 8U);
  const auto seen = collector_.seen();
  std::vector<std::size_t> records;
  for (const auto& request : seen) {
    records.push_back(request.size());
  }
  EXPECT_EQ(records, (std::vector<std::size_t>{1, 6, 6, 2}));
  const auto accepted = collector_.accepted();
  for (std::size_t i = 1; i < accepted.size(); ++i) {
    EXPECT_EQ(accepted[i].position, (2 + (i - 1) / 2) * 100 + (i - 1) % 2);
  }
}

TEST_F(ShipperTest, BatchesThatAreRefusedTogetherGoAlone) {
  config_.connections = 1;
  start_busy([](const auto& records) {
    const bool bad = std::ranges::any_of(records, [](const auto& record) { return record.body == "bad"; });
    return bad && records.size() > 1 ? test::FakeCollector::status(413) : test::FakeCollector::ok();
  });
  shipper_->send(0, shipment(2, {"a", "b"}));
  shipper_->send(0, shipment(3, {"bad", "c"}));
  shipper_->send(0, shipment(4, {"d", "e"}));
  release_.set_value();
  EXPECT_EQ(wait_done(4).size(), 4U);
  std::vector<std::uint64_t> positions;
  for (const auto& record : collector_.accepted()) {
    positions.push_back(record.position);
  }
  EXPECT_EQ(positions, (std::vector<std::uint64_t>{100, 200, 201, 300, 301, 400, 401}));
  EXPECT_EQ(shipper_->in_flight_bytes(), 0U);
}

TEST_F(ShipperTest, ItsRoomIsBounded) {
  collector_.answer_with([](const auto&) { return test::FakeCollector::status(503); });
  config_.in_flight_bytes_max = 200;
  start();
  EXPECT_TRUE(shipper_->has_room());
  shipper_->send(0, shipment(1, {std::string(300, 'x')}));
  EXPECT_FALSE(shipper_->has_room());
}

TEST_F(ShipperTest, StopDoesNotWaitForACollectorThatIsAway) {
  config_.retry_initial = config_.retry_max = std::chrono::hours(1);
  collector_.answer_with([](const auto&) { return test::FakeCollector::status(503); });
  start();
  shipper_->send(0, shipment(1, {"a"}));
  ASSERT_TRUE(collector_.wait_seen(1));
  shipper_->stop(std::chrono::hours(1));
  EXPECT_EQ(shipper_->in_flight_records(), 1U);
}

TEST_F(ShipperTest, StopSendsWhatIsQueued) {
  start();
  for (BatchNumber number = 1; number <= 10; ++number) {
    shipper_->send(0, shipment(number, {"x"}));
  }
  shipper_->stop(std::chrono::seconds(20));
  EXPECT_EQ(shipper_->take_done().size(), 10U);
}

}  // namespace
}  // namespace naru::agent
