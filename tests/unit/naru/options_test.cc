#include "naru/up/options.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace naru {
namespace {

TEST(UpOptions, SaysEveryProblemInOnePass) {
  UpOptions options;
  options.data = "/tmp/x";
  options.http = "nonsense";
  options.store = "127.0.0.1:99999";
  options.syslog = "0.0.0.0:5514";
  options.files = {"/no/such/directory/*.log"};
  const auto resolved = resolve(options);
  ASSERT_FALSE(resolved);
  const std::string& message = resolved.error().message();
  EXPECT_EQ(resolved.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(message.find("--http"), std::string::npos) << message;
  EXPECT_NE(message.find("--store"), std::string::npos) << message;
  EXPECT_NE(message.find("--syslog 0.0.0.0:5514"), std::string::npos) << message;
  EXPECT_NE(message.find("the directory /no/such/directory does not exist"), std::string::npos) << message;
}

TEST(UpOptions, AnOpenBindNeedsAWord) {
  UpOptions options;
  options.data = "/tmp/x";
  options.http = "0.0.0.0:8080";
  EXPECT_FALSE(resolve(options));
  options.insecure = true;
  EXPECT_TRUE(resolve(options));
}

TEST(UpOptions, MakesPatternsAbsolute) {
  UpOptions options;
  options.data = "/tmp/x";
  options.files = {"*.log", "/var/log/a.log"};
  const auto resolved = resolve(options);
  ASSERT_TRUE(resolved);
  EXPECT_TRUE(resolved->files[0].starts_with('/'));
  EXPECT_TRUE(resolved->files[0].ends_with("/*.log"));
  EXPECT_EQ(resolved->files[1], "/var/log/a.log");
}

TEST(UpOptions, DataDirectoryFollowsXdg) {
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(default_data_directory().value(), "/state/naru");
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/home/me", 1);
  EXPECT_EQ(default_data_directory().value(), "/home/me/.local/state/naru");
}

}  // namespace
}  // namespace naru
