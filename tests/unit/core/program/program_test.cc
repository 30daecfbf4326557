#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/program/flags.h"
#include "core/program/kafka_config.h"
#include "core/program/net_config.h"
#include "core/program/service.h"

namespace naru::program {
namespace {

using testing::HasSubstr;

TEST(ExitCode, TellsMistakesFromFailures) {
  EXPECT_EQ(exit_code(Error(ErrorCode::kInvalidArgument, "")), kExitUsage);
  EXPECT_EQ(exit_code(Error(ErrorCode::kUnavailable, "")), kExitFailure);
  EXPECT_EQ(exit_code(Error(ErrorCode::kConflict, "")), kExitFailure);
}

TEST(ParseFlags, SaysWhoseFlagIsWrongAndWhereTheyAreExplained) {
  const auto parse = [](std::vector<std::string> words) {
    CLI::App app("Does it.", "naru");
    CLI::App* verb = app.add_subcommand("look", "looks");
    bool far = false;
    verb->add_flag("--far", far);
    std::vector<char*> argv;
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    return parse_flags(app, static_cast<int>(argv.size()), argv.data());
  };
  EXPECT_EQ(parse({"naru", "look", "--far"}), std::nullopt);
  EXPECT_EQ(parse({"naru", "look", "--help"}), kExitDone);
  testing::internal::CaptureStdout();
  EXPECT_EQ(parse({"naru", "--version"}), kExitDone);
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              testing::MatchesRegex("naru [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(parse({"naru", "look", "--near"}), kExitUsage);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, testing::StartsWith("naru look: "));
  EXPECT_THAT(text, HasSubstr("--near"));
  EXPECT_THAT(text, HasSubstr("naru look --help"));
}

TEST(ListenerConfig, AnOpenListenerNeedsTlsAndCertificatesOrAWord) {
  const auto load = [](const std::string& text) { return config::load_text<ListenerConfig>(text, "x.yaml"); };
  EXPECT_TRUE(load("address: 127.0.0.1:0"));
  EXPECT_FALSE(load("address: 0.0.0.0:8081"));
  EXPECT_TRUE(load("{address: 0.0.0.0:8081, insecure: true}"));
  const auto without_ca =
      load("{address: 0.0.0.0:1, tls: {enabled: true, certificate_file: a, key_file: b}}");
  ASSERT_FALSE(without_ca);
  EXPECT_THAT(without_ca.error().message(), HasSubstr("authentication"));
  EXPECT_TRUE(load(
      "{address: 0.0.0.0:1, tls: {enabled: true, certificate_file: a, key_file: b, client_ca_file: c}}"));
}

TEST(ListenerConfig, TlsNeedsItsFiles) {
  const auto loaded =
      config::load_text<ListenerConfig>("{address: 127.0.0.1:0, tls: {enabled: true}}", "x.yaml");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message(), HasSubstr("certificate_file"));
}

TEST(KafkaConfig, AMistakeInAPropertyIsAnErrorOfItsLine) {
  const auto loaded = config::load_text<bus::KafkaBusConfig>(
      "brokers: a:1\nproperties:\n  compression.typ: lz4\n  linger.ms: soon\n  retries: 5\n  batch.size: "
      "4096\n",
      "x.yaml");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message(),
              AllOf(HasSubstr("x.yaml:3:20: properties.compression.typ: librdkafka knows no such property"),
                    HasSubstr("x.yaml:4:14: properties.linger.ms: its value is refused"),
                    HasSubstr("x.yaml:5:12: properties.retries: cannot be set"),
                    testing::Not(HasSubstr("batch.size"))));
}

TEST(ClientConfig, RefusesWhatIsNoUrlAndTwoKindsOfCredentials) {
  EXPECT_FALSE(config::load_text<ClientConfig>("url: localhost:9200", "x.yaml"));
  EXPECT_FALSE(
      config::load_text<ClientConfig>("{url: http://h:1, user: a, password: b, token: c}", "x.yaml"));
  const auto loaded = config::load_text<ClientConfig>("{url: https://h:1, user: a, password: b}", "x.yaml");
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->client().basic_password, "b");
}

TEST(KafkaConfig, NamesAPropertyThatWouldBreakAGuarantee) {
  const auto loaded = config::load_text<bus::KafkaBusConfig>(
      "{brokers: h:1, properties: {enable.idempotence: 'false'}}", "x.yaml");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message(), HasSubstr("enable.idempotence"));
}

}  // namespace
}  // namespace naru::program
