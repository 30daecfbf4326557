// Every way of rotating a file, with an agent that is alive or killed meanwhile and a collector that takes,
// refuses, or takes and does not answer: each line becomes one document identity.
#include <gtest/gtest.h>

#include "tests/unit/agent/killed_agent.h"

namespace naru::agent {
namespace {

using test::AgentOnDisk;
using test::gzip_file;
using test::KilledAgent;
using test::overwrite;
namespace fs = std::filesystem;

enum class Collector { kAccepts, kRefuses, kLosesAnswers };
enum class Victim { kAlive, kKilled };

struct Rotation {
  const char* name;
  // Rotates a.log and writes `fresh` lines to the new one.
  void (*rotate)(AgentOnDisk&);
  // What happens to the old file later, when the agent is dead.
  void (*later)(AgentOnDisk&);
  bool loses_name;   // the unsent rest has no name under a pattern, so it must be in the spool
  bool while_alive;  // unsent bytes are gone when the agent does not see it happen
};

const Rotation kRotations[] = {
    {"Rename",
     [](AgentOnDisk& t) {
       fs::rename(t.log(), t.log() + ".1");
       t.write(40);
     },
     [](AgentOnDisk&) {}, true, false},
    {"RenameThenDelete",
     [](AgentOnDisk& t) {
       fs::rename(t.log(), t.log() + ".1");
       t.write(40);
     },
     [](AgentOnDisk& t) { fs::remove(t.log() + ".1"); }, true, true},
    {"RenameToAnotherDirectory",
     [](AgentOnDisk& t) {
       fs::create_directory(t.dir_ / "old");
       fs::rename(t.log(), t.dir_ / "old/a.log");
       t.write(40);
     },
     [](AgentOnDisk&) {}, true, true},
    {"RenameAndGzipAtOnce",
     [](AgentOnDisk& t) {
       fs::rename(t.log(), t.log() + ".1");
       t.write(40);
       gzip_file(t.log() + ".1");
     },
     [](AgentOnDisk&) {}, true, false},
    {"RenameAndGzipLater",
     [](AgentOnDisk& t) {
       fs::rename(t.log(), t.log() + ".1");
       t.write(40);
     },
     [](AgentOnDisk& t) { gzip_file(t.log() + ".1"); }, true, false},
    {"CopyTruncate",
     [](AgentOnDisk& t) {
       fs::copy_file(t.log(), t.log() + ".1");
       overwrite(t.log(), t.fresh(200));
     },
     [](AgentOnDisk&) {}, true, false},
    {"CopyTruncateAndGzipLater",
     [](AgentOnDisk& t) {
       fs::copy_file(t.log(), t.log() + ".1");
       overwrite(t.log(), t.fresh(200));
     },
     [](AgentOnDisk& t) { gzip_file(t.log() + ".1"); }, true, false},
    {"Delete", [](AgentOnDisk& t) { fs::remove(t.log()); }, [](AgentOnDisk& t) { t.write(40); }, true, true},
    {"ReplaceByRename",
     [](AgentOnDisk& t) {
       overwrite(t.log("a.log.new"), t.fresh(40));
       fs::rename(t.log("a.log.new"), t.log());
     },
     [](AgentOnDisk&) {}, true, true},
    {"RenameUnderThePattern",
     [](AgentOnDisk& t) {
       fs::rename(t.log(), t.log("a.1.log"));
       t.write(40);
     },
     [](AgentOnDisk&) {}, false, false},
};

using Case = std::tuple<Rotation, Collector, Victim>;

class RotationMatrix : public testing::TestWithParam<Case> {};

TEST_P(RotationMatrix, EveryLineIsOneDocument) {
  const auto& [rotation, collector, victim] = GetParam();
  AgentOnDisk t;
  t.write(100);
  t.start();
  ASSERT_TRUE(t.wait_for_all());
  if (collector == Collector::kRefuses) {
    t.refuse();
  } else if (collector == Collector::kLosesAnswers) {
    t.collector_.lose_answers(true);
  }
  const std::size_t seen = t.collector_.seen().size();
  t.write(60);
  if (collector != Collector::kAccepts) {
    ASSERT_TRUE(t.collector_.wait_seen(seen + 1));
  } else {
    ASSERT_TRUE(t.wait_for_all());
  }
  t.write(60);
  if (victim == Victim::kKilled) {
    t.kill();
  }
  rotation.rotate(t);
  if (victim == Victim::kAlive && rotation.loses_name && collector != Collector::kAccepts) {
    ASSERT_TRUE(t.wait_until_copied());
  } else if (victim == Victim::kAlive && collector == Collector::kAccepts) {
    ASSERT_TRUE(t.wait_for_all());
  }
  t.kill();
  rotation.later(t);
  t.accept();
  t.start();
  ASSERT_TRUE(t.wait_for_all()) << t.agent_->metrics();
  t.write(10);
  ASSERT_TRUE(t.wait_for_all());
  EXPECT_TRUE(t.wait_balanced()) << t.agent_->metrics();
  EXPECT_EQ(t.agent_->metric("naru_agent_lost_by_truncation_bytes_total"), 0);
  EXPECT_EQ(t.agent_->metric("naru_agent_lost_by_truncation_records_total"), 0);
  EXPECT_TRUE(t.agent_->wait([](const KilledAgent& a) { return a.metric("naru_agent_spool_copies") == 0; }));
  t.agent_->stop();
  t.agent_.reset();
  t.start();  // and nothing comes twice
  t.write(1);
  ASSERT_TRUE(t.wait_for_all());
  t.agent_->stop();
  t.collector_.expect_each_once(t.lines_);
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Rotation& rotation : kRotations) {
    for (const Collector collector : {Collector::kAccepts, Collector::kRefuses, Collector::kLosesAnswers}) {
      for (const Victim victim : {Victim::kAlive, Victim::kKilled}) {
        if (victim == Victim::kAlive || !rotation.while_alive) {
          cases.emplace_back(rotation, collector, victim);
        }
      }
    }
  }
  return cases;
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  const auto& [rotation, collector, victim] = info.param;
  return std::string(rotation.name) +
         (collector == Collector::kAccepts   ? "Accepts"
          : collector == Collector::kRefuses ? "Refuses"
                                             : "LosesAnswers") +
         (victim == Victim::kAlive ? "Alive" : "Killed");
}

INSTANTIATE_TEST_SUITE_P(All, RotationMatrix, testing::ValuesIn(all_cases()), name_of_case);

}  // namespace
}  // namespace naru::agent
