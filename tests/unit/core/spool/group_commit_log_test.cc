#include "core/spool/group_commit_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <set>

#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::spool {
namespace {

using namespace std::chrono_literals;

GroupCommitConfig quick(std::uint64_t segment_bytes = 64u << 20) {
  return {.log = {.directory = "log", .segment_bytes = segment_bytes, .entry_bytes_max = 1u << 20},
          .interval = 0us,
          .probe_interval = 0ms};
}

std::unique_ptr<GroupCommitLog> open_or_die(FileSystem& files, const GroupCommitConfig& config) {
  auto log = GroupCommitLog::open(files, config);
  if (!log) {
    ADD_FAILURE() << log.error().message();
    std::abort();
  }
  return std::move(*log);
}

TEST(GroupCommitLog, AnswersEachOfManyThreadsWithAnOffsetOfItsOwn) {
  constexpr int kThreads = 4;
  constexpr int kEntries = 500;
  MemoryFileSystem files;
  auto log = open_or_die(files, quick(20'000));
  std::mutex mutex;
  std::map<std::uint64_t, std::string> answered;
  std::vector<std::thread> threads;
  std::latch all(kThreads * kEntries);
  std::thread reader([&] {
    // Reads along while the writers write, and must see every entry once, in order.
    LogReader tail(log->log(), 0);
    for (std::uint64_t expected = 0; expected < kThreads * kEntries;) {
      ASSERT_TRUE(log->wait_for(expected, 30s));
      auto batch = tail.read(5000);
      ASSERT_TRUE(batch);
      ASSERT_TRUE(batch->damage.empty());
      for (const auto& entry : batch->entries) {
        ASSERT_EQ(entry.offset, expected++);
      }
    }
  });
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEntries; ++i) {
        OwnedEntry entry{.head = fmt::format("{} ", t), .body = std::to_string(i)};
        const std::string payload = entry.head + entry.body;
        ASSERT_TRUE(log->append(entry, [&, payload](Result<std::uint64_t> offset) {
          ASSERT_TRUE(offset);
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(answered.emplace(*offset, payload).second);
          all.count_down();
        }));
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  all.wait();
  reader.join();
  log.reset();
  log = open_or_die(files, quick());
  LogReader again(log->log(), 0);
  std::map<std::uint64_t, std::string> found;
  for (;;) {
    auto batch = again.read(100'000);
    ASSERT_TRUE(batch);
    if (batch->entries.empty()) {
      break;
    }
    for (const auto& entry : batch->entries) {
      found[entry.offset] = entry.payload;
    }
  }
  EXPECT_EQ(found, answered);
}

TEST(GroupCommitLog, SyncsOnceForEverythingThatWaits) {
  MemoryFileSystem files;
  GroupCommitConfig config = quick();
  config.interval = 1s;
  auto log = open_or_die(files, config);
  ASSERT_TRUE(log->append_wait({.body = "starts the interval"}));
  const std::uint64_t before = files.calls();
  int answers = 0;
  for (int i = 0; i < 50; ++i) {
    OwnedEntry entry{.body = "x"};
    ASSERT_TRUE(log->append(entry, [&](Result<std::uint64_t>) { ++answers; }));
  }
  log->close();
  EXPECT_EQ(answers, 50);
  EXPECT_EQ(files.calls() - before, 2u) << "one write, one sync";
  EXPECT_EQ(log->stats().groups, 2u);
}

TEST(GroupCommitLog, DoesNotWaitForTheIntervalWhenTheGroupIsFull) {
  MemoryFileSystem files;
  GroupCommitConfig config = quick();
  config.interval = 1s;
  config.group_bytes = 1000;
  auto log = open_or_die(files, config);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(log->append_wait({.body = std::string(1000, 'x')}));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(GroupCommitLog, AnswersAFullDiskAndGoesOnWhenThereIsRoom) {
  MemoryFileSystem files;
  auto log = open_or_die(files, quick());
  ASSERT_TRUE(log->append_wait({.body = "one"}));
  files.set_space(200);
  const auto refused = log->append_wait({.body = std::string(1000, 'x')});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace);
  ASSERT_TRUE(log->failure());
  EXPECT_EQ(log->failure()->code(), ErrorCode::kNoSpace);
  files.set_space(1u << 20);
  EXPECT_EQ(log->append_wait({.body = std::string(1000, 'x')}), 1u);
  EXPECT_FALSE(log->failure());
}

TEST(GroupCommitLog, AnswersAFailedSyncAndWritesTheTailAnew) {
  MemoryFileSystem files;
  auto log = open_or_die(files, quick());
  ASSERT_TRUE(log->append_wait({.body = "one"}));
  files.fail_syncs(true);
  EXPECT_EQ(log->append_wait({.body = "two"}).error().code(), ErrorCode::kIo);
  EXPECT_EQ(log->append_wait({.body = "two"}).error().code(), ErrorCode::kIo);
  files.fail_syncs(false);
  EXPECT_EQ(log->append_wait({.body = "two"}), 1u);
  log.reset();
  files.power_cut();
  log = open_or_die(files, quick());
  EXPECT_EQ(log->log().next_offset(), 2u);
}

TEST(GroupCommitLog, RefusesAtOnceWhileTheDiskIsKnownToFail) {
  MemoryFileSystem files;
  GroupCommitConfig config = quick();
  config.probe_interval = 1h;
  auto log = open_or_die(files, config);
  files.fail_syncs(true);
  ASSERT_FALSE(log->append_wait({.body = "one"}));
  const std::uint64_t calls = files.calls();
  OwnedEntry entry{.body = "kept"};
  const auto refused = log->append(entry, [](Result<std::uint64_t>) { FAIL() << "must not be called"; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kIo);
  EXPECT_EQ(entry.body, "kept");
  EXPECT_EQ(files.calls(), calls);
}

TEST(GroupCommitLog, BoundsWhatWaitsAndLeavesARefusedEntryAlone) {
  MemoryFileSystem files;
  GroupCommitConfig config = quick();
  config.log.entry_bytes_max = 1000;
  config.pending_bytes_max = 1500;
  config.interval = 1s;
  auto log = open_or_die(files, config);
  ASSERT_TRUE(log->append_wait({.body = "starts the interval"}));
  OwnedEntry first{.body = std::string(1000, 'x')};
  OwnedEntry second{.body = std::string(501, 'x')};
  OwnedEntry large{.body = std::string(1001, 'x')};
  ASSERT_TRUE(log->append(first, [](Result<std::uint64_t> offset) { EXPECT_TRUE(offset); }));
  EXPECT_EQ(log->append(second, {}).error().code(), ErrorCode::kOverloaded);
  EXPECT_EQ(second.body.size(), 501u);
  EXPECT_EQ(log->append(large, {}).error().code(), ErrorCode::kTooLarge);
  log->close();
  EXPECT_EQ(log->append(second, {}).error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(log->log().next_offset(), 2u) << "close writes what waits";
}

TEST(GroupCommitLog, RefusesWhatItsConfigurationCannotHold) {
  GroupCommitConfig config = quick();
  config.pending_bytes_max = 10;
  EXPECT_FALSE(validate(config));
  config = quick();
  config.interval = 2s;
  EXPECT_FALSE(validate(config));
  config = quick();
  config.log.directory.clear();
  EXPECT_FALSE(validate(config));
  EXPECT_TRUE(validate(quick()));
}

}  // namespace
}  // namespace naru::spool
