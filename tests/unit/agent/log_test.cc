#include "agent/checkpoint/log.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/support.h"

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
    const auto log = CheckpointLog::open(dir / "state").value();
    ASSERT_TRUE(log->append({encode(a_file(log->draw_key())), encode(a_file(log->draw_key()))}, Sync::kYes));
  }
  const auto log = CheckpointLog::open(dir / "state").value();
  EXPECT_EQ(files_in(*log), 2U);
  EXPECT_EQ(log->draw_key(), 3U);
}

TEST(CheckpointLog, RefusesASecondAgent) {
  const test::TempDir dir;
  const auto log = CheckpointLog::open(dir.path()).value();
  const auto second = CheckpointLog::open(dir.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  EXPECT_NE(second.error().message().find(dir.path()), std::string::npos);
}

TEST(CheckpointLog, CutsATornTailAndKeepsIt) {
  const test::TempDir dir;
  {
    const auto log = CheckpointLog::open(dir.path()).value();
    ASSERT_TRUE(log->append({encode(a_file(1))}, Sync::kYes));
  }
  test::append(dir / "agent.state", "torn");
  const auto log = CheckpointLog::open(dir.path()).value();
  EXPECT_EQ(log->damaged_bytes(), 4U);
  EXPECT_EQ(files_in(*log), 1U);
  EXPECT_EQ(std::filesystem::file_size(dir / "agent.state.damaged"), 4U);
}

TEST(CheckpointLog, RefusesAFileThatIsNotItsOwn) {
  const test::TempDir dir;
  test::overwrite(dir / "agent.state", "something else entirely");
  const auto log = CheckpointLog::open(dir.path());
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), ErrorCode::kCorrupt);
}

TEST(CheckpointLog, CompactsWhatItHasOutgrown) {
  const test::TempDir dir;
  const auto log = CheckpointLog::open(dir.path()).value();
  FileCheckpoint file = a_file(log->draw_key());
  file.path.assign(100'000, 'p');
  for (int i = 0; i < 60; ++i) {
    file.position = static_cast<std::uint64_t>(i);
    ASSERT_TRUE(log->append({encode(file)}, Sync::kNo));
  }
  EXPECT_LT(std::filesystem::file_size(dir / "agent.state"), 2'000'000U);
  log->read([](const State& state) { EXPECT_EQ(state.files.begin()->second.position, 59U); });
}

TEST(CheckpointLog, SaysWhatIsNotWritable) {
  const auto log = CheckpointLog::open("/proc/naru-agent");
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().message().find("/proc/naru-agent"), std::string::npos);
}

}  // namespace
}  // namespace naru::agent
