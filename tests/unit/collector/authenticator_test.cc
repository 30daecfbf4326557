#include "collector/admit/authenticator.h"

#include <gtest/gtest.h>

namespace naru::collector {
namespace {

net::Peer peer(std::string address, bool loopback, std::string identity = {}) {
  return {std::move(address), loopback, !identity.empty(), std::move(identity)};
}
const net::Peer kLocal = peer("127.0.0.1:5", true);
const net::Peer kRemote = peer("10.0.0.7:5", false);

AuthenticationConfig configured() {
  AuthenticationConfig config;
  config.tokens = {{"agent-token", Role::kAgent}, {"app-token", Role::kClient}};
  config.basic = {{"app", "pass:word", Role::kClient}};
  config.certificates = {{"agent-7", Role::kAgent}};
  return config;
}

TEST(Authenticator, TakesEverybodyWhileNothingIsConfiguredAndTrustsOnlyThisMachine) {
  const Authenticator open{{}};
  EXPECT_EQ(open.role_of(kLocal, "").value(), Role::kAgent);
  EXPECT_EQ(open.role_of(kRemote, "").value(), Role::kClient);
  EXPECT_EQ(open.role_of(kRemote, "Bearer whatever").value(), Role::kClient);
}

TEST(Authenticator, WantsCredentialsFromLoopbackToo) {
  const Authenticator closed(configured());
  for (const net::Peer& one : {kLocal, kRemote}) {
    for (const char* authorization : {"", "Bearer", "Bearer ", "Bearer wrong", "Bearer agent-tokenX",
                                      "agent-token", "Basic !!!", "Basic YXBwOnBhc3M=", "Digest x"}) {
      const auto role = closed.role_of(one, authorization);
      ASSERT_FALSE(role.has_value()) << authorization;
      EXPECT_EQ(role.error().code(), ErrorCode::kUnauthenticated);
    }
  }
}

TEST(Authenticator, GivesTheRoleOfTheCredentials) {
  const Authenticator closed(configured());
  EXPECT_EQ(closed.role_of(kRemote, "Bearer agent-token").value(), Role::kAgent);
  EXPECT_EQ(closed.role_of(kRemote, "bearer app-token").value(), Role::kClient);
  EXPECT_EQ(closed.role_of(kRemote, "Basic YXBwOnBhc3M6d29yZA==").value(), Role::kClient);
  EXPECT_EQ(closed.role_of(peer("10.0.0.7:5", false, "agent-7"), "").value(), Role::kAgent);
  EXPECT_FALSE(closed.role_of(peer("10.0.0.7:5", false, "stranger"), "").has_value());
}

TEST(Authenticator, AnyCertificateCountsWhereThatIsConfigured) {
  AuthenticationConfig config;
  config.certificates = {{"*", Role::kClient}};
  EXPECT_EQ(Authenticator(config).role_of(peer("10.0.0.7:5", false, "anyone"), "").value(), Role::kClient);
  EXPECT_FALSE(Authenticator(config).role_of(kLocal, "").has_value());
}

TEST(Authenticator, APeerInThisProcessIsAnAgent) {
  EXPECT_EQ(Authenticator(configured()).role_of(peer("in-process", true), "").value(), Role::kAgent);
}

}  // namespace
}  // namespace naru::collector
