// The agent killed with SIGKILL: what was unsent is sent, what was sent is the same, the ledger goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "tests/unit/agent/killed_agent.h"

namespace naru::agent {
namespace {

using std::chrono::milliseconds;
using test::AgentOnDisk;
using test::append;
using test::FakeCollector;
using test::gzip_file;
using test::KilledAgent;
using test::overwrite;
namespace fs = std::filesystem;

class AgentKill : public testing::Test {
 protected:
  AgentOnDisk t_;
};

// A rest that is larger than the limit: what fits is copied, the file is kept open, nothing is lost while the
// agent lives.
TEST_F(AgentKill, OverTheSpoolsLimitTheFileIsKeptOpenAndItIsSaid) {
  t_.config_.spool.bytes_max = 1u << 20;
  t_.config_.ship.in_flight_bytes_max = 1u << 20;
  t_.write(10);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.refuse();
  t_.write(400'000);  // about 5 MB
  fs::remove(t_.log());
  ASSERT_TRUE(
      t_.agent_->wait([](const KilledAgent& a) { return a.metric("naru_agent_spool_refused_total") >= 1; }));
  EXPECT_GE(t_.agent_->metric("naru_agent_spool_copied_bytes_total"), 500'000);
  EXPECT_LE(t_.agent_->metric("naru_agent_spool_bytes"), 2u << 20);
  t_.accept();
  ASSERT_TRUE(t_.wait_for_all());
  EXPECT_TRUE(t_.agent_->wait([](const KilledAgent& a) { return a.metric("naru_agent_spool_copies") == 0; }));
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// A compressed rest larger than the limit goes through the spool bit by bit.
TEST_F(AgentKill, ACompressedRestOverTheLimitGoesOnAsItIsAcknowledged) {
  t_.config_.spool.bytes_max = 1u << 20;
  t_.write(10);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.kill();
  t_.write(400'000);
  fs::rename(t_.log(), t_.log() + ".1");
  gzip_file(t_.log() + ".1");
  t_.write(5);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// What was unpacked so far is not taken for the whole, and no line is cut where it ends.
TEST_F(AgentKill, AKilledAgentUnpacksTheRestOfACompressedCopy) {
  t_.config_.spool.bytes_max = 1u << 20;
  t_.write(10);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.kill();
  t_.write(200'000);
  fs::rename(t_.log(), t_.log() + ".1");
  gzip_file(t_.log() + ".1");
  t_.write(5);
  t_.refuse();
  t_.start();
  ASSERT_TRUE(t_.wait_until_copied());
  t_.kill();
  t_.accept();
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// The search for them is not over when the agent is killed, though the known file was read on meanwhile.
TEST_F(AgentKill, GenerationsBetweenTwoLooksAreLookedForAgainAfterAKill) {
  t_.write(30);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.kill();
  t_.write_and_rotate_twice();
  const auto grace = std::exchange(t_.config_.tail.copy_grace, std::chrono::minutes(1));
  t_.start();
  ASSERT_TRUE(t_.wait_for_lines(60));
  t_.kill();
  EXPECT_EQ(t_.collector_.distinct().size(), 60U);
  t_.config_.tail.copy_grace = grace;
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// Which generations are new is told by the clock of their file system, however it was set meanwhile, and
// whatever it is on a file server.
TEST_F(AgentKill, GenerationsBetweenTwoLooksAreFoundWhateverTheClocksSay) {
  for (const int seconds : {0, 3'600, 3'000, -300, -30'000}) {
    SCOPED_TRACE(seconds);
    append(t_.log() + ".7", "from before the first start\n");
    fs::last_write_time(t_.log() + ".7", fs::file_time_type::clock::now() - std::chrono::hours(48));
    t_.write(30);
    t_.start();
    ASSERT_TRUE(t_.wait_for_all());
    t_.kill();
    t_.write_and_rotate_twice();
    if (const auto now = fs::file_time_type::clock::now() + std::chrono::seconds(seconds); seconds != 0) {
      for (const char* end : {".2", ".1", ""}) {
        fs::last_write_time(t_.log() + end, now - std::chrono::seconds(1));
      }
      fs::last_write_time(t_.dir_ / "logs", now);
    }
    t_.start();
    ASSERT_TRUE(t_.wait_for_all());
    EXPECT_EQ(t_.agent_->metric("naru_agent_missed_generations_total"), 1);
    t_.agent_->stop();
  }
  t_.collector_.expect_each_once(t_.lines_);
}

// Most file systems give the inode of a file that is gone to the next one.
TEST_F(AgentKill, AMissedGenerationUnderTheInodeOfAKnownOneIsRead) {
  t_.write(30);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.kill();
  fs::remove(t_.log());
  t_.write(20);
  fs::rename(t_.log(), t_.log() + ".1");
  t_.write(20);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// A file that waits for its turn is known by the few bytes that it had when it was met.
TEST_F(AgentKill, TheCompressedCopyOfAFileThatWaitsToBeReadIsNoOtherFile) {
  t_.config_.ship.in_flight_bytes_max = 1u << 20;
  t_.refuse();
  t_.start();
  t_.write(100'000, "b.log");
  ASSERT_TRUE(t_.agent_->wait(
      [](const KilledAgent& a) { return a.metric("naru_agent_in_flight_bytes") >= 1u << 20; }));
  t_.write(2);
  ASSERT_TRUE(t_.agent_->wait([](const KilledAgent& a) { return a.metric("naru_agent_files_known") == 2; }));
  t_.write(500);
  fs::rename(t_.log(), t_.log() + ".1");
  gzip_file(t_.log() + ".1");
  t_.write(10, "a.log.2");  // which is another file, and is found when it was quiet for a while
  ASSERT_TRUE(t_.agent_->wait(
      [](const KilledAgent& a) { return a.metric("naru_agent_missed_generations_total") >= 1; }));
  t_.accept();
  ASSERT_TRUE(t_.wait_for_all());
  EXPECT_EQ(t_.agent_->metric("naru_agent_missed_generations_total"), 1);
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// Rotation moves names on while the agent looks into the files that have them.
TEST_F(AgentKill, KnownGenerationsThatChangeNamesMeanwhileAreNotReadAgain) {
  for (const char* name : {".2", ".1"}) {
    t_.write(100);
    t_.start();
    ASSERT_TRUE(t_.wait_for_all());
    t_.write(50);
    ASSERT_TRUE(t_.wait_for_all());
    t_.kill();
    fs::rename(t_.log(), t_.log() + name);
    gzip_file(t_.log() + name);
  }
  t_.write(1);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < until) {
    fs::rename(t_.log() + ".1.gz", t_.log() + ".3.gz");
    fs::rename(t_.log() + ".2.gz", t_.log() + ".1.gz");
    fs::rename(t_.log() + ".3.gz", t_.log() + ".2.gz");
  }
  t_.write(1);
  ASSERT_TRUE(t_.wait_for_all());
  EXPECT_EQ(t_.agent_->metric("naru_agent_missed_generations_total"), 0);
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// Files that came and were rotated away while the agent was dead.
TEST_F(AgentKill, GenerationsBetweenTwoLooksAreFoundBesideTheKnownOne) {
  for (const bool packed : {false, true}) {
    t_.write(30);
    t_.start();
    ASSERT_TRUE(t_.wait_for_all());
    t_.kill();
    t_.write(10);
    for (int round = 0; round < 3; ++round) {
      for (int number = 8; number >= 1; --number) {
        for (const char* end : {"", ".gz"}) {
          const std::string from = t_.log() + "." + std::to_string(number) + end;
          if (fs::exists(from)) {
            fs::rename(from, t_.log() + "." + std::to_string(number + 1) + end);
          }
        }
      }
      fs::rename(t_.log(), t_.log() + ".1");
      if (packed) {
        gzip_file(t_.log() + ".1");
      }
      t_.write(20);
    }
    t_.start();
    ASSERT_TRUE(t_.wait_for_all());
    EXPECT_EQ(t_.agent_->metric("naru_agent_missed_generations_total"), 2) << packed;
    t_.agent_->stop();
    t_.agent_.reset();
  }
  t_.collector_.expect_each_once(t_.lines_);
}

// A new file at `path` under an inode that was freed; false when another program was given it meanwhile.
bool make_under(std::uint64_t inode, const std::string& path, const std::string& text) {
  std::vector<std::string> others;
  bool made = false;
  while (!made && others.size() < 1'000) {
    const std::string name = path + ".try" + std::to_string(others.size());
    append(name, text);
    struct stat status{};
    made = ::stat(name.c_str(), &status) == 0 && status.st_ino == inode;
    if (made) {
      fs::rename(name, path);
    } else {
      others.push_back(name);
    }
  }
  std::ranges::for_each(others, [](const std::string& name) { fs::remove(name); });
  return made;
}

TEST_F(AgentKill, AnInodeThatIsGivenToAnotherFileIsAnotherFile) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    AgentOnDisk t;
    append(t.log(), "header\n");
    t.start();
    ASSERT_TRUE(t.collector_.wait_for(1));
    t.kill();
    struct stat before{};
    ASSERT_EQ(::stat(t.log().c_str(), &before), 0);
    fs::remove(t.log());
    if (!make_under(before.st_ino, t.log(), "header\nsecond\n")) {
      continue;
    }
    t.start();
    // The first header and both lines of the new file.
    EXPECT_TRUE(t.collector_.wait([](const std::vector<test::Arrived>& accepted) {
      std::set<std::pair<std::string, std::uint64_t>> identities;
      for (const test::Arrived& one : accepted) {
        identities.emplace(one.source, one.position);
      }
      return identities.size() == 3;
    }));
    t.agent_->stop();
    return;
  }
  FAIL() << "other programs were given the inode each time, or this file system never gives one twice";
}

// The state is lost and the spool is not: its copies say who they are.
TEST_F(AgentKill, ACopyOutlivesTheStateUnderItsOldIdentity) {
  t_.write(100);
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.collector_.lose_answers(true);
  const std::size_t seen = t_.collector_.seen().size();
  t_.write(50);
  ASSERT_TRUE(t_.collector_.wait_seen(seen + 1));
  t_.write(50);
  fs::remove(t_.log());
  ASSERT_TRUE(t_.wait_until_copied());
  t_.kill();
  fs::remove(t_.dir_ / "state/agent.state");
  t_.accept();
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.agent_->stop();
  std::map<std::string, std::set<std::pair<std::string, std::uint64_t>>> identities;
  for (const auto& one : t_.collector_.accepted()) {
    identities[one.body].insert({one.source, one.position});
  }
  ASSERT_EQ(identities.size(), t_.lines_.size());
  for (const auto& [body, of_it] : identities) {
    EXPECT_EQ(of_it.size(), 1U) << body;
  }
}

TEST_F(AgentKill, TheLedgerIsBalancedBeforeAndAfterEveryKill) {
  t_.config_.ship.in_flight_bytes_max = 1u << 20;
  for (int round = 0; round < 8; ++round) {
    t_.start();
    t_.refuse();
    const std::size_t seen = t_.collector_.seen().size();
    t_.write(1'000);
    ASSERT_TRUE(t_.collector_.wait_seen(seen + 1));
    EXPECT_TRUE(t_.wait_balanced()) << t_.agent_->metrics();
    if (round % 2 == 0) {
      t_.accept();
      ASSERT_TRUE(t_.wait_for_all());
    }
    t_.kill();
  }
  t_.accept();
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  EXPECT_TRUE(t_.wait_balanced()) << t_.agent_->metrics();
  const std::string metrics = t_.agent_->metrics();
  EXPECT_NE(metrics.find(
                "naru_records_accepted_total{pipeline=\"default\",signal=\"logs\",stage=\"agent\"} 8000\n"),
            std::string::npos)
      << metrics;
  EXPECT_TRUE(t_.agent_->wait([](const KilledAgent& a) {
    return a.metrics().contains(
        "naru_records_delivered_total{pipeline=\"default\",signal=\"logs\",stage=\"agent\"} 8000\n");
  }));
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
}

// In a process that begins anew, so that the environment is read again.
TEST_F(AgentKill, TheLedgerShowsARecordThatIsDroppedInside) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("NARU_FAULT", "agent.drop_record:1", 1);
  EXPECT_EXIT(
      {
        t_.write(20);
        t_.start();
        const bool arrived = t_.collector_.wait_for(19);
        const bool missed = t_.agent_->wait([](const KilledAgent& a) {
          return AgentOnDisk::balance(a.metrics()) == 1 && a.metric("naru_agent_in_flight_bytes") == 0;
        });
        t_.agent_->stop();
        ::unsetenv("NARU_FAULT");
        t_.start();  // and it is not forgotten
        const bool still = AgentOnDisk::balance(t_.agent_->metrics()) == 1;
        t_.agent_->stop();
        const std::size_t accepted = t_.collector_.accepted().size();
        fs::remove_all(t_.dir_.path());
        ::_exit(arrived && missed && still && accepted == 19 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  ::unsetenv("NARU_FAULT");
}

// Random lines, rotations, moods of the collector and kills. NARU_AGENT_KILLS and NARU_AGENT_SEED make it
// longer or repeat it.
TEST_F(AgentKill, RandomKillsWithRotationsLoseAndDoubleNothing) {
  const auto number = [](const char* name, unsigned otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : otherwise;
  };
  const unsigned seed = number("NARU_AGENT_SEED", std::random_device()());
  const unsigned kills = number("NARU_AGENT_KILLS", 25);
  SCOPED_TRACE("NARU_AGENT_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const auto draw = [&random](int to) { return std::uniform_int_distribution<int>(0, to - 1)(random); };
  t_.config_.ship.in_flight_bytes_max = 200'000;
  t_.config_.ship.batch_bytes = 100'000;
  t_.config_.tail.line_bytes_max = t_.config_.journald.field_bytes_max = 10'000;
  int rotated = 0;
  std::string history;  // for a person who looks for a failure
  const auto did = [&](const std::string& what) {
    history += what + " (up to line " + std::to_string(t_.lines_.size()) + ")\n";
  };
  // What was rotated away before an agent ever saw the name is nobody's.
  t_.write(1, "a.log");
  t_.write(1, "b.log");
  t_.start();
  ASSERT_TRUE(t_.wait_for_all());
  t_.kill();
  for (unsigned kill = 0; kill < kills; ++kill) {
    t_.accept();
    t_.start();
    for (int step = draw(6); step >= 0; --step) {
      switch (draw(4)) {
        case 0: t_.refuse(); break;
        case 1: t_.collector_.lose_answers(true); break;
        default: t_.accept();
      }
      const std::string name = draw(3) == 0 ? "b.log" : "a.log";
      t_.write(draw(3) == 0 ? draw(20'000) : draw(200), name);
      did("write " + name);
      const std::string old = t_.log() + "." + std::to_string(rotated + 1);
      const int rotation = fs::exists(t_.log()) ? draw(6) : 5;
      rotated += rotation < 4 ? 1 : 0;
      if (rotation < 2) {
        fs::rename(t_.log(), old);
        did("rename to " + old);
      } else if (rotation < 4) {
        fs::copy_file(t_.log(), old);
        overwrite(t_.log(), t_.fresh(draw(100)));
        did("copytruncate to " + old);
      }
      if (rotation == 1 || rotation == 3) {
        gzip_file(old);
        did("gzip");
      }
      if (draw(2) == 0) {
        t_.collector_.wait_seen(t_.collector_.seen().size() + static_cast<std::size_t>(draw(3)));
      }
    }
    t_.kill();
    did("kill");
    if (fs::exists(t_.log()) && draw(3) == 0) {
      t_.write(draw(500));
      const std::string old = t_.log() + "." + std::to_string(++rotated);
      fs::rename(t_.log(), old);
      did("rename to " + old);
      t_.write(draw(500));
      if (draw(2) == 0) {
        gzip_file(old);
        did("gzip");
      }
    }
  }
  t_.accept();
  t_.start();
  EXPECT_TRUE(t_.wait_for_all());
  EXPECT_TRUE(t_.wait_balanced()) << t_.agent_->metrics();
  t_.agent_->stop();
  t_.collector_.expect_each_once(t_.lines_);
  if (HasFailure()) {
    ::fputs(history.c_str(), stderr);
  }
}

}  // namespace
}  // namespace naru::agent
