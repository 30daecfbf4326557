#include "agent/checkpoint/log.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/support.h"
#include "tests/unit/core/spool/memory_file_system.h"

namespace naru::agent {
namespace {

FileCheckpoint a_file(SourceKey key) {
  FileCheckpoint file;
  file.key = key;
  file.path = "/x";
  return file;
}

std::size_t files_in(const CheckpointLog& log) {
  std::size_t files = 0;
  log.read([&](const State& state) { files = state.files.size(); });
  return files;
}

TEST(CheckpointLog, RemembersOverARestart) {
  const test::TempDir dir;
  {
    const auto log = CheckpointLog::open(spool::posix_file_system(), dir / "state").value();
    ASSERT_TRUE(log->append({encode(a_file(log->draw_key())), encode(a_file(log->draw_key()))}, Sync::kYes));
  }
  const auto log = CheckpointLog::open(spool::posix_file_system(), dir / "state").value();
  EXPECT_EQ(files_in(*log), 2U);
  EXPECT_EQ(log->draw_key(), 3U);
}

TEST(CheckpointLog, RefusesASecondAgent) {
  const test::TempDir dir;
  const auto log = CheckpointLog::open(spool::posix_file_system(), dir.path()).value();
  const auto second = CheckpointLog::open(spool::posix_file_system(), dir.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  EXPECT_NE(second.error().message().find(dir.path()), std::string::npos);
}

TEST(CheckpointLog, CutsATornTailAndKeepsIt) {
  const test::TempDir dir;
  {
    const auto log = CheckpointLog::open(spool::posix_file_system(), dir.path()).value();
    ASSERT_TRUE(log->append({encode(a_file(1))}, Sync::kYes));
  }
  test::append(dir / "agent.state", "torn");
  const auto log = CheckpointLog::open(spool::posix_file_system(), dir.path()).value();
  EXPECT_EQ(log->damaged_bytes(), 4U);
  EXPECT_EQ(files_in(*log), 1U);
  EXPECT_EQ(std::filesystem::file_size(dir / "agent.state.damaged"), 4U);
}

TEST(CheckpointLog, RefusesAFileThatIsNotItsOwn) {
  const test::TempDir dir;
  test::overwrite(dir / "agent.state", "something else entirely");
  const auto log = CheckpointLog::open(spool::posix_file_system(), dir.path());
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), ErrorCode::kCorrupt);
}

TEST(CheckpointLog, CompactsWhatItHasOutgrown) {
  const test::TempDir dir;
  const auto log = CheckpointLog::open(spool::posix_file_system(), dir.path()).value();
  FileCheckpoint file = a_file(log->draw_key());
  file.path.assign(100'000, 'p');
  for (int i = 0; i < 60; ++i) {
    file.position = static_cast<std::uint64_t>(i);
    ASSERT_TRUE(log->append({encode(file)}, Sync::kNo));
  }
  EXPECT_LT(std::filesystem::file_size(dir / "agent.state"), 2'000'000U);
  log->read([](const State& state) { EXPECT_EQ(state.files.begin()->second.position, 59U); });
}

// One source, then a batch and its end, again and again; big enough that the log is compacted on the way.
std::vector<std::vector<std::string>> a_life() {
  std::vector<std::vector<std::string>> groups;
  FileCheckpoint file = a_file(1);
  file.known.prefix = fingerprint("head");
  groups.push_back({encode(file)});
  for (BatchNumber number = 1; number <= 3; ++number) {
    FileCheckpoint padding = a_file(2);
    padding.path.assign(400'000, 'p');
    Batch batch;
    batch.number = number;
    batch.files = {{1, number * 10, number * 10 + 10, number, 1, 7, 100, file.known.prefix, {}}};
    groups.push_back({encode(padding), encode(batch)});
    groups.push_back({encode_done(number, {.delivered = 1})});
  }
  FileCheckpoint last = a_file(2);
  groups.push_back({encode(last)});
  groups.push_back({encode(last), encode_forget(2)});
  return groups;
}

std::string state_of(const CheckpointLog& log) {
  std::string bytes;
  log.read([&](const State& state) { bytes = snapshot(state); });
  return bytes;
}

// The states that a_life() goes through, the empty one first.
std::vector<std::string> states_of_a_life() {
  State state;
  std::vector<std::string> states{snapshot(state)};
  for (const auto& group : a_life()) {
    for (const std::string& payload : group) {
      EXPECT_TRUE(apply_entry(state, payload));
      states.push_back(snapshot(state));
    }
  }
  return states;
}

// A power cut at every write, sync and rename: what was answered as noted is there, and what is there was
// written at some moment, in this order.
TEST(CheckpointLog, ACrashAtAnyCallLosesNothingThatWasNoted) {
  const auto groups = a_life();
  const auto states = states_of_a_life();
  for (std::uint64_t call = 1;; ++call) {
    spool::MemoryFileSystem files;
    files.die_at(call);
    std::size_t noted = 0;  // entries
    bool survived = true;
    if (auto log = CheckpointLog::open(files, "/state")) {
      for (const auto& group : groups) {
        if (!(*log)->append(group, Sync::kYes)) {
          survived = false;
          break;
        }
        noted += group.size();
      }
    } else {
      survived = false;
    }
    for (const std::optional<std::uint64_t> seed : {std::optional<std::uint64_t>(), {call}, {call + 1'000}}) {
      files.power_cut(seed);
      const auto log = CheckpointLog::open(files, "/state");
      ASSERT_TRUE(log) << "call " << call << ": " << log.error().message();
      const std::string found = state_of(**log);
      const auto at = std::find(states.begin() + static_cast<std::ptrdiff_t>(noted), states.end(), found);
      ASSERT_NE(at, states.end()) << "call " << call
                                  << ": a state that never was, or one before what was noted";
    }
    if (survived) {
      ASSERT_GT(call, 20U);
      return;
    }
  }
}

// Any single call fails, with a full disk or an I/O error: the append says so, and the same again succeeds.
TEST(CheckpointLog, AFailingDiskIsAnAnswerAndTheNextAttemptSucceeds) {
  const auto groups = a_life();
  const std::string last = states_of_a_life().back();
  for (const ErrorCode code : {ErrorCode::kNoSpace, ErrorCode::kIo}) {
    bool failed = true;
    for (std::uint64_t call = 1; failed; ++call) {
      spool::MemoryFileSystem files;
      files.create_directories("/state").value();
      files.fail_call(files.calls() + call, code);
      failed = false;
      {
        const auto log = CheckpointLog::open(files, "/state");
        ASSERT_TRUE(log) << "a disk that refuses is no reason to end: " << log.error().message();
        failed = (*log)->failing();
        for (const auto& group : groups) {
          const std::string before = state_of(**log);
          const Result<void> written = (*log)->append(group, Sync::kYes);
          EXPECT_EQ((*log)->failing(), !written);
          if (!written) {
            failed = true;
            EXPECT_EQ(written.error().code(), code);
            EXPECT_EQ(state_of(**log), before);
            ASSERT_TRUE((*log)->append(group, Sync::kYes));
          }
        }
        EXPECT_EQ(state_of(**log), last);
      }
      files.power_cut();
      EXPECT_EQ(state_of(**CheckpointLog::open(files, "/state")), last) << "call " << call;
    }
  }
}

TEST(CheckpointLog, SaysWhatIsNotWritable) {
  const auto log = CheckpointLog::open(spool::posix_file_system(), "/proc/naru-agent");
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().message().find("/proc/naru-agent"), std::string::npos);
}

}  // namespace
}  // namespace naru::agent
