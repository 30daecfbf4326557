#include "naru/ledger/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/net/http_server.h"
#include "core/telemetry/admin.h"
#include "core/telemetry/ledger.h"
#include "naru/up/endpoints.h"
#include "tests/unit/temp_dir.h"

namespace naru {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A program with an admin listener.
class Program {
 public:
  Program() : server_(*net::HttpServer::start({}, telemetry::admin_handler(registry, health_))) {}
  std::string address() const { return server_->endpoint(); }
  telemetry::Registry registry;

 private:
  telemetry::Health health_{registry};
  std::unique_ptr<net::HttpServer> server_;
};

LedgerOptions asking(std::vector<std::string> targets) {
  LedgerOptions out;
  out.targets = std::move(targets);
  out.settle_seconds = 0.5;
  return out;
}

int run(const LedgerOptions& options, std::string& errors) {
  ::testing::internal::CaptureStderr();
  const int code = run_ledger(options);
  errors = ::testing::internal::GetCapturedStderr();
  return code;
}

TEST(LedgerVerb, AddsUpThePrograms) {
  Program agent, prepper;
  const telemetry::StageLedger sent(agent.registry, "agent", "logs", "default");
  const telemetry::StageLedger written(prepper.registry, "writer", "logs", "main");
  sent.accepted.add(2);
  sent.delivered.add(2);
  written.accepted.add(2);
  written.delivered.add(1);
  written.in_flight.set(1);
  std::string errors;
  EXPECT_EQ(run(asking({agent.address(), "http://" + prepper.address()}), errors), 0);
  EXPECT_EQ(errors, "");
  written.in_flight.set(0);
  EXPECT_EQ(run(asking({agent.address(), prepper.address()}), errors), 1);
  EXPECT_THAT(errors, HasSubstr("stage writer"));
}

TEST(LedgerVerb, NamesTheTargetThatDoesNotAnswer) {
  Program agent;
  const telemetry::StageLedger sent(agent.registry, "agent", "logs", "default");
  std::string gone;
  {
    Program stopped;
    gone = stopped.address();
  }
  std::string errors;
  EXPECT_EQ(run(asking({agent.address(), gone}), errors), 1);
  EXPECT_THAT(errors, HasSubstr("target " + gone));
}

TEST(LedgerVerb, ATargetWithoutALedgerIsAnError) {
  Program other;
  std::string errors;
  EXPECT_EQ(run(asking({other.address()}), errors), 1);
  EXPECT_THAT(errors, HasSubstr("no target has a ledger"));
  EXPECT_EQ(run(asking({"nonsense"}), errors), 2);
  EXPECT_THAT(errors, HasSubstr("nonsense"));
}

TEST(LedgerVerb, ReadsOnlyPagesOfMetrics) {
  EXPECT_EQ(metrics_page({200, "text/plain; version=0.0.4", "a 1\n"}).value(), "a 1\n");
  EXPECT_FALSE(metrics_page({200, "text/html", "a 1\n"}));
  EXPECT_FALSE(metrics_page({503, "text/plain", "a 1\n"}));
}

TEST(LedgerVerb, AsksTheRunningPlatformFirst) {
  const test::TempDir data;
  const std::string& directory = data.path();
  EXPECT_EQ(default_targets(directory).size(), 4u);
  ASSERT_TRUE(
      write_endpoints(endpoints_path(directory), {{"console", "127.0.0.1:1"}, {"admin", "127.0.0.1:2"}}));
  EXPECT_THAT(default_targets(directory), ElementsAre("127.0.0.1:2"));
  EXPECT_EQ(read_endpoint(endpoints_path(directory), "store").error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace naru
