// The counter on a real embedded bus: publications, restarts, handed-over partitions.
#include "prepper/count/count_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "core/bus/local/local_bus.h"
#include "tests/unit/prepper/count/otlp_logs.h"
#include "tests/unit/temp_dir.h"

namespace naru::prepper {
namespace {

constexpr const char* kRules =
    "groups: [{name: g, rules: [{alert: A, where: severity.number >= 17, critical_above: 1, target: t}]}]";

class CountServiceTest : public testing::Test, private bus::RebalanceListener {
 protected:
  CountServiceTest() {
    write_rules(kRules);
    open_bus();
  }
  ~CountServiceTest() override {
    reader_.reset();
    bus_.reset();
  }
  void write_rules(const std::string& text) {
    std::filesystem::create_directories(directory_ / "rules");
    std::ofstream(directory_ / "rules/r.yaml") << text;
  }
  void open_bus() {
    reader_.reset();
    bus_.reset();
    bus::LocalBusConfig config;
    config.directory = directory_ / "bus";
    config.poll_interval_max = std::chrono::milliseconds{2'000};
    bus_ = bus::open_local_bus(config).value();
    std::vector<bus::TopicConfig> topics(3);
    topics[0].name = "otlp_logs";
    topics[1].name = "otlp_metrics";
    topics[2].name = "otlp_spans";
    for (bus::TopicConfig& topic : topics) {
      topic.partitions = 2;
    }
    ASSERT_TRUE(bus_->ensure_topics(topics));
  }
  CountConfig config() const {
    CountConfig out;
    out.rules = directory_ / "rules";
    out.publish_every = std::chrono::milliseconds{20};
    out.look_every = std::chrono::milliseconds{100};
    return out;
  }
  std::unique_ptr<CountService> start(CountConfig count) {
    auto service =
        std::make_unique<CountService>(std::move(count), TopicsConfig{}, *bus_, nullptr, registry_, health_);
    EXPECT_TRUE(service->start());
    EXPECT_TRUE(eventually([&] { return health_.ready(); }));
    return service;
  }
  void send(const std::string& value, std::int32_t partition = 0) {
    auto producer = bus_->producer().value();
    bus::OutRecord record;
    record.topic = "otlp_logs";
    record.partition = partition;
    record.value = value;
    record.timestamp_ms = static_cast<UnixMillis>(wall_now() / kNanosPerMilli);
    std::promise<void> done;
    ASSERT_TRUE(producer->send(record, [&](const Result<bus::Position>&) { done.set_value(); }));
    done.get_future().wait();
  }
  // Records that all publications together count, and that their ranges are without a gap.
  std::uint64_t published() {
    if (reader_ == nullptr) {
      reader_ = bus_->consumer({.group = {}, .topics = {"naru.rule-counts"}}, *this).value();
      counted_ = 0;
      next_.clear();
    }
    std::vector<bus::InRecord> batch;
    EXPECT_TRUE(reader_->poll(batch, 1'000, std::chrono::milliseconds{10}));
    for (const bus::InRecord& record : batch) {
      const rules::Counts counts = rules::parse_counts(record.value).value();
      const auto known = next_.find(std::string(record.key));
      EXPECT_TRUE(known == next_.end() || known->second == counts.from) << record.key;
      next_[std::string(record.key)] = counts.to;
      for (const auto& rule : counts.rules) {
        for (const auto& group : rule.groups) {
          for (const auto& second : group.seconds) {
            counted_ += second.certain;
          }
        }
      }
    }
    return counted_;
  }
  template <class Condition>
  static bool eventually(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{15};
    while (std::chrono::steady_clock::now() < end) {
      if (condition()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    return false;
  }
  void settle() {
    for (int i = 0; i < 20; ++i) {
      published();
    }
  }
  void on_assigned(std::span<bus::Assignment>) override {}
  void on_revoked(std::span<const bus::TopicPartition>, bool) override {}

  test::TempDir directory_;
  std::unique_ptr<bus::LocalBus> bus_;
  telemetry::Registry registry_;
  telemetry::Health health_{registry_};
  std::unique_ptr<bus::Consumer> reader_;
  std::uint64_t counted_ = 0;
  std::map<std::string, std::int64_t> next_;
};

std::string failures(int n, unsigned char source = 0, std::uint64_t base = 0) {
  return logs_request({.time = wall_now(), .copies = n, .source = source, .base = base});
}

TEST_F(CountServiceTest, PublishesWhatItCountsAndThatNothingCame) {
  const auto service = start(config());
  send(failures(7));
  send(failures(5), 1);
  EXPECT_TRUE(eventually([&] { return published() == 12; }));
  EXPECT_EQ(next_.size(), 6u);  // also of the partitions where nothing came
}

TEST_F(CountServiceTest, CountsOnceOverRestarts) {
  for (int round = 1; round <= 3; ++round) {
    auto service = start(config());
    send(failures(10));
    EXPECT_TRUE(eventually([&] { return published() == 10u * static_cast<unsigned>(round); }));
    service.reset();
    settle();
    EXPECT_EQ(counted_, 10u * static_cast<unsigned>(round));
  }
}

TEST_F(CountServiceTest, KnowsARepeatFromBeforeARestart) {
  const std::string request = failures(60, 9, 1'000);
  auto service = start(config());
  send(request);
  ASSERT_TRUE(eventually([&] { return published() == 60; }));
  service.reset();
  open_bus();
  service = start(config());
  send(request);
  send(failures(1));
  ASSERT_TRUE(eventually([&] { return published() >= 61; }));
  settle();
  EXPECT_EQ(counted_, 61u);
}

TEST_F(CountServiceTest, TwoCountersShareThePartitionsAndCountEachRecordOnce) {
  const auto one = start(config());
  const auto two = start(config());
  for (int i = 0; i < 50; ++i) {
    send(failures(1), i % 2);
  }
  ASSERT_TRUE(eventually([&] { return published() == 50; }));
  settle();
  EXPECT_EQ(counted_, 50u);
}

TEST_F(CountServiceTest, BeginsAtTheEndWhenItNeverCountedHere) {
  send(failures(100));
  const auto service = start(config());
  send(failures(3));
  ASSERT_TRUE(eventually([&] { return published() >= 3; }));
  settle();
  EXPECT_EQ(counted_, 3u);
}

TEST_F(CountServiceTest, TakesChangedRulesAndKeepsThoseBeforeWhenTheyAreBroken) {
  const auto service = start(config());
  send(failures(1));
  ASSERT_TRUE(eventually([&] { return published() == 1; }));
  write_rules(
      "groups: [{name: g, rules: [{alert: A, where: severity.nmber >= 17, critical_above: 1, target: t}]}]");
  ASSERT_TRUE(eventually([&] { return !health_.ready(); }));
  send(failures(1));
  ASSERT_TRUE(eventually([&] { return published() == 2; }));
  write_rules(
      "groups: [{name: g, rules: [{alert: A, where: severity.number >= 21, critical_above: 1, target: t}]}]");
  ASSERT_TRUE(eventually([&] { return health_.ready(); }));
  send(failures(1));
  settle();
  EXPECT_EQ(published(), 2u);
}

TEST_F(CountServiceTest, DoesNotStartOnRulesThatItCannotUse) {
  write_rules("groups: [");
  CountService service(config(), TopicsConfig{}, *bus_, nullptr, registry_, health_);
  EXPECT_EQ(service.start().error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace naru::prepper
