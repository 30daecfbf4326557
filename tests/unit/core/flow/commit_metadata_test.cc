#include "core/flow/commit_metadata.h"

#include <gtest/gtest.h>

#include <random>

namespace naru::flow {
namespace {

constexpr CommitPlace kPlace{"cluster-A", "otlp_logs", 100};

TEST(CommitMetadata, IsTheTextOfTheFormat) {
  const CommitMetadata metadata{{{102, 103}, {110, 150}}, "a5d5;a5d4"};
  const std::string text = encode_commit_metadata(kPlace, metadata);
  EXPECT_EQ(text, "v1|cluster-A|otlp_logs|100|2,7+40|a5d5;a5d4");
  const auto parsed = parse_commit_metadata(text, kPlace);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->runs, metadata.runs);
  EXPECT_EQ(parsed->counts, metadata.counts);
}

TEST(CommitMetadata, CanHoldNothing) {
  const std::string text = encode_commit_metadata(kPlace, {});
  EXPECT_EQ(text, "v1|cluster-A|otlp_logs|100||");
  ASSERT_TRUE(parse_commit_metadata(text, kPlace).has_value());
  EXPECT_TRUE(parse_commit_metadata(text, kPlace)->runs.empty());
}

// Mirroring copies metadata unchanged beside a translated offset; a topic can be deleted and made again.
TEST(CommitMetadata, IsIgnoredWhenItIsOfAnotherPlace) {
  const std::string text = encode_commit_metadata(kPlace, {{{102, 103}}, "a1;"});
  EXPECT_FALSE(parse_commit_metadata(text, {"cluster-B", "otlp_logs", 100}));
  EXPECT_FALSE(parse_commit_metadata(text, {"cluster-A", "otlp_spans", 100}));
  EXPECT_FALSE(parse_commit_metadata(text, {"cluster-A", "otlp_logs", 101}));
  EXPECT_FALSE(parse_commit_metadata("v2" + text.substr(2), kPlace));
}

TEST(CommitMetadata, IsIgnoredWhenItIsDamaged) {
  const std::string head = "v1|cluster-A|otlp_logs|100|";
  ASSERT_TRUE(parse_commit_metadata(head + "2,7+40|a1", kPlace));
  for (const char* rest : {"2",
                           "2,|a",
                           ",2|a",
                           "0|a",
                           "0+4|a",
                           "2+0|a",
                           "-2|a",
                           "+2|a",
                           "02|a",
                           "2+|a",
                           "2++1|a",
                           "2 |a",
                           "x|a",
                           "2|a|",
                           "2|a b",
                           "9223372036854775807|a",
                           "5+9223372036854775807|a",
                           "99999999999999999999|a",
                           "2,9223372036854775800|a",
                           "2+1e3|a",
                           "2|\x7f",
                           "2|\xc3\xa4"}) {
    EXPECT_FALSE(parse_commit_metadata(head + rest, kPlace)) << rest;
  }
  EXPECT_FALSE(parse_commit_metadata("", kPlace));
  EXPECT_FALSE(parse_commit_metadata("v1", kPlace));
  EXPECT_FALSE(parse_commit_metadata("v1|cluster-A|otlp_logs|0100|2|a", kPlace));
  EXPECT_FALSE(parse_commit_metadata(head + "2|" + std::string(kCommitCountsMax + 1, 'a'), kPlace));
  EXPECT_FALSE(parse_commit_metadata(head + std::string(kCommitMetadataMax, '1') + "|a", kPlace));
}

TEST(CommitMetadata, IsNotWrittenForNamesThatItCannotCarry) {
  EXPECT_EQ(encode_commit_metadata({"a|b", "t", 1}, {}), "");
  EXPECT_EQ(encode_commit_metadata({"a", "t t", 1}, {}), "");
  EXPECT_EQ(encode_commit_metadata({std::string(5000, 'c'), "t", 1}, {}), "");
}

TEST(CommitMetadata, LeavesOutTheLastRunsWhenTheyDoNotFit) {
  std::vector<OffsetRun> runs;
  for (std::int64_t at = 102; at < 102 + 4 * 5000; at += 4) {
    runs.push_back({at, at + 2});
  }
  const std::vector<OffsetRun> all = runs;
  fit_runs(kPlace, runs);
  ASSERT_LT(runs.size(), all.size());
  EXPECT_GT(runs.size(), 800u);
  EXPECT_TRUE(std::equal(runs.begin(), runs.end(), all.begin()));
  const std::string text = encode_commit_metadata(kPlace, {runs, std::string(kCommitCountsMax, 'a')});
  EXPECT_LE(text.size(), kCommitMetadataMax);
  EXPECT_GT(text.size(), kCommitMetadataMax - 30);
  EXPECT_EQ(parse_commit_metadata(text, kPlace)->runs, runs);
}

// Any text is either refused, or says exactly what its encoding says.
TEST(CommitMetadata, SurvivesRandomDamage) {
  std::size_t taken = 0;
  for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    CommitMetadata metadata;
    std::int64_t at = kPlace.offset;
    for (std::uint64_t i = random() % 6; i > 0; --i) {
      at += 1 + static_cast<std::int64_t>(random() % 20);
      metadata.runs.push_back({at, at + 1 + static_cast<std::int64_t>(random() % 20)});
      at = metadata.runs.back().end;
    }
    metadata.counts = "a1d1;a1d1";
    std::string text = encode_commit_metadata(kPlace, metadata);
    constexpr std::string_view kAlphabet = "0123456789|,+;ad-\n\0x";
    for (std::uint64_t i = random() % 4; i > 0; --i) {
      const std::size_t where = random() % text.size();
      const char byte = kAlphabet[random() % kAlphabet.size()];
      switch (random() % 3) {
        case 0: text[where] = byte; break;
        case 1: text.insert(where, 1, byte); break;
        default: text.erase(where, 1 + random() % 3); break;
      }
      if (text.empty()) {
        break;
      }
    }
    const auto parsed = parse_commit_metadata(text, kPlace);
    if (parsed.has_value()) {
      ++taken;
      std::int64_t before = kPlace.offset;
      for (const OffsetRun& run : parsed->runs) {
        ASSERT_GT(run.begin, before);
        ASSERT_GT(run.end, run.begin);
        before = run.end;
      }
      if (text.find("+1,") == std::string::npos && text.find("+1|") == std::string::npos) {
        ASSERT_EQ(encode_commit_metadata(kPlace, *parsed), text);
      }
    }
  }
  EXPECT_GT(taken, 4'000u);
  EXPECT_LT(taken, 18'000u);
}

}  // namespace
}  // namespace naru::flow
