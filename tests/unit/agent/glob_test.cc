#include "agent/tail/glob.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/agent/support.h"

namespace naru::agent {
namespace {

class Glob : public testing::Test {
 protected:
  Glob() {
    for (const char* directory : {"a", "a/b", "a/b/c", ".hidden"}) {
      std::filesystem::create_directory(dir_ / directory);
    }
    for (const char* file :
         {"x.log", "y.txt", "a/x.log", "a/b/x.log", "a/b/c/x.log", ".hidden/x.log", "[z].log"}) {
      test::overwrite(dir_ / file, "");
    }
  }
  std::vector<std::string> files(const std::string& pattern) {
    std::vector<std::string> out;
    expand(
        dir_ / pattern, [this](const std::string& directory) { directories_.insert(directory); },
        [&](const std::string& path) { out.push_back(path.substr(dir_.path().size() + 1)); });
    return out;
  }
  test::TempDir dir_;
  std::set<std::string> directories_;
};

using Paths = std::vector<std::string>;

TEST_F(Glob, MatchesNamesInOneDirectory) {
  EXPECT_EQ(files("*.log"), (Paths{"[z].log", "x.log"}));
  EXPECT_EQ(files("?.txt"), (Paths{"y.txt"}));
  EXPECT_EQ(files("*/x.log"), (Paths{"a/x.log"}));
  EXPECT_EQ(files("[xy].*"), (Paths{"x.log", "y.txt"}));
}

TEST_F(Glob, DoubleStarMatchesAnyDepth) {
  EXPECT_EQ(files("a/**/x.log"), (Paths{"a/x.log", "a/b/x.log", "a/b/c/x.log"}));
  EXPECT_EQ(files("a/**"), (Paths{"a/b/c/x.log", "a/b/x.log", "a/x.log"}));
}

TEST_F(Glob, AFixedNameIsGivenWhetherItExistsOrNot) {
  EXPECT_EQ(files("none.log"), (Paths{"none.log"}));
}

TEST_F(Glob, NamesTheDirectoriesToWatch) {
  files("a/**/x.log");
  EXPECT_EQ(directories_, (std::set<std::string>{dir_ / "a", dir_ / "a/b", dir_ / "a/b/c"}));
  directories_.clear();
  files("x.log");
  EXPECT_EQ(directories_, (std::set<std::string>{dir_.path()}));
}

TEST_F(Glob, FindsTheFixedDirectory) {
  EXPECT_EQ(fixed_directory("/var/log/*.log"), "/var/log");
  EXPECT_EQ(fixed_directory("/var/log/x.log"), "/var/log");
  EXPECT_EQ(fixed_directory("/var/*/x.log"), "/var");
  EXPECT_EQ(fixed_directory("/*.log"), "/");
}

TEST_F(Glob, ExcludesByNameOrByPath) {
  EXPECT_TRUE(excluded("/var/log/a.gz", {"*.gz"}));
  EXPECT_FALSE(excluded("/var/log/a.gz.log", {"*.gz"}));
  EXPECT_TRUE(excluded("/var/log/app/a.log", {"/var/log/app/*"}));
  EXPECT_FALSE(excluded("/var/log/other/a.log", {"/var/log/app/*"}));
}

}  // namespace
}  // namespace naru::agent
