#include "alerting/failover/effects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/temp_dir.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;

class Effects : public testing::Test {
 protected:
  std::string read(const std::string& name) const {
    std::ifstream file(directory_ / name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string path(const std::string& name) const { return directory_ / name; }
  static RouteTold told(std::uint64_t epoch, std::uint64_t sequence) {
    RouteTold out;
    out.target = "broker";
    out.from = "main";
    out.to = "sub";
    out.url = "http://sub";
    out.reason = "it is \"CRITICAL\"; $(touch hacked)";
    out.version = {epoch, sequence};
    out.json = R"({"epoch":)" + std::to_string(epoch) + R"(,"sequence":)" + std::to_string(sequence) + "}";
    return out;
  }
  template <class Condition>
  static bool eventually(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (std::chrono::steady_clock::now() < end) {
      if (condition()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    return false;
  }
  test::TempDir directory_;
};

TEST_F(Effects, TheFileNeverGoesBack) {
  EXPECT_TRUE(write_route_file(path("r.json"), told(2, 5)));
  EXPECT_EQ(write_route_file(path("r.json"), told(2, 4)).error().code(), ErrorCode::kConflict);
  EXPECT_EQ(write_route_file(path("r.json"), told(1, 9)).error().code(), ErrorCode::kConflict);
  EXPECT_EQ(read("r.json"), told(2, 5).json + "\n");
  EXPECT_TRUE(write_route_file(path("r.json"), told(3, 1)));
  std::ofstream(directory_ / "r.json") << "garbage";
  EXPECT_TRUE(write_route_file(path("r.json"), told(3, 2)));
  EXPECT_FALSE(write_route_file(path("none/r.json"), told(3, 3)));
}

TEST_F(Effects, ACommandGetsItsTextsInTheEnvironmentAndNoShell) {
  const std::string script =
      "printf '%s|%s|%s|%s|%s' \"$NARU_TARGET\" \"$NARU_ROUTE\" \"$NARU_REASON\" "
      "\"$NARU_EPOCH\" \"$NARU_SEQUENCE\" > " +
      path("out");
  EXPECT_TRUE(run_command({"sh", "-c", script}, told(2, 5), std::chrono::seconds{5}));
  EXPECT_EQ(read("out"), R"(broker|sub|it is "CRITICAL"; $(touch hacked)|2|5)");
  EXPECT_FALSE(std::filesystem::exists("hacked"));
}

TEST_F(Effects, ACommandThatFailsHangsOrIsNotThereSaysSo) {
  using std::chrono::milliseconds;
  EXPECT_THAT(run_command({"sh", "-c", "exit 3"}, told(1, 1), milliseconds{5'000}).error().message(),
              HasSubstr("ended with code 3"));
  EXPECT_THAT(run_command({"/no/such/program"}, told(1, 1), milliseconds{5'000}).error().message(),
              HasSubstr("/no/such/program"));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(run_command({"sh", "-c", "sleep 60 & sleep 60"}, told(1, 1), milliseconds{100}).error().code(),
            ErrorCode::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{10});
}

TEST_F(Effects, TryAgainUntilTheySucceedOrAreSuperseded) {
  telemetry::Registry registry;
  std::atomic<int> tries{0};
  std::atomic<std::uint64_t> last{0};
  Effect effect(
      "test", "broker",
      [&](const RouteTold& task) -> Result<void> {
        last = task.version.sequence;
        return ++tries < 3 ? fail(ErrorCode::kUnavailable, "not now") : Result<void>();
      },
      [] { return true; }, registry);
  effect.tell(told(1, 7));
  EXPECT_TRUE(eventually([&] { return tries == 3; }));
  EXPECT_EQ(last, 7u);
  EXPECT_TRUE(eventually([&] {
    return registry.expose().find("naru_failover_effects_total{kind=\"test\",target=\"broker\"} 1") !=
           std::string::npos;
  }));
}

TEST_F(Effects, OfALeaderThatLeadsNoMoreDoNotRun) {
  telemetry::Registry registry;
  std::atomic<int> tries{0}, asked{0};
  Effect effect(
      "test", "broker",
      [&](const RouteTold&) -> Result<void> {
        ++tries;
        return {};
      },
      [&] {
        ++asked;
        return false;
      },
      registry);
  effect.tell(told(1, 7));
  EXPECT_TRUE(eventually([&] { return asked == 1; }));
  EXPECT_EQ(tries, 0);
}

}  // namespace
}  // namespace naru::alerting
