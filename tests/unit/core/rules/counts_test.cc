#include "core/rules/counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::rules {
namespace {

Counts example() {
  Counts counts;
  counts.from = 10;
  counts.to = 25;
  counts.caught_up_to = 1'700'000'000'123'456'789;
  counts.rules = {
      {7,
       {{{"checkout", "eu"}, {{1'700'000'000, 3, 1, 2, {}}, {1'700'000'001, 1, 0, 0, {{-5, 2}, {9, 1}}}}},
        {{"cart", ""}, {{-1, 1, 0, 0, {}}}}}},
      {8, {{{}, {{5, 1, 0, 0, {}}}}}}};
  return counts;
}

TEST(RuleCounts, ComeBackAsTheyWere) {
  const auto values = encode(example());
  ASSERT_EQ(values.size(), 1u);
  const Counts back = parse_counts(values[0]).value();
  EXPECT_EQ(back.from, 10);
  EXPECT_EQ(back.to, 25);
  EXPECT_EQ(back.caught_up_to, 1'700'000'000'123'456'789u);
  EXPECT_TRUE(back.last);
  ASSERT_EQ(back.rules.size(), 2u);
  ASSERT_EQ(back.rules[0].groups.size(), 2u);
  EXPECT_THAT(back.rules[0].groups[0].labels, testing::ElementsAre("checkout", "eu"));
  EXPECT_EQ(back.rules[0].groups[0].seconds[0].possible, 1u);
  EXPECT_EQ(back.rules[0].groups[0].seconds[0].share, 2u);
  EXPECT_THAT(back.rules[0].groups[0].seconds[1].sketch,
              testing::ElementsAre(std::pair(-5, 2u), std::pair(9, 1u)));
  EXPECT_EQ(back.rules[0].groups[1].seconds[0].second, -1);
  EXPECT_EQ(back.rules[1].rule, 8u);
}

TEST(RuleCounts, AreCutIntoSeveralValuesAndOnlyTheLastSaysSo) {
  const auto values = encode(example(), 60);
  ASSERT_GT(values.size(), 1u);
  std::size_t groups = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Counts part = parse_counts(values[i]).value();
    EXPECT_EQ(part.last, i + 1 == values.size());
    EXPECT_EQ(part.to, 25);
    for (const RuleCount& rule : part.rules) {
      groups += rule.groups.size();
    }
  }
  EXPECT_EQ(groups, 3u);
}

TEST(RuleCounts, RefuseWhatIsCutOffAtAnyByte) {
  const std::string value = encode(example())[0];
  constexpr std::size_t kHead = 26;
  for (std::size_t size = 0; size < value.size(); ++size) {
    const auto parsed = parse_counts(std::string_view(value).substr(0, size));
    // A cut between two groups leaves a shorter value that is whole; any other is refused.
    if (parsed) {
      EXPECT_GE(size, kHead);
      EXPECT_EQ(encode(*parsed)[0].size(), size);
    }
  }
  EXPECT_EQ(parse_counts("\x02" + value.substr(1)).error().code(), ErrorCode::kUnsupported);
}

TEST(RuleCounts, RefuseLengthsThatDoNotFit) {
  std::string value = encode({})[0];
  value += std::string(8, '\0');
  value += "\xff\xff\xff\xff\xff\xff\xff\xff\x7f";  // a number of labels
  EXPECT_FALSE(parse_counts(value));
}

TEST(Feed, IsWrittenAndRead) {
  const Feed feed{"abc-_", "otlp_logs", 12};
  EXPECT_EQ(format_feed(feed), "abc-_/otlp_logs/12");
  EXPECT_EQ(parse_feed("abc-_/otlp_logs/12").value(), feed);
  for (const char* bad : {"a/b/-0", "a/b/007", "", "a/b", "a//1", "a/b/x", "a/b/-1", "/"}) {
    EXPECT_FALSE(parse_feed(bad)) << bad;
  }
}

}  // namespace
}  // namespace naru::rules
