#include "core/config/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::config {
namespace {

using testing::HasSubstr;

TEST(BindRule, LetsLoopbackBeOpen) {
  EXPECT_TRUE(check_bind("127.0.0.1:80", {}));
  EXPECT_TRUE(check_bind("[::1]:80", {}));
}

TEST(BindRule, WantsTlsAndAuthenticationOrAWordBeyondLoopback) {
  EXPECT_THAT(check_bind("0.0.0.0:80", {}).error().message(), HasSubstr("no TLS and authentication"));
  EXPECT_THAT(check_bind("0.0.0.0:80", {.tls = true}).error().message(), HasSubstr("no authentication:"));
  EXPECT_THAT(check_bind("0.0.0.0:80", {.authentication = true}).error().message(), HasSubstr("no TLS:"));
  EXPECT_THAT(check_bind("0.0.0.0:80", {}).error().message(), HasSubstr("insecure: true"));
  EXPECT_TRUE(check_bind("0.0.0.0:80", {.tls = true, .authentication = true}));
  EXPECT_TRUE(check_bind("0.0.0.0:80", {.insecure = true}));
  EXPECT_FALSE(check_bind("nonsense", {.insecure = true}));
}

}  // namespace
}  // namespace naru::config
