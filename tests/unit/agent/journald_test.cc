// The agent on real journal files, written by systemd-journal-remote from the export format.
#include <gtest/gtest.h>
#include <stdio.h>

#include "agent/agent.h"
#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

using std::chrono::milliseconds;

class JournaldTest : public testing::Test {
 protected:
  JournaldTest() {
    std::filesystem::create_directory(dir_ / "journal");
    config_.state_dir = dir_ / "state";
    config_.host_name = "host-1";
    config_.journald.enabled = true;
    config_.journald.directory = dir_ / "journal";
    config_.journald.from_start = true;
    config_.ship.linger = milliseconds(1);
    config_.ship.retry_initial = milliseconds(1);
    config_.ship.retry_max = milliseconds(10);
  }

  // Appends entries to the journal file. A field with a line feed or other bytes is written in binary form.
  void write(const std::vector<std::string>& messages) {
    FILE* remote = ::popen(
        ("/lib/systemd/systemd-journal-remote -o " + (dir_ / "journal/a.journal") + " - 2>/dev/null").c_str(),
        "w");
    ASSERT_NE(remote, nullptr);
    std::string text;
    for (const std::string& message : messages) {
      ++entries_;
      text += "__REALTIME_TIMESTAMP=" + std::to_string(1'700'000'000'000'000 + entries_) + "\n";
      text += "__MONOTONIC_TIMESTAMP=" + std::to_string(1'000 + entries_) + "\n";
      text += "_BOOT_ID=0123456789abcdef0123456789abcdef\nPRIORITY=6\nSYSLOG_IDENTIFIER=test\n";
      text += "MESSAGE\n";
      append_le(text, static_cast<std::uint64_t>(message.size()));
      text += message + "\n\n";
    }
    ::fwrite(text.data(), 1, text.size(), remote);
    ASSERT_EQ(::pclose(remote), 0) << "systemd-journal-remote is missing: install the package of that name";
  }

  struct Running {
    telemetry::Registry registry;
    telemetry::Health health{registry};
    std::unique_ptr<Agent> agent;
  };
  std::unique_ptr<Running> start(test::FakeCollector& collector) {
    auto running = std::make_unique<Running>();
    running->agent =
        std::make_unique<Agent>(config_, collector.factory(), running->registry, running->health);
    const auto started = running->agent->start();
    EXPECT_TRUE(started) << (started ? "" : started.error().message());
    return running;
  }
  static void stop(std::unique_ptr<Running>& running) {
    running->agent->stop(std::chrono::seconds(20));
    running.reset();
  }

  test::TempDir dir_;
  AgentConfig config_;
  test::FakeCollector collector_;
  std::uint64_t entries_ = 0;
};

TEST_F(JournaldTest, ShipsWhatIsThereAndWhatIsWritten) {
  write({"one", "two"});
  auto agent = start(collector_);
  ASSERT_TRUE(collector_.wait_for(2));
  write({"three\nof two lines"});
  ASSERT_TRUE(collector_.wait_for(3));
  stop(agent);
  const auto records = collector_.accepted();
  ASSERT_EQ(records.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(records[i].position, i);
    EXPECT_EQ(records[i].source, records[0].source);
    EXPECT_EQ(records[i].time, (1'700'000'000'000'001 + i) * 1'000);
  }
  EXPECT_EQ(records[2].body, "three\nof two lines");
}

TEST_F(JournaldTest, ARestartGoesOnBehindTheLastEntry) {
  write({"one", "two"});
  auto agent = start(collector_);
  ASSERT_TRUE(collector_.wait_for(2));
  stop(agent);
  write({"three"});
  agent = start(collector_);
  ASSERT_TRUE(collector_.wait_for(3));
  stop(agent);
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(collector_.distinct().size(), 3U);
}

TEST_F(JournaldTest, TheVeryFirstStartTakesTheLastEntries) {
  config_.journald.from_start = false;
  config_.journald.first_start_entries = 2;
  write({"one", "two", "three"});
  auto agent = start(collector_);
  ASSERT_TRUE(collector_.wait_for(2));
  stop(agent);
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"two", "three"}));
}

TEST_F(JournaldTest, ACrashBetweenSendingAndTheAnswerSendsTheSameRecords) {
  std::vector<std::string> messages;
  for (int i = 0; i < 50; ++i) {
    messages.push_back("entry " + std::to_string(i) + (i % 7 == 0 ? "\xFF" : ""));
  }
  write(messages);
  test::FakeCollector deaf;
  deaf.answer_with([](const auto&) { return fail(ErrorCode::kTimeout, "no answer"); });
  auto agent = start(deaf);
  ASSERT_TRUE(deaf.wait_seen(1));
  stop(agent);
  write({"later"});
  agent = start(collector_);
  ASSERT_TRUE(collector_.wait_for(51));
  stop(agent);
  EXPECT_EQ(collector_.accepted().size(), 51U);
  const auto again = collector_.distinct();
  EXPECT_EQ(again.size(), 51U);
  for (const auto& request : deaf.seen()) {
    for (const auto& one : request) {
      const auto same = again.find({one.source, one.position});
      ASSERT_NE(same, again.end());
      EXPECT_EQ(same->second, one.raw);
    }
  }
}

TEST_F(JournaldTest, EntriesThatAreGoneAreCountedAsLost) {
  write({"one", "two"});
  test::FakeCollector deaf;
  deaf.answer_with([](const auto&) { return fail(ErrorCode::kTimeout, "no answer"); });
  auto agent = start(deaf);
  ASSERT_TRUE(deaf.wait_seen(1));
  stop(agent);
  std::filesystem::remove(dir_ / "journal/a.journal");
  write({"new"});
  agent = start(collector_);
  ASSERT_TRUE(collector_.wait_for(1));
  const std::string text = agent->registry.expose();
  EXPECT_NE(text.find("naru_records_lost_total{pipeline=\"default\",signal=\"logs\",stage=\"agent\"} 2"),
            std::string::npos);
  stop(agent);
}

TEST_F(JournaldTest, AJournalThatIsMissingStopsNothing) {
  config_.journald.directory = dir_ / "absent";
  config_.files.push_back({});
  config_.files[0].include = {dir_ / "*.log"};
  config_.files[0].from_start = true;
  test::append(dir_ / "a.log", "line\n");
  auto agent = start(collector_);
  ASSERT_TRUE(collector_.wait_for(1));
  stop(agent);
}

}  // namespace
}  // namespace naru::agent
