#include "alerting/leader/control_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace naru::alerting {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

// A cluster that takes, refuses or holds commits, as a test wants.
struct FakeCluster {
  std::mutex mutex;
  std::condition_variable changed;
  bool hangs = false;
  Result<void> answer;
  std::vector<std::string> taken;

  void release() {
    const std::lock_guard lock(mutex);
    hangs = false;
    changed.notify_all();
  }
};

class FakeTransactions final : public bus::TransactionalProducer {
 public:
  explicit FakeTransactions(FakeCluster& cluster) : cluster_(cluster) {}
  Result<void> commit(std::vector<bus::OutRecord> records, bus::Consumer*,
                      std::span<const bus::Commit>) override {
    std::unique_lock lock(cluster_.mutex);
    cluster_.changed.wait(lock, [this] { return !cluster_.hangs; });
    if (cluster_.answer) {
      for (const bus::OutRecord& record : records) {
        cluster_.taken.push_back(record.key);
      }
    }
    return cluster_.answer;
  }

 private:
  FakeCluster& cluster_;
};

class ControlWriterTest : public testing::Test {
 protected:
  ControlWriterTest() {
    for (std::size_t i = 0; i < 2; ++i) {
      writer_.add(i, std::make_unique<FakeTransactions>(clusters_[i]));
    }
  }
  ~ControlWriterTest() override {
    for (FakeCluster& cluster : clusters_) {
      cluster.release();
    }
  }
  Result<void> commit(const std::string& key) {
    std::vector<bus::OutRecord> records(1);
    records[0].key = key;
    lost_.clear();
    return writer_.commit(records, milliseconds{50}, lost_);
  }

  // nullopt: it succeeded.
  static std::optional<ErrorCode> code_of(const Result<void>& result) {
    return result ? std::nullopt : std::optional(result.error().code());
  }

  FakeCluster clusters_[2];
  ControlWriter writer_;
  std::vector<std::size_t> lost_;
};

TEST_F(ControlWriterTest, WritesToAll) {
  EXPECT_TRUE(commit("a"));
  EXPECT_THAT(lost_, IsEmpty());
  EXPECT_THAT(clusters_[0].taken, ElementsAre("a"));
  EXPECT_THAT(clusters_[1].taken, ElementsAre("a"));
}

TEST_F(ControlWriterTest, OneThatFailsOrHangsIsGivenUpAndTheRestGoesOn) {
  clusters_[0].hangs = true;
  EXPECT_TRUE(commit("a"));
  EXPECT_THAT(lost_, ElementsAre(0));
  EXPECT_TRUE(commit("b"));
  EXPECT_THAT(lost_, IsEmpty());
  clusters_[0].release();
  EXPECT_TRUE(commit("c"));
  EXPECT_THAT(clusters_[1].taken, ElementsAre("a", "b", "c"));
  writer_.add(0, std::make_unique<FakeTransactions>(clusters_[0]));
  clusters_[0].answer = fail(ErrorCode::kTimeout, "slow");
  EXPECT_TRUE(commit("d"));
  EXPECT_THAT(lost_, ElementsAre(0));
  EXPECT_THAT(clusters_[0].taken, testing::Not(testing::Contains("d")));
}

TEST_F(ControlWriterTest, WaitsForTheOnlyOneThatIsLeft) {
  clusters_[0].answer = fail(ErrorCode::kUnavailable, "away");
  clusters_[1].hangs = true;
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds{150});
    clusters_[1].release();
  });
  EXPECT_TRUE(commit("a"));
  later.join();
  EXPECT_THAT(lost_, ElementsAre(0));
  EXPECT_EQ(writer_.size(), 1u);
}

TEST_F(ControlWriterTest, AFenceOnAnyOfThemCountsWhateverTheOthersSay) {
  clusters_[1].answer = fail(ErrorCode::kConflict, "another producer has taken over");
  EXPECT_EQ(code_of(commit("a")), ErrorCode::kConflict);
}

TEST_F(ControlWriterTest, IsNotDurableWhenNoneTookIt) {
  for (FakeCluster& cluster : clusters_) {
    cluster.answer = fail(ErrorCode::kTimeout, "away");
  }
  EXPECT_EQ(code_of(commit("a")), ErrorCode::kTimeout);
}

}  // namespace
}  // namespace naru::alerting
