#include "agent/tail/identity.h"

#include <gtest/gtest.h>

#include <string>

namespace naru::agent {
namespace {

const std::string kContent(5000, 'a');
constexpr Inode kHere{1, 10};
constexpr Inode kOther{1, 11};

KnownFile known_at(const std::string& content, std::uint64_t offset) {
  const std::size_t window = std::min<std::size_t>(offset, kFingerprintBytesMax);
  return {kHere, 0, offset, fingerprint(std::string_view(content).substr(0, kFingerprintBytesMax)),
          fingerprint(std::string_view(content).substr(offset - window, window))};
}

Match match(const KnownFile& known, const Inode& inode, const std::string& now) {
  SeenFile seen;
  seen.inode = inode;
  seen.size = now.size();
  seen.head = std::string_view(now).substr(0, kFingerprintBytesMax);
  if (now.size() >= known.offset) {
    seen.before = std::string_view(now).substr(known.offset - known.window.size, known.window.size);
  }
  return compare(known, seen);
}

std::string numbered(int from, int to) {
  std::string out;
  for (int i = from; i < to; ++i) {
    out += "line " + std::to_string(i) + "\n";
  }
  return out;
}

struct Case {
  const char* name;
  Inode inode;
  std::string now;
  Match expected;
};

TEST(Identity, DecidesByInodeSizePrefixAndWindow) {
  const std::string content = numbered(0, 1000);
  std::string other_head = content;
  other_head[5] = '!';
  std::string other_window = content;
  other_window[4990] = '!';
  std::string other_middle = content;
  other_middle[2000] = '!';  // neither in the prefix nor in the window
  const KnownFile known = known_at(content, 5000);
  const Case cases[] = {
      {"unchanged", kHere, content, Match::kSame},
      {"grown", kHere, content + "more\n", Match::kSame},
      {"cut back to the checkpoint", kHere, content.substr(0, 5000), Match::kSame},
      {"one byte short of the checkpoint", kHere, content.substr(0, 4999), Match::kRewritten},
      {"truncated to nothing", kHere, "", Match::kRewritten},
      {"truncated and grown past the checkpoint", kHere, numbered(7000, 9000), Match::kRewritten},
      {"other head", kHere, other_head, Match::kRewritten},
      {"same head, other bytes before the checkpoint", kHere, other_window, Match::kRewritten},
      {"a change that is not looked at", kHere, other_middle, Match::kSame},
      {"copy", kOther, content, Match::kCopy},
      {"copy that stops at the checkpoint", kOther, content.substr(0, 5000), Match::kCopy},
      {"copy that is not complete", kOther, content.substr(0, 4999), Match::kUnrelated},
      {"other file with the same head", kOther, other_window, Match::kUnrelated},
      {"other file", kOther, numbered(7000, 9000), Match::kUnrelated},
      {"empty other file", kOther, "", Match::kUnrelated},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(match(known, one.inode, one.now), one.expected) << one.name;
  }
}

TEST(Identity, AnEmptyFileHasNoCopies) {
  const KnownFile known = known_at("", 0);
  EXPECT_EQ(match(known, kHere, ""), Match::kSame);
  EXPECT_EQ(match(known, kHere, "first line\n"), Match::kSame);
  EXPECT_EQ(match(known, kOther, "first line\n"), Match::kUnrelated);
}

TEST(Identity, ASmallFileIsToldApartByAllItsBytes) {
  const KnownFile known = known_at("banner\n", 7);
  EXPECT_EQ(match(known, kHere, "banner\nmore\n"), Match::kSame);
  EXPECT_EQ(match(known, kHere, "Banner\nmore\n"), Match::kRewritten);
  EXPECT_EQ(match(known, kOther, "banner\n"), Match::kCopy);
}

TEST(Identity, NothingReadYetIsStillKnownByItsHead) {
  const KnownFile known{kHere, 0, 0, fingerprint("abc"), {}};
  EXPECT_EQ(match(known, kHere, "abcd"), Match::kSame);
  EXPECT_EQ(match(known, kHere, "xbcd"), Match::kRewritten);
  EXPECT_EQ(match(known, kHere, "ab"), Match::kRewritten);
}

// An inode that was given to a new file which begins with the same header line.
TEST(Identity, AnotherTimeOfBirthIsAnotherFile) {
  KnownFile known = known_at("header\n", 7);
  known.born = 100;
  SeenFile seen;
  seen.inode = kHere;
  seen.size = 14;
  seen.head = "header\nline 1\n";
  seen.before = "header\n";
  EXPECT_EQ(compare(known, seen), Match::kSame) << "the file system does not tell";
  seen.born = 100;
  EXPECT_EQ(compare(known, seen), Match::kSame);
  seen.born = 101;
  EXPECT_EQ(compare(known, seen), Match::kRewritten);
}

TEST(Identity, FingerprintsDependOnSize) {
  EXPECT_NE(fingerprint("aaaa"), fingerprint("aaa"));
  EXPECT_TRUE(begins_with("aaaa", fingerprint("aaa")));
  EXPECT_FALSE(begins_with("aa", fingerprint("aaa")));
  EXPECT_TRUE(begins_with("", fingerprint("")));
}

}  // namespace
}  // namespace naru::agent
