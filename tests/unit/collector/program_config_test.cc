#include "collector/program_config.h"

#include <gtest/gtest.h>

namespace naru::collector {
namespace {

constexpr const char* kKafka = "kafka: {brokers: 'localhost:9092'}\n";

std::string errors_of(const std::string& text) {
  const auto loaded = config::load_text<ProgramConfig>(kKafka + text, "c.yaml");
  return loaded ? "" : loaded.error().message();
}

TEST(ProgramConfig, HasTheDefaultPortsOnLoopback) {
  const auto loaded = config::load_text<ProgramConfig>(kKafka, "c.yaml");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
  EXPECT_EQ(loaded->grpc_server().address, "127.0.0.1:4317");
  EXPECT_EQ(loaded->http_server().address, "127.0.0.1:4318");
  EXPECT_EQ(loaded->syslog_listener().address, "127.0.0.1:5514");
  EXPECT_EQ(loaded->admin.address, "127.0.0.1:8081");
}

TEST(ProgramConfig, RefusesOpenListenersUnlessTheOperatorSaysSo) {
  EXPECT_NE(errors_of("otlp_http: {address: '0.0.0.0:4318'}").find("otlp_http.address"), std::string::npos);
  EXPECT_NE(errors_of("syslog: {address: '0.0.0.0:5514'}").find("syslog.address"), std::string::npos);
  EXPECT_EQ(errors_of("otlp_http: {address: '0.0.0.0:4318', insecure: true}"), "");
  EXPECT_EQ(
      errors_of(
          "otlp_grpc: {address: '0.0.0.0:4317', tls: {enabled: true, certificate_file: c, key_file: k}}\n"
          "authentication: {tokens: [{token: t, role: agent}]}"),
      "");
  EXPECT_NE(
      errors_of(
          "otlp_grpc: {address: '0.0.0.0:4317', tls: {enabled: true, certificate_file: c, key_file: k}}"),
      "");
}

TEST(ProgramConfig, TellsEveryErrorInOnePass) {
  const std::string errors = errors_of("spil: {}\nretry_after: soon\notlp_grpc: {address: nowhere}\n");
  EXPECT_NE(errors.find("spil"), std::string::npos);
  EXPECT_NE(errors.find("retry_after"), std::string::npos);
  EXPECT_NE(errors.find("otlp_grpc.address"), std::string::npos);
}

TEST(ProgramConfig, RefusesKafkaPropertiesThatBreakGuarantees) {
  const auto loaded =
      config::load_text<ProgramConfig>("kafka: {brokers: b, properties: {acks: '1'}}", "c.yaml");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message().find("acks"), std::string::npos);
}

}  // namespace
}  // namespace naru::collector
