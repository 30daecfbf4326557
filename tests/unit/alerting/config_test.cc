#include "alerting/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "alerting/program_config.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;

std::string errors_of(const std::string& text) {
  const auto loaded = config::load_text<AlertingConfig>(text, "a.yaml");
  return loaded ? "loaded" : loaded.error().message();
}

TEST(AlertingConfig, ReadsTargetsWebhooksNoticesAndLimits) {
  const AlertingConfig config = config::load_text<AlertingConfig>(R"(
webhooks:
  auth: {hmac_secret: s, hmac_timestamp_header: X-Time}
  mappings:
    - {match: {alertname: /Broker.*/}, target: "broker.{{ $labels.broker }}", level: CRITICAL}
targets:
  - name: broker
    routes: [{name: main, url: "https://a", probe: "https://a/health"}, {name: sub, probe: "tcp://b:1"}]
    fail_back: automatic
    effects: {file: /tmp/r.json, command: [switch, --now]}
notices:
  - {name: chat, kind: slack, url: "https://chat.example/T/B/X", limit: chat}
  - {name: mail, kind: smtp, smtp: "127.0.0.1:25", from: naru@example, to: [ops@example]}
limits: {chat: {per_second: 1}}
)",
                                                                  "a.yaml")
                                    .value();
  EXPECT_EQ(config.webhooks.mappings[0].level, Status::kCritical);
  EXPECT_EQ(config.targets[0].routes[1].probe, "tcp://b:1");
  EXPECT_EQ(config.targets[0].fail_back, FailBack::kAutomatic);
  EXPECT_EQ(config.targets[0].effects.command.size(), 2u);
  EXPECT_EQ(config.notices[1].kind, NoticeKind::kSmtp);
  EXPECT_EQ(config.limits.at("chat").per_second, 1);
}

TEST(AlertingConfig, RefusesASignatureWithoutATime) {
  EXPECT_THAT(errors_of("webhooks: {auth: {hmac_secret: s}}"),
              HasSubstr("webhooks.auth.hmac_timestamp_header: is missing: a signature without a time"));
}

TEST(AlertingConfig, NamesEveryMistakeAndNoSecret) {
  const std::string errors = errors_of(R"(
webhooks: {mappings: [{match: {a: "/(/"}}, {levels: {x: BAD}}]}
targets:
  - {name: t, routes: [{name: a}, {name: a, probe: "gopher://x"}]}
  - {name: t, routes: [{name: a}]}
notices:
  - {name: chat, kind: slack, url: "ftp://secret.example/T/B/X"}
  - {name: mail, kind: smtp}
  - {name: other, kind: webhook, url: "http://a", limit: none}
rules: {directory: /no/such/directory}
)");
  for (const char* part :
       {"match.a", "levels.x: \"BAD\"", "two are named \"a\"", "routes[1].probe", "two are named \"t\"",
        "url: is no http:// or https:// address", "mail needs smtp, from and to", "keeps the limit \"none\"",
        "/no/such/directory cannot be read"}) {
    EXPECT_THAT(errors, HasSubstr(part));
  }
  EXPECT_THAT(errors, testing::Not(HasSubstr("secret.example")));
}

TEST(AlertingProgramConfig, AcceptsTheShippedExample) {
  const auto path = std::filesystem::path(NARU_SOURCE_DIR) / "config" / "alerting.yaml";
  const Result<ProgramConfig> loaded =
      config::load_file<ProgramConfig>(path.string(), [](const std::string&) { return std::nullopt; });
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->kafka.brokers, "127.0.0.1:9092");
  EXPECT_EQ(loaded->admin.address, "127.0.0.1:8083");
}

TEST(AlertingProgramConfig, ListensOnLoopbackUnlessTold) {
  EXPECT_THAT(config::load_text<ProgramConfig>("kafka: {brokers: a:1}\nadmin: {address: 0.0.0.0:1}", "a.yaml")
                  .error()
                  .message(),
              HasSubstr("a.yaml:2:18: admin.address: 0.0.0.0:1 can be reached from other machines"));
}

TEST(AlertingProgramConfig, ReportsMistakesOfEverySectionTogether) {
  const std::string errors =
      config::load_text<ProgramConfig>("targets: [{name: a}]\nnotcies: []\n", "a.yaml").error().message();
  EXPECT_THAT(errors, HasSubstr("kafka.brokers: is missing"));
  EXPECT_THAT(errors, HasSubstr("notcies: is no known key; did you mean \"notices\"?"));
  EXPECT_THAT(errors, HasSubstr("targets[0].routes: is missing"));
}

}  // namespace
}  // namespace naru::alerting
