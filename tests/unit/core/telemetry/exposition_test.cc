#include "core/telemetry/exposition.h"

#include <gtest/gtest.h>

#include <cmath>

namespace naru::telemetry {
namespace {

TEST(Exposition, ReadsWhatTheRegistryWrites) {
  Registry registry;
  registry.counter("naru_things_total", "Things.", {{"name", "a\"b\\c\nd"}, {"stage", "agent"}}).add(7);
  registry.gauge("naru_level", "A level.").set(-2.5);
  registry.gauge("other", "Something else.").set(1);
  const Result<Exposition> read = parse_exposition(registry.expose(), "naru_");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->bad_lines, 0u);
  ASSERT_EQ(read->samples.size(), 2u);
  const auto& things = read->samples[0].name == "naru_things_total" ? read->samples[0] : read->samples[1];
  const auto& level = read->samples[0].name == "naru_level" ? read->samples[0] : read->samples[1];
  EXPECT_EQ(things.labels, (Labels{{"name", "a\"b\\c\nd"}, {"stage", "agent"}}));
  EXPECT_EQ(things.value, 7);
  EXPECT_EQ(level.value, -2.5);
}

TEST(Exposition, TakesWhatTheFormatAllows) {
  const Result<Exposition> read = parse_exposition(
      "# HELP a Help.\n# TYPE a counter\n\n  a 1\r\na{} 2 1700000000000\na { x = \"1\" , } +3\n"
      "a 4 # {trace_id=\"x\"} 0.5\na NaN\na +Inf\na 1e3");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->bad_lines, 0u);
  ASSERT_EQ(read->samples.size(), 7u);
  EXPECT_EQ(read->samples[2].labels, (Labels{{"x", "1"}}));
  EXPECT_EQ(read->samples[2].value, 3);
  EXPECT_TRUE(std::isnan(read->samples[4].value));
  EXPECT_TRUE(std::isinf(read->samples[5].value));
  EXPECT_EQ(read->samples[6].value, 1000);
}

TEST(Exposition, CountsLinesThatAreNoSamples) {
  const Result<Exposition> read = parse_exposition(
      "<html>\na{x=\"1\" 1\na{x=1} 1\na{x=\"\\\na\na one\na 1 two\n{x=\"1\"} 1\na{x=\"1\"y=\"2\"} 1\ngood "
      "1\n");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->bad_lines, 9u);
  ASSERT_EQ(read->samples.size(), 1u);
  EXPECT_EQ(read->samples[0].name, "good");
}

TEST(Exposition, HasALimit) {
  std::string page;
  for (std::size_t i = 0; i < kExpositionSamplesMax; ++i) {
    page += "a 1\n";
  }
  EXPECT_TRUE(parse_exposition(page));
  page += "a 1\n";
  EXPECT_EQ(parse_exposition(page).error().code(), ErrorCode::kTooLarge);
  EXPECT_TRUE(parse_exposition(page, "b"));
}

}  // namespace
}  // namespace naru::telemetry
