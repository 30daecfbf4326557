// The agent on real files in a temporary directory, against a collector that follows a script.
#include "agent/agent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "tests/unit/agent/failing_files.h"
#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

using std::chrono::milliseconds;
using test::append;
using test::overwrite;

std::string lines(int from, int to, const std::string& prefix = "line ") {
  std::string out;
  for (int i = from; i < to; ++i) {
    out += prefix + std::to_string(i) + "\n";
  }
  return out;
}

class AgentTest : public testing::Test {
 protected:
  AgentTest() {
    std::filesystem::create_directory(dir_ / "logs");
    config_.state_dir = dir_ / "state";
    config_.host_name = "host-1";
    config_.files.push_back({});
    config_.files[0].include = {dir_ / "logs/*.log"};
    config_.files[0].from_start = true;
    config_.ship.linger = milliseconds(1);
    config_.ship.retry_initial = milliseconds(1);
    config_.ship.retry_max = milliseconds(10);
    config_.ship.held_retry = milliseconds(10);
    config_.tail.look_every = milliseconds(20);
    config_.tail.rescan_every = milliseconds(50);
    config_.tail.unnamed_wait = milliseconds(200);
    config_.tail.copy_grace = milliseconds(200);
    config_.tail.partial_line_after = milliseconds(0);
  }

  std::string log(const std::string& name) const { return dir_ / "logs/" + name; }

  struct Running {
    telemetry::Registry registry;
    telemetry::Health health{registry};
    std::unique_ptr<Agent> agent;
    double metric(const std::string& name) const {
      const std::string text = registry.expose();
      const std::size_t at = text.find("\n" + name + " ");
      return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
    }
    bool wait_metric(const std::string& name, double value) const {
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (metric(name) < value && std::chrono::steady_clock::now() < until) {
        std::this_thread::yield();
      }
      return metric(name) >= value;
    }
  };
  std::unique_ptr<Running> start() { return start(collector_); }
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
  // Each line of the file arrived once, in order, under one source with positions 0, 1, ...
  void expect_exactly(const std::vector<std::string>& expected, const std::string& path) {
    EXPECT_EQ(collector_.bodies(path), expected);
  }

  test::TempDir dir_;
  AgentConfig config_;
  test::FakeCollector collector_;
};

TEST_F(AgentTest, ShipsWhatIsThereAndWhatIsAppended) {
  append(log("a.log"), "one\ntwo\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(2));
  append(log("a.log"), "three\n");
  ASSERT_TRUE(collector_.wait_for(3));
  const auto records = collector_.accepted();
  for (std::size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].position, i);
    EXPECT_EQ(records[i].source, records[0].source);
    EXPECT_EQ(records[i].path, log("a.log"));
    EXPECT_EQ(records[i].time, 0U);
    EXPECT_GT(records[i].observed, i == 0 ? 0U : records[i - 1].observed) << "lines keep their order in time";
  }
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"one", "two", "three"}));
}

TEST_F(AgentTest, AFileThatAppearsLaterIsReadFromItsBeginning) {
  config_.files[0].from_start = false;
  auto agent = start();
  append(log("new.log"), "first\n");
  ASSERT_TRUE(collector_.wait_for(1));
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"first"}));
}

TEST_F(AgentTest, TheVeryFirstStartBeginsNearTheEndAtALine) {
  config_.files[0].from_start = false;
  config_.tail.first_start_bytes_max = 20;
  append(log("a.log"), lines(0, 100));  // "line NN\n": 8 bytes each at the end
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(2));
  append(log("a.log"), "last\n");
  ASSERT_TRUE(collector_.wait_for(3));
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"line 98", "line 99", "last"}));
  EXPECT_EQ(collector_.accepted()[0].position, 0U);
}

TEST_F(AgentTest, ARestartGoesOnWhereItStopped) {
  append(log("a.log"), "one\ntwo\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(2));
  stop(agent);
  append(log("a.log"), "three\n");
  append(log("b.log"), "new file\n");
  agent = start();
  ASSERT_TRUE(collector_.wait_for(4));
  stop(agent);
  EXPECT_EQ(collector_.bodies(log("a.log")), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(collector_.bodies(log("b.log")), (std::vector<std::string>{"new file"}));
  EXPECT_EQ(collector_.distinct().size(), 4U);
}

TEST_F(AgentTest, TheLedgerGoesOnOverARestart) {
  append(log("a.log"), "one\ntwo\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(2));
  stop(agent);
  agent = start();
  const std::string text = agent->registry.expose();
  EXPECT_NE(text.find("naru_records_accepted_total{pipeline=\"default\",signal=\"logs\",stage=\"agent\"} 2"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("naru_records_delivered_total{pipeline=\"default\",signal=\"logs\",stage=\"agent\"} 2"),
            std::string::npos);
}

TEST_F(AgentTest, RenameAndCreateKeepsTheOldGenerationAndReadsTheNew) {
  append(log("a.log"), "old 1\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(1));
  std::filesystem::rename(log("a.log"), dir_ / "logs/a.log.1");  // no pattern names it now
  append(dir_ / "logs/a.log.1", "old 2\n");                      // written before the program reopens
  append(log("a.log"), "new 1\n");
  ASSERT_TRUE(collector_.wait_for(3));
  std::map<std::string, test::Arrived> by_body;
  for (const auto& one : collector_.accepted()) {
    by_body[one.body] = one;
  }
  EXPECT_EQ(by_body.at("old 2").source, by_body.at("old 1").source);
  EXPECT_EQ(by_body.at("old 2").position, 1U);
  EXPECT_EQ(by_body.at("old 2").path, log("a.log"));  // the name it was met under
  EXPECT_NE(by_body.at("new 1").source, by_body.at("old 1").source);
  EXPECT_EQ(by_body.at("new 1").position, 0U);
  EXPECT_EQ(collector_.accepted().size(), 3U);
}

TEST_F(AgentTest, RenameInsideThePatternSendsNothingTwice) {
  append(log("a.log"), lines(0, 10));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(10));
  std::filesystem::rename(log("a.log"), log("a.1.log"));
  append(log("a.log"), "new\n");
  ASSERT_TRUE(collector_.wait_for(11));
  append(log("a.1.log"), "late\n");
  ASSERT_TRUE(collector_.wait_for(12));
  EXPECT_EQ(collector_.accepted().size(), 12U);
  EXPECT_EQ(collector_.distinct().size(), 12U);
}

TEST_F(AgentTest, RotationWhileTheAgentIsDownIsFoundByInode) {
  append(log("a.log"), "old 1\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(1));
  stop(agent);
  append(log("a.log"), "old 2\n");
  std::filesystem::rename(log("a.log"), dir_ / "logs/a.log.1");
  append(log("a.log"), "new 1\n");
  agent = start();
  ASSERT_TRUE(collector_.wait_for(3));
  stop(agent);
  const auto bodies = collector_.bodies();
  EXPECT_EQ(std::set<std::string>(bodies.begin(), bodies.end()),
            (std::set<std::string>{"old 1", "old 2", "new 1"}));
  EXPECT_EQ(collector_.distinct().size(), 3U);
}

TEST_F(AgentTest, AnUnlinkedFileIsReadToItsEnd) {
  append(log("a.log"), "one\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(1));
  std::ofstream writer(log("a.log"), std::ios::binary | std::ios::app);
  std::filesystem::remove(log("a.log"));
  writer << "two\nwithout end" << std::flush;
  ASSERT_TRUE(collector_.wait_for(3));  // the unfinished line once the file was quiet
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"one", "two", "without end"}));
  EXPECT_EQ(collector_.distinct().size(), 3U);
}

TEST_F(AgentTest, ATruncatedFileIsANewGeneration) {
  append(log("a.log"), lines(0, 50));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(50));
  overwrite(log("a.log"), "again 0\n");
  ASSERT_TRUE(collector_.wait_for(51));
  const auto records = collector_.accepted();
  EXPECT_EQ(records[50].body, "again 0");
  EXPECT_EQ(records[50].position, 0U);
  EXPECT_NE(records[50].source, records[0].source);
  EXPECT_EQ(agent->metric("naru_agent_lost_by_truncation_bytes_total"), 0);
}

// No look ever sees the file short: only its head, or only the bytes before the checkpoint, tell.
TEST_F(AgentTest, ContentReplacedInPlaceIsANewGeneration) {
  const std::string head = lines(0, 200, "head ");
  append(log("a.log"), head + lines(0, 200, "old "));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(400));
  const auto replace = [&](const std::string& content) {
    std::fstream file(log("a.log"), std::ios::binary | std::ios::in | std::ios::out);
    file << content << std::flush;
  };
  replace(head + lines(0, 300, "new "));  // the same first 1,024 bytes
  ASSERT_TRUE(collector_.wait_for(900));
  replace(lines(0, 600, "other "));
  ASSERT_TRUE(collector_.wait_for(1500));
  EXPECT_EQ(collector_.accepted().size(), 1500U);
  EXPECT_EQ(collector_.distinct().size(), 1500U);
}

// The heart of contracts.md 1: the same file name and the same offsets, other lines.
TEST_F(AgentTest, CopytruncateWithNewLinesAtUsedOffsetsGivesEveryLineItsOwnIdentity) {
  append(log("a.log"), lines(0, 100, "before "));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(100));
  for (int round = 0; round < 3; ++round) {
    std::filesystem::copy_file(log("a.log"), dir_ / ("logs/a.log." + std::to_string(round)));
    overwrite(log("a.log"), lines(0, 100, "round" + std::to_string(round) + " "));  // as long as before
    ASSERT_TRUE(collector_.wait_for(static_cast<std::size_t>(200 + 100 * round)));
  }
  EXPECT_EQ(collector_.accepted().size(), 400U);
  EXPECT_EQ(collector_.distinct().size(), 400U);
  std::set<std::string> sources;
  for (const auto& one : collector_.accepted()) {
    sources.insert(one.source);
  }
  EXPECT_EQ(sources.size(), 4U);
}

// The copy holds lines that were not read when the file was truncated: they are read from it, with the
// positions that they would have had.
TEST_F(AgentTest, TheCopyGoesOnForTheTruncatedFile) {
  append(log("a.log"), lines(0, 10));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(10));
  stop(agent);
  append(log("a.log"), lines(10, 20));
  std::filesystem::copy_file(log("a.log"), dir_ / "logs/a.log.1");
  overwrite(log("a.log"), lines(0, 3, "new "));
  agent = start();
  ASSERT_TRUE(collector_.wait_for(23));
  stop(agent);
  EXPECT_EQ(collector_.accepted().size(), 23U);
  std::map<std::uint64_t, std::string> old;
  for (const auto& one : collector_.accepted()) {
    if (one.source == collector_.accepted()[0].source) {
      old[one.position] = one.body;
    }
  }
  ASSERT_EQ(old.size(), 20U);
  for (const auto& [position, body] : old) {
    EXPECT_EQ(body, "line " + std::to_string(position));
  }
}

TEST_F(AgentTest, ACopyUnderThePatternIsNotReadTwice) {
  config_.files[0].include = {dir_ / "logs/*"};
  config_.tail.copy_grace = std::chrono::hours(1);
  append(log("a.log"), lines(0, 30));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(30));
  std::filesystem::copy_file(log("a.log"), log("a.log.1"));
  append(log("a.log"), "after the copy\n");
  ASSERT_TRUE(collector_.wait_for(31));
  overwrite(log("a.log"), "new\n");
  ASSERT_TRUE(collector_.wait_for(32));
  append(log("b.log"), "another\n");
  ASSERT_TRUE(collector_.wait_for(33));
  EXPECT_EQ(collector_.accepted().size(), 33U);
  EXPECT_EQ(collector_.distinct().size(), 33U);
}

TEST_F(AgentTest, AFileThatBeginsLikeAnotherIsReadOnceItDiffers) {
  config_.tail.copy_grace = std::chrono::hours(1);
  append(log("a.log"), "starting up\nserving 1\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(2));
  append(log("b.log"), "starting up\n");
  append(log("b.log"), "serving 2\n");
  ASSERT_TRUE(collector_.wait_for(4));
  EXPECT_EQ(collector_.bodies(log("b.log")), (std::vector<std::string>{"starting up", "serving 2"}));
}

TEST_F(AgentTest, AFileThatStaysLikeAnotherIsReadAfterTheGrace) {
  append(log("a.log"), "same\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(1));
  append(log("b.log"), "same\n");
  ASSERT_TRUE(collector_.wait_for(2));
  EXPECT_EQ(collector_.distinct().size(), 2U);
}

// Sent, and dead before the answer: the next agent sends the same records, byte for byte.
TEST_F(AgentTest, ACrashBetweenSendingAndTheAnswerSendsTheSameBytes) {
  std::string content =
      lines(0, 5000) + "caf\xC3\xA9\n\xFF\xFE bad\n\n" + std::string(300'000, 'x') + "\nend\n";
  append(log("a.log"), content);
  append(log("b.log"), lines(0, 10, "b "));
  test::FakeCollector deaf;  // takes everything, answers nothing
  deaf.answer_with([](const auto&) { return fail(ErrorCode::kTimeout, "no answer"); });
  auto agent = start(deaf);
  ASSERT_TRUE(deaf.wait_seen(2));
  // What a SIGKILL would leave: the state as it stands while the batches are in flight.
  std::filesystem::copy(dir_ / "state", dir_ / "killed", std::filesystem::copy_options::recursive);
  stop(agent);
  append(log("a.log"), "later\n");

  config_.state_dir = dir_ / "killed";
  agent = start();
  ASSERT_TRUE(collector_.wait_for(5016));
  stop(agent);
  std::map<std::pair<std::string, std::uint64_t>, std::string> sent;
  for (const auto& request : deaf.seen()) {
    for (const auto& one : request) {
      sent[{one.source, one.position}] = one.raw;
    }
  }
  const auto again = collector_.distinct();
  EXPECT_EQ(again.size(), 5016U);
  EXPECT_EQ(collector_.accepted().size(), 5016U);
  std::size_t compared = 0;
  for (const auto& [identity, raw] : sent) {
    const auto same = again.find(identity);
    ASSERT_NE(same, again.end());
    EXPECT_EQ(same->second, raw);  // body, times, attributes
    ++compared;
  }
  EXPECT_GE(compared, 10U);
}

TEST_F(AgentTest, InFlightRecordsThatAreGoneAreCountedAsLost) {
  append(log("a.log"), lines(0, 40));
  test::FakeCollector deaf;
  deaf.answer_with([](const auto&) { return fail(ErrorCode::kTimeout, "no answer"); });
  auto agent = start(deaf);
  ASSERT_TRUE(deaf.wait_seen(1));
  stop(agent);
  overwrite(log("a.log"), "new\n");
  agent = start();
  ASSERT_TRUE(collector_.wait_for(1));
  EXPECT_TRUE(agent->wait_metric("naru_agent_lost_by_truncation_records_total", 40)) << "after the grace";
  const std::string text = agent->registry.expose();
  EXPECT_NE(text.find("naru_records_lost_total{pipeline=\"default\",signal=\"logs\",stage=\"agent\"} 40"),
            std::string::npos);
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"new"}));
}

TEST_F(AgentTest, InFlightRecordsAreFoundInACopy) {
  append(log("a.log"), lines(0, 40));
  test::FakeCollector deaf;
  deaf.answer_with([](const auto&) { return fail(ErrorCode::kTimeout, "no answer"); });
  auto agent = start(deaf);
  ASSERT_TRUE(deaf.wait_seen(1));
  stop(agent);
  std::filesystem::copy_file(log("a.log"), dir_ / "logs/a.log-20261121");
  overwrite(log("a.log"), "new\n");
  agent = start();
  ASSERT_TRUE(collector_.wait_for(41));
  stop(agent);
  EXPECT_EQ(collector_.distinct().size(), 41U);
}

TEST_F(AgentTest, RefusedThenAcceptedArrivesOnce) {
  std::atomic<int> refusals{3};
  collector_.answer_with([&](const auto&) {
    return refusals-- > 0 ? test::FakeCollector::status(503) : test::FakeCollector::ok();
  });
  append(log("a.log"), lines(0, 100));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(100));
  EXPECT_EQ(collector_.accepted().size(), 100U);
  EXPECT_EQ(collector_.distinct().size(), 100U);
}

TEST_F(AgentTest, ARefusedRecordIsOfferedAgainAfterARestart) {
  collector_.answer_with([](const std::vector<test::Arrived>& records) {
    const bool poison = std::ranges::any_of(records, [](const auto& one) { return one.body == "poison"; });
    return poison ? test::FakeCollector::status(400) : test::FakeCollector::ok();
  });
  append(log("a.log"), "a\npoison\nb\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(2));
  stop(agent);
  collector_.answer_with(nullptr);
  agent = start();
  ASSERT_TRUE(collector_.wait([](const auto& accepted) {
    return std::ranges::any_of(accepted, [](const auto& one) { return one.body == "poison"; });
  }));
  stop(agent);
  EXPECT_EQ(collector_.distinct().size(), 3U);
}

TEST_F(AgentTest, OverlongLinesAreCutAndMarkedAndTheFileGoesOn) {
  config_.tail.line_bytes_max = 1'000;
  append(log("a.log"), std::string(5'000, 'x') + "\nshort\n" + std::string(2'000'000, 'y') + "\nend\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(4));
  const auto records = collector_.accepted();
  EXPECT_EQ(records[0].body, std::string(1'000, 'x'));
  EXPECT_EQ(records[0].truncated, 4'000);
  EXPECT_EQ(records[1].body, "short");
  EXPECT_EQ(records[1].truncated, std::nullopt);
  EXPECT_EQ(records[2].body, std::string(1'000, 'y'));
  EXPECT_EQ(records[2].truncated, 1'999'000);
  EXPECT_EQ(records[3].body, "end");
  EXPECT_EQ(agent->metric("naru_agent_truncated_lines_total"), 2);
}

TEST_F(AgentTest, ALineOf64MebibytesIsCutAndTheFileGoesOn) {
  append(log("a.log"), "before\n" + std::string(64u << 20, 'z') + "\nafter\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(3));
  const auto records = collector_.accepted();
  EXPECT_EQ(records[1].body.size(), config_.tail.line_bytes_max);
  EXPECT_EQ(records[1].truncated, (64 << 20) - static_cast<std::int64_t>(config_.tail.line_bytes_max));
  EXPECT_EQ(records[2].body, "after");
}

// A disk that is full or fails: nothing leaves that was not noted, the agent says so and goes on by itself.
TEST_F(AgentTest, ADiskThatRefusesTheStateHoldsEverythingAndAlarms) {
  std::size_t records = 0;
  for (const ErrorCode code : {ErrorCode::kNoSpace, ErrorCode::kIo}) {
    for (const bool from_the_start : {false, true}) {
      const std::string name = code == ErrorCode::kNoSpace ? "space" : "io";
      const std::string path = log(name + (from_the_start ? "1.log" : "0.log"));
      test::FailingFiles files;
      if (from_the_start) {
        files.code = code;
      }
      telemetry::Registry registry;
      telemetry::Health health(registry);
      Agent agent(config_, collector_.factory(), registry, health, files);
      ASSERT_TRUE(agent.start()) << "a full disk is no reason to end";
      if (!from_the_start) {
        append(path, "before\n");
        ASSERT_TRUE(collector_.wait_for(++records));
        files.code = code;
      }
      const std::size_t requests = collector_.seen().size();
      const int refusals = files.refusals;
      append(path, "meanwhile\n");
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (files.refusals < refusals + 2 && std::chrono::steady_clock::now() < until) {
        std::this_thread::yield();
      }
      EXPECT_GE(files.refusals, refusals + 2);
      EXPECT_EQ(collector_.seen().size(), requests) << "something left that was not noted";
      EXPECT_FALSE(health.ready());
      files.code = ErrorCode::kInternal;
      ASSERT_TRUE(collector_.wait_for(++records));
      agent.stop(std::chrono::seconds(20));
      EXPECT_TRUE(health.ready());
    }
  }
  EXPECT_EQ(collector_.distinct().size(), collector_.accepted().size()) << "and nothing came twice";
}

TEST_F(AgentTest, InvalidUtf8GoesAsBytesAndNothingElseDoes) {
  append(log("a.log"), "plain\n\xC3\xA9t\xC3\xA9\nbad \xFF byte\r\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(3));
  const auto records = collector_.accepted();
  EXPECT_FALSE(records[0].bytes);
  EXPECT_FALSE(records[1].bytes);
  EXPECT_EQ(records[1].body, "\xC3\xA9t\xC3\xA9");
  EXPECT_TRUE(records[2].bytes);
  EXPECT_EQ(records[2].body, "bad \xFF byte\r");
}

TEST_F(AgentTest, ALineWithoutItsEndIsSentOnceItIsQuietAndItsLineFeedIsNoRecord) {
  config_.tail.partial_line_after = milliseconds(50);
  append(log("a.log"), "whole\npart");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(2));
  append(log("a.log"), "\nnext\n");
  ASSERT_TRUE(collector_.wait_for(3));
  EXPECT_EQ(collector_.bodies(), (std::vector<std::string>{"whole", "part", "next"}));
  stop(agent);
  append(log("a.log"), "more\n");
  agent = start();
  ASSERT_TRUE(collector_.wait_for(4));
  EXPECT_EQ(collector_.distinct().size(), 4U);
}

TEST_F(AgentTest, ManyFilesAreReadInTurn) {
  config_.ship.connections = 1;
  const std::string big = lines(0, 400'000);
  append(log("big.log"), big);
  for (int i = 0; i < 50; ++i) {
    append(log("small" + std::to_string(i) + ".log"), "small " + std::to_string(i) + "\n");
  }
  std::atomic<std::size_t> before_small{0};
  std::atomic<int> small{0};
  collector_.answer_with([&](const std::vector<test::Arrived>& records) {
    for (const auto& one : records) {
      if (one.body.starts_with("small")) {
        ++small;
      } else if (small < 50) {
        ++before_small;
      }
    }
    return test::FakeCollector::ok();
  });
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(400'050));
  EXPECT_LT(before_small, 200'000U);
  EXPECT_EQ(collector_.distinct().size(), 400'050U);
}

TEST_F(AgentTest, FilesWaitWhileTheCollectorIsAway) {
  config_.ship.in_flight_bytes_max = 1u << 20;
  const std::string content = lines(0, 300'000, std::string(40, 'p'));
  append(log("a.log"), content);
  std::atomic<bool> away{true};
  collector_.answer_with(
      [&](const auto&) { return away ? test::FakeCollector::status(503) : test::FakeCollector::ok(); });
  auto agent = start();
  ASSERT_TRUE(collector_.wait_seen(5));
  EXPECT_LE(agent->metric("naru_agent_in_flight_bytes"), 3e6);
  away = false;
  ASSERT_TRUE(collector_.wait_for(300'000));
  EXPECT_EQ(collector_.distinct().size(), 300'000U);
}

TEST_F(AgentTest, AnUnreadableFileStopsNothingAndIsTriedAgain) {
  std::filesystem::create_symlink(dir_ / "elsewhere", log("broken.log"));
  std::filesystem::create_directory(log("directory.log"));
  append(log("a.log"), "fine\n");
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(1));
  append(dir_ / "elsewhere", "repaired\n");
  ASSERT_TRUE(collector_.wait_for(2));
  append(dir_ / "elsewhere", "and followed\n");  // no directory that is watched tells of it
  ASSERT_TRUE(collector_.wait_for(3));
}

TEST_F(AgentTest, ProgressAddsUp) {
  append(log("a.log"), lines(0, 10));
  auto agent = start();
  ASSERT_TRUE(collector_.wait_for(10));
  stop(agent);
  append(log("a.log"), "x\n");
  agent = start();
  ASSERT_TRUE(collector_.wait_for(11));
  agent->agent->stop(std::chrono::seconds(20));
  const Progress progress = agent->agent->progress();
  EXPECT_EQ(progress.records_sent, 1U);
  EXPECT_EQ(progress.records_acked, 1U);
  EXPECT_EQ(progress.records_in_flight, 0U);
}

TEST_F(AgentTest, ASecondAgentOnTheSameStateIsRefused) {
  auto agent = start();
  telemetry::Registry registry;
  telemetry::Health health(registry);
  Agent second(config_, collector_.factory(), registry, health);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::kConflict);
}

}  // namespace
}  // namespace naru::agent
