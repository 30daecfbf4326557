#include "store/analyzer.h"

#include <gtest/gtest.h>

namespace naru::store {
namespace {

using Tokens = std::vector<std::string>;

TEST(AnalyzerTest, LowersAndSplitsAtWordBoundaries) {
  EXPECT_EQ(tokens_of("Hello, World! a-b (c)"), (Tokens{"hello", "world", "a", "b", "c"}));
  EXPECT_EQ(tokens_of(""), Tokens{});
  EXPECT_EQ(tokens_of(" ...,,, --- ___ "), Tokens{});
}

TEST(AnalyzerTest, JoinsAcrossPunctuationInsideWordsAndNumbers) {
  EXPECT_EQ(tokens_of("10.0.0.1:8080"), (Tokens{"10.0.0.1", "8080"}));
  EXPECT_EQ(tokens_of("foo.bar it's a:b 1,234.5 x.1 1.x snake_case"),
            (Tokens{"foo.bar", "it's", "a:b", "1,234.5", "x", "1", "1", "x", "snake_case"}));
  EXPECT_EQ(tokens_of("end. next."), (Tokens{"end", "next"}));
}

TEST(AnalyzerTest, FoldsLettersBeyondAscii) {
  EXPECT_EQ(tokens_of("ZÜRICH Ελλάδα МОСКВА ŁÓDŹ"), (Tokens{"zürich", "ελλάδα", "москва", "łódź"}));
}

TEST(AnalyzerTest, TakesIdeographsOneByOneAndHangulAsWords) {
  EXPECT_EQ(tokens_of("東京タワー 나루 로그"), (Tokens{"東", "京", "タワー", "나루", "로그"}));
}

TEST(AnalyzerTest, TreatsBrokenUtf8AsSeparators) {
  EXPECT_EQ(tokens_of("a\xFF"
                      "b\xE6\x9D"),
            (Tokens{"a", "b"}));
}

TEST(AnalyzerTest, CutsLongTokens) {
  const Tokens tokens = tokens_of(std::string(600, 'x'));
  ASSERT_EQ(tokens.size(), 3u);
  EXPECT_EQ(tokens[0].size(), kTokenCharactersMax);
  EXPECT_EQ(tokens[2].size(), 600 - 2 * kTokenCharactersMax);
}

}  // namespace
}  // namespace naru::store
