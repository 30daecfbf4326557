#include "collector/buffer/spill.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::collector {
namespace {

TEST(SpillEntry, HasTheBytesOfItsDocument) {
  SpilledRequest request{otlp::Signal::kTraces, 0x0102030405060708, 0x11223344, "body"};
  const std::string head = encode_spill_head(request);
  EXPECT_EQ(head, std::string("\x01\x02\x00\x00\x44\x33\x22\x11\x08\x07\x06\x05\x04\x03\x02\x01", 16));
  const std::string entry = head + "body";
  const auto parsed = parse_spill_entry(entry);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->signal, otlp::Signal::kTraces);
  EXPECT_EQ(parsed->received_ms, 0x0102030405060708);
  EXPECT_EQ(parsed->records, 0x11223344U);
  EXPECT_EQ(parsed->request, "body");
}

TEST(SpillEntry, RefusesShortNewerAndUnknownOnes) {
  const std::string head = encode_spill_head({});
  for (std::size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(parse_spill_entry(head.substr(0, size)).error().code(), ErrorCode::kCorrupt);
  }
  EXPECT_EQ(parse_spill_entry("\x02" + head.substr(1)).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(parse_spill_entry(head.substr(0, 1) + "\x03" + head.substr(2)).error().code(),
            ErrorCode::kCorrupt);
}

class SpillTest : public testing::Test {
 protected:
  void open(std::uint64_t bytes_max = 1 << 20) {
    config_.directory = "/spill";
    config_.bytes_max = bytes_max;
    auto opened = Spill::open(files_, config_, ledger_, registry_);
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    spill_ = std::move(*opened);
  }
  // Delivers everything.
  void start() {
    spill_->start([this](std::span<Draining*> requests, const std::atomic<bool>&) -> Result<void> {
      const std::scoped_lock lock(mutex_);
      rounds_.emplace_back();
      for (Draining* entry : requests) {
        rounds_.back().push_back(entry->request.request.front());
        entry->outcome = Outcome{.delivered = entry->request.records, .deadlettered = 0, .lost = 0};
      }
      return {};
    });
  }
  void append(char name, Spill::Flag under_way = nullptr, std::size_t bytes = 10, Spill::Done done = {}) {
    std::string request(bytes, name);
    const RoutingKey key = static_cast<RoutingKey>(name);
    const auto taken =
        spill_->append(otlp::Signal::kLogs, 1, 1, request, std::span(&key, 1), std::move(under_way),
                       [this, name, done = std::move(done)](Result<std::uint64_t> offset) mutable {
                         if (done) {
                           done(offset);
                         }
                         const std::scoped_lock lock(mutex_);
                         (offset ? taken_ : refused_).push_back(name);
                         changed_.notify_all();
                       });
    EXPECT_TRUE(taken.has_value());
  }
  void wait_for_answers(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30),
                                  [&] { return taken_.size() + refused_.size() == count; }));
  }
  void wait_until_empty() {
    while (spill_->requests() > 0) {
      std::this_thread::yield();
    }
  }
  std::string delivered() {
    const std::scoped_lock lock(mutex_);
    std::string out;
    for (const std::string& round : rounds_) {
      out += round;
    }
    return out;
  }

  spool::MemoryFileSystem files_;
  telemetry::Registry registry_;
  Ledger ledger_{registry_};
  SpillConfig config_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string taken_, refused_;
  std::vector<std::string> rounds_;
  std::unique_ptr<Spill> spill_;
};

TEST_F(SpillTest, WhatTheBusMayStillTakeHoldsWhatStandsBehindIt) {
  open();
  const auto under_way = std::make_shared<std::atomic<bool>>(true);
  append('a');
  append('b', under_way);
  append('c');
  wait_for_answers(3);
  start();
  while (delivered().empty()) {
    std::this_thread::yield();
  }
  *under_way = false;
  spill_->recheck();
  wait_until_empty();
  EXPECT_EQ(rounds_, (std::vector<std::string>{"a", "bc"}));
}

TEST_F(SpillTest, ReadsOnBehindADamagedRequestAndCountsItsBytes) {
  open();
  for (const char name : {'a', 'b', 'c'}) {
    append(name, nullptr, 1'000);
  }
  wait_for_answers(3);
  spill_.reset();
  const std::string path = "/spill/" + spool::segment_name(0);
  std::string bytes = files_.contents(path);
  bytes[bytes.find("bbbb") + 100] = 'B';
  files_.overwrite(path, bytes);
  open();
  start();
  wait_until_empty();
  spill_.reset();
  EXPECT_EQ(delivered(), "ac");
  EXPECT_GE(registry_.counter("naru_collector_spill_damaged_bytes_total", "").value(), 1'000U);
}

class SpillGroupTest : public SpillTest, public testing::WithParamInterface<std::uint64_t> {};

// A group that crosses into a new segment may fail in the middle: its first entry is on disk, and was
// refused.
TEST_P(SpillGroupTest, AnEntryWhoseSenderWasRefusedIsNotDelivered) {
  open(40'000);  // segments of 10,000
  // The answer of the first holds the writer, so that the next two make one group.
  append('a', nullptr, 4'000, [&](const Result<std::uint64_t>&) {
    append('b', nullptr, 4'000);
    append('c', nullptr, 4'000);
    files_.fail_call(files_.calls() + GetParam(), ErrorCode::kIo);
  });
  wait_for_answers(3);
  EXPECT_EQ(refused_, "bc");
  EXPECT_EQ(ledger_.in_spill()[0], 1U);
  start();
  wait_until_empty();
  EXPECT_EQ(delivered(), "a");
  EXPECT_EQ(ledger_.in_spill()[0], 0U);
  spill_.reset();
  open(40'000);
  constexpr std::uint64_t kSyncOfB = 2;  // whether it is on the disk then, nobody knows
  EXPECT_LE(spill_->requests(), GetParam() == kSyncOfB ? 1U : 0U) << "nor by the next process";
}

INSTANTIATE_TEST_SUITE_P(EveryCall, SpillGroupTest, testing::Range<std::uint64_t>(1, 9));

TEST_F(SpillTest, AKeyOnItsWayToTheDiskIsSpilledAlthoughEverythingElseHasLeft) {
  open();
  start();
  bool held = false;
  append('a', nullptr, 10, [&](const Result<std::uint64_t>&) {
    append('b');
    while (spill_->requests() > 1) {  // until a has left
      std::this_thread::yield();
    }
    const RoutingKey key = 'b';
    held = spill_->holds(std::span(&key, 1));
  });
  wait_for_answers(2);
  EXPECT_TRUE(held);
  wait_until_empty();
}

}  // namespace
}  // namespace naru::collector
