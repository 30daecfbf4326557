#include "core/bus/clusters/cluster_producer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "core/bus/resent.h"

namespace naru::bus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A cluster whose answers a test gives.
struct FakeCluster {
  std::mutex mutex;
  bool answers = true;       // the question whether it is there
  bool acknowledges = true;  // at once
  std::vector<std::string> taken;
  std::vector<bool> resent;
  std::deque<DeliveryCallback> open;
  std::int32_t partitions = 4;
  std::vector<std::int32_t> used;

  void acknowledge_all() {
    std::deque<DeliveryCallback> all;
    {
      const std::lock_guard lock(mutex);
      all.swap(open);
    }
    for (DeliveryCallback& done : all) {
      done(Position{});
    }
  }
};

class FakeProducer final : public Producer {
 public:
  explicit FakeProducer(FakeCluster& cluster) : cluster_(cluster) {}
  ~FakeProducer() override {
    for (DeliveryCallback& done : cluster_.open) {
      done(fail(ErrorCode::kCancelled, "ended"));
    }
    cluster_.open.clear();
  }
  Result<void> send(OutRecord& record, DeliveryCallback done) override {
    std::unique_lock lock(cluster_.mutex);
    cluster_.taken.push_back(record.value);
    cluster_.used.push_back(record.partition);
    cluster_.resent.push_back(!record.headers.empty() && record.headers[0].key == kResentHeader);
    if (cluster_.acknowledges) {
      lock.unlock();
      done(Position{});
    } else {
      cluster_.open.push_back(std::move(done));
    }
    return {};
  }
  Result<void> flush(std::chrono::milliseconds) override { return {}; }
  Result<std::int32_t> partition_count(const std::string&) override { return cluster_.partitions; }

 private:
  FakeCluster& cluster_;
};

class ClusterProducerTest : public testing::Test {
 protected:
  void start(std::chrono::milliseconds switch_after, std::chrono::milliseconds return_after) {
    ClusterProducerConfig config;
    config.names = {"main", "sub"};
    config.choice = {
        .clusters = 2, .switch_after = switch_after, .return_after = return_after, .returns = true};
    config.ask_every = std::chrono::milliseconds{5};
    std::vector<std::unique_ptr<Producer>> clusters;
    clusters.push_back(std::make_unique<FakeProducer>(main));
    clusters.push_back(std::make_unique<FakeProducer>(sub));
    producer = std::make_unique<ClusterProducer>(
        config, std::move(clusters),
        [this](std::size_t cluster) {
          FakeCluster& asked = cluster == 0 ? main : sub;
          const std::lock_guard lock(asked.mutex);
          return asked.answers;
        },
        registry);
  }
  void send(const std::string& value, std::int32_t partition = 0) {
    OutRecord record;
    record.topic = "t";
    record.partition = partition;
    record.value = value;
    ASSERT_TRUE(producer->send(record, [this, value](const Result<Position>& result) {
      const std::lock_guard lock(mutex);
      answers[value].push_back(result.has_value());
    }));
  }
  template <class Condition>
  bool eventually(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (std::chrono::steady_clock::now() < end) {
      if (condition()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return false;
  }
  std::vector<bool> answered(const std::string& value) {
    const std::lock_guard lock(mutex);
    return answers[value];
  }
  std::vector<std::string> taken(FakeCluster& cluster) {
    const std::lock_guard lock(cluster.mutex);
    return cluster.taken;
  }

  bool exposes(const std::string& series) {
    return registry.expose().find("\n" + series + "\n") != std::string::npos;
  }

  telemetry::Registry registry;
  FakeCluster main, sub;
  std::mutex mutex;
  std::map<std::string, std::vector<bool>> answers;
  std::unique_ptr<ClusterProducer> producer;
};

TEST_F(ClusterProducerTest, SendsWhatASilentClusterDidNotAcknowledgeToTheNextInItsOrder) {
  main.acknowledges = false;
  start(std::chrono::milliseconds{50}, std::chrono::hours{1});
  send("a");
  send("b");
  ASSERT_TRUE(eventually([&] { return producer->active() == 1; }));
  send("c");
  ASSERT_TRUE(eventually([&] { return answered("c").size() == 1; }));
  EXPECT_THAT(taken(sub), ElementsAre("a", "b", "c"));
  EXPECT_THAT(sub.resent, ElementsAre(true, true, false));
  EXPECT_THAT(taken(main), ElementsAre("a", "b"));
  // The first took them after all: each is answered once.
  main.acknowledge_all();
  for (const char* value : {"a", "b", "c"}) {
    EXPECT_THAT(answered(value), ElementsAre(true)) << value;
  }
}

TEST_F(ClusterProducerTest, StaysWhileTheOtherDoesNotAnswer) {
  main.acknowledges = false;
  sub.answers = false;
  start(std::chrono::milliseconds{20}, std::chrono::hours{1});
  send("a");
  std::this_thread::sleep_for(std::chrono::milliseconds{200});
  EXPECT_EQ(producer->active(), 0u);
  EXPECT_THAT(answered("a"), IsEmpty());
  main.acknowledge_all();
  EXPECT_THAT(answered("a"), ElementsAre(true));
}

TEST_F(ClusterProducerTest, AReturnIsDrainedAndOrdered) {
  main.acknowledges = false;
  // Long enough that a pause of this test does not look like a silent sub.
  start(std::chrono::milliseconds{500}, std::chrono::milliseconds{300});
  {
    const std::lock_guard lock(main.mutex);
    main.answers = false;
  }
  send("a");
  ASSERT_TRUE(eventually([&] { return answered("a").size() == 1; }));  // by sub
  {
    const std::lock_guard lock(sub.mutex);
    sub.acknowledges = false;
  }
  {
    const std::lock_guard lock(main.mutex);
    main.acknowledges = true;
    main.answers = true;
  }
  // Sub acknowledges what it gets, though not at once; new records come all the time.
  int sent = 0;
  ASSERT_TRUE(eventually([&] {
    send("n" + std::to_string(sent++));
    sub.acknowledge_all();
    return producer->active() == 0;
  }));
  sub.acknowledge_all();
  send("last");
  ASSERT_TRUE(eventually([&] { return answered("last").size() == 1; }));
  // Every record is on one cluster, and none on main before the last on sub.
  std::vector<std::string> all = taken(sub);
  const auto on_main = taken(main);
  all.insert(all.end(), on_main.begin() + 1, on_main.end());  // behind `a`, which main never acknowledged
  ASSERT_EQ(all.size(), static_cast<std::size_t>(sent) + 2);
  for (int i = 0; i < sent; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i) + 1], "n" + std::to_string(i));
    EXPECT_TRUE(eventually([&] { return answered("n" + std::to_string(i)).size() == 1; }));
  }
}

TEST_F(ClusterProducerTest, DoesAsItIsTold) {
  start(std::chrono::seconds{3}, std::chrono::hours{1});
  send("a");
  producer->told(ClusterOrder{.active = "sub", .shift_to = {}});
  ASSERT_TRUE(eventually([&] { return producer->active() == 1; }));
  send("b");
  ASSERT_TRUE(eventually([&] { return answered("b").size() == 1; }));
  producer->told(ClusterOrder{.active = "nowhere", .shift_to = {}});
  send("c");
  ASSERT_TRUE(eventually([&] { return answered("c").size() == 1; }));
  EXPECT_THAT(taken(sub), ElementsAre("b", "c"));
}

TEST_F(ClusterProducerTest, FitsPartitionsToAClusterThatHasFewer) {
  sub.partitions = 2;
  start(std::chrono::seconds{3}, std::chrono::hours{1});
  producer->told(ClusterOrder{.active = "sub", .shift_to = {}});
  ASSERT_TRUE(eventually([&] { return producer->active() == 1; }));
  send("a", 3);
  ASSERT_TRUE(eventually([&] { return answered("a").size() == 1; }));
  EXPECT_THAT(sub.used, ElementsAre(1));
}

TEST_F(ClusterProducerTest, SendsAShareOfThePartitionsElsewhereInTheirOrder) {
  main.acknowledges = false;
  start(std::chrono::seconds{10}, std::chrono::hours{1});
  send("before", 0);
  producer->told(ClusterOrder{.active = "main", .shift_to = "sub", .percent = 50});
  ASSERT_TRUE(eventually([&] { return exposes("naru_bus_draining 1"); }));
  send("zero", 0);
  send("three", 3);
  EXPECT_THAT(taken(sub), IsEmpty());  // what was sent before comes first
  {
    const std::lock_guard lock(main.mutex);
    main.acknowledges = true;
  }
  main.acknowledge_all();
  ASSERT_TRUE(eventually([&] { return answered("zero").size() == 1 && answered("three").size() == 1; }));
  send("one", 1);
  send("two", 2);
  EXPECT_THAT(taken(sub), ElementsAre("zero", "one"));
  EXPECT_THAT(taken(main), ElementsAre("before", "three", "two"));
}

TEST_F(ClusterProducerTest, TakesTheShareBackFromASilentCluster) {
  sub.acknowledges = false;
  start(std::chrono::milliseconds{100}, std::chrono::hours{1});
  producer->told(ClusterOrder{.active = "main", .shift_to = "sub", .percent = 50});
  ASSERT_TRUE(eventually([&] { return exposes("naru_bus_shift_percent 50"); }));
  send("a", 0);
  send("b", 3);
  ASSERT_TRUE(eventually([&] { return answered("a").size() == 1 && answered("b").size() == 1; }));
  EXPECT_THAT(taken(main), ElementsAre("b", "a"));
  EXPECT_EQ(producer->active(), 0u);
}

TEST_F(ClusterProducerTest, AnswersWhatIsLeftAtItsEnd) {
  main.acknowledges = false;
  start(std::chrono::hours{1}, std::chrono::hours{1});
  send("a");
  producer.reset();
  EXPECT_THAT(answered("a"), ElementsAre(false));
}

}  // namespace
}  // namespace naru::bus
