#include "console/assets.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

namespace naru::console {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(Assets, HoldEveryFileOfTheFolderByteForByte) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(NARU_CONSOLE_ASSETS)) {
    const auto response = serve("/" + entry.path().filename().string());
    ASSERT_TRUE(response.has_value()) << entry.path() << " is not listed in console/CMakeLists.txt";
    EXPECT_EQ(response->body, read_file(entry.path())) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 10u);
}

TEST(Assets, ServeThePageAtTheRoot) {
  const auto page = serve("/");
  ASSERT_TRUE(page.has_value());
  EXPECT_EQ(page->headers.get("Content-Type"), "text/html; charset=utf-8");
  EXPECT_TRUE(page->body.starts_with("<!doctype html>"));
}

TEST(Assets, ForbidTheBrowserEverythingButThePageItself) {
  for (const char* path : {"/", "/app.js", "/app.css", "/icon.svg"}) {
    const auto response = serve(path);
    ASSERT_TRUE(response.has_value());
    const std::string policy(response->headers.get("Content-Security-Policy"));
    EXPECT_TRUE(policy.starts_with("default-src 'none';")) << policy;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(response->headers.get("X-Content-Type-Options"), "nosniff");
    EXPECT_TRUE(response->headers.get("ETag").starts_with('"'));
  }
  EXPECT_NE(serve("/app.js")->headers.get("ETag"), serve("/app.css")->headers.get("ETag"));
}

TEST(Assets, ReferToNoOtherHostAndBuildNoMarkupFromText) {
  const std::regex other_host("(src|href|import|url\\(|fetch\\()[^\\n]{0,12}(https?:)?//[a-z]");
  for (const auto& entry : std::filesystem::directory_iterator(NARU_CONSOLE_ASSETS)) {
    const std::string text = read_file(entry.path());
    EXPECT_FALSE(std::regex_search(text, other_host)) << entry.path();
    for (const char* sink :
         {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("}) {
      EXPECT_EQ(text.find(sink), std::string::npos) << entry.path() << ": " << sink;
    }
  }
}

TEST(Assets, KnowNothingElse) {
  for (const char* path : {"", "/nothing", "/../CMakeLists.txt", "/app.js/", "app.js"}) {
    EXPECT_FALSE(serve(path).has_value()) << path;
  }
}

}  // namespace
}  // namespace naru::console
