#include "agent/tail/lines.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace naru::agent {
namespace {

struct Record {
  std::string body;
  std::uint64_t cut = 0;
  friend bool operator==(const Record&, const Record&) = default;
};

std::vector<Record> cut(std::string_view bytes, std::size_t limit, bool after_cut, Rest rest,
                        std::size_t* consumed = nullptr) {
  std::vector<Record> records;
  const std::size_t n = for_each_line(bytes, limit, after_cut, rest, [&](const Line& line) {
    records.push_back({std::string(line.body), line.cut});
    return true;
  });
  if (consumed != nullptr) {
    *consumed = n;
  }
  return records;
}

using Records = std::vector<Record>;

TEST(Lines, KeepsEveryByteButTheLineFeed) {
  EXPECT_EQ(cut("a\r\n\n b \n", 100, false, Rest::kWait), (Records{{"a\r"}, {""}, {" b "}}));
}

TEST(Lines, WaitsForTheLineFeedUnlessTheRestIsSent) {
  std::size_t consumed = 0;
  EXPECT_EQ(cut("a\nbc", 100, false, Rest::kWait, &consumed), (Records{{"a"}}));
  EXPECT_EQ(consumed, 2U);
  EXPECT_EQ(cut("a\nbc", 100, false, Rest::kSend, &consumed), (Records{{"a"}, {"bc"}}));
  EXPECT_EQ(consumed, 4U);
}

TEST(Lines, SwallowsTheLineFeedOfARecordThatWasCut) {
  EXPECT_EQ(cut("\na\n", 100, true, Rest::kWait), (Records{{"a"}}));
  EXPECT_EQ(cut("\n\n", 100, true, Rest::kWait), (Records{{""}}));
  EXPECT_EQ(cut("\na\n", 100, false, Rest::kWait), (Records{{""}, {"a"}}));
  EXPECT_EQ(cut("rest\n", 100, true, Rest::kWait), (Records{{"rest"}}));
}

TEST(Lines, CutsOverlongLinesAndSaysByHowMuch) {
  EXPECT_EQ(cut("abcdef\nxy\n", 4, false, Rest::kWait), (Records{{"abcd", 2}, {"xy"}}));
  EXPECT_EQ(cut("abcd\n", 4, false, Rest::kWait), (Records{{"abcd"}}));
}

TEST(Lines, DoesNotCutThroughAUtf8Sequence) {
  EXPECT_EQ(cut("ab\xE2\x82\xAC!\n", 4, false, Rest::kWait), (Records{{"ab", 4}}));
  EXPECT_EQ(cut("ab\xE2\x82\xAC!\n", 5, false, Rest::kWait), (Records{{"ab\xE2\x82\xAC", 1}}));
  EXPECT_EQ(cut("\x80\x80\x80\x80\x80\x80\n", 5, false, Rest::kWait), (Records{{"\x80\x80", 4}}));
}

TEST(Lines, StopsBeforeARecordThatIsNotTaken) {
  int taken = 0;
  EXPECT_EQ(for_each_line("a\nb\nc\n", 100, false, Rest::kWait, [&](const Line&) { return ++taken < 3; }),
            4U);
}

TEST(Lines, SaysWhereEachRecordEnds) {
  std::vector<std::size_t> ends;
  for_each_line("a\n\nbc", 100, false, Rest::kSend, [&](const Line& line) {
    ends.push_back(line.end);
    return true;
  });
  EXPECT_EQ(ends, (std::vector<std::size_t>{2, 3, 5}));
}

// However the file's growth is seen, the records are the same.
TEST(Lines, EveryPairOfChunkBoundariesGivesTheSameRecords) {
  const std::string file = "one\n\ntwo\r\n\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\n\nlonger than the limit\nx\n";
  constexpr std::size_t kLimit = 7;
  const Records whole = cut(file, kLimit, false, Rest::kWait);
  for (std::size_t first = 0; first <= file.size(); ++first) {
    for (std::size_t second = first; second <= file.size(); ++second) {
      Records records;
      std::size_t at = 0;
      for (const std::size_t size : {first, second, file.size()}) {
        std::size_t consumed = 0;
        const bool after_cut = at > 0 && file[at - 1] != '\n';
        const Records more =
            cut(std::string_view(file).substr(at, size - at), kLimit, after_cut, Rest::kWait, &consumed);
        records.insert(records.end(), more.begin(), more.end());
        at += consumed;
      }
      ASSERT_EQ(records, whole) << first << " " << second;
      ASSERT_EQ(at, file.size());
    }
  }
}

// A cut at any byte never makes an empty record out of the line feed that follows.
TEST(Lines, ACutAtAnyByteLosesNoByte) {
  const std::string file = "ab\ncd\n\nef";
  for (std::size_t at = 0; at <= file.size(); ++at) {
    std::string joined;
    for (const Record& record : cut(std::string_view(file).substr(0, at), 100, false, Rest::kSend)) {
      joined += record.body + "|";
    }
    const bool after_cut = at > 0 && file[at - 1] != '\n';
    if (after_cut) {
      joined.pop_back();
      joined += file[at] == '\n' ? "|" : "";
    }
    for (const Record& record : cut(std::string_view(file).substr(at), 100, after_cut, Rest::kSend)) {
      joined += record.body + "|";
    }
    if (after_cut && at == file.size()) {
      joined += "|";
    }
    EXPECT_EQ(joined, "ab|cd||ef|") << at;
  }
}

TEST(Lines, FindsTheFirstLineStart) {
  EXPECT_EQ(first_line_start("ab\ncd", 0), 3U);
  EXPECT_EQ(first_line_start("ab\ncd", 3), std::string_view::npos);
}

}  // namespace
}  // namespace naru::agent
