#include "core/config/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::config {
namespace {

using std::chrono::nanoseconds;
using testing::HasSubstr;

TEST(Duration, ReadsEveryUnitAndSumsThem) {
  EXPECT_EQ(parse_duration("250ms").value(), std::chrono::milliseconds{250});
  EXPECT_EQ(parse_duration("5s").value(), std::chrono::seconds{5});
  EXPECT_EQ(parse_duration("1h30m").value(), std::chrono::minutes{90});
  EXPECT_EQ(parse_duration("7d").value(), std::chrono::hours{168});
  EXPECT_EQ(parse_duration("1.5s").value(), std::chrono::milliseconds{1500});
  EXPECT_EQ(parse_duration("3us4ns").value(), nanoseconds{3004});
  EXPECT_EQ(parse_duration("0").value(), nanoseconds{0});
}

TEST(Duration, SaysWhatIsWrong) {
  const auto why = [](const char* text) { return parse_duration(text).error().message(); };
  EXPECT_THAT(why("5"), HasSubstr("no unit"));
  EXPECT_THAT(why(""), HasSubstr("no number"));
  EXPECT_THAT(why("s"), HasSubstr("no number"));
  EXPECT_THAT(why("-5s"), HasSubstr("no number"));
  EXPECT_THAT(why("5 s"), HasSubstr("unknown unit \" s\""));
  EXPECT_THAT(why("5sec"), HasSubstr("unknown unit \"sec\""));
  EXPECT_THAT(why("1..5s"), HasSubstr("two decimal points"));
  EXPECT_THAT(why("0.5ns"), HasSubstr("finer"));
  EXPECT_THAT(why("106752d"), HasSubstr("too large"));
  EXPECT_THAT(why("99999999999999999999999999s"), HasSubstr("too large"));
  EXPECT_THAT(why("106751d106751d"), HasSubstr("too large"));
}

TEST(Duration, ShowsTheShortestExactForm) {
  for (const char* text : {"0s", "250ms", "1h30m", "7d", "1s500ms", "1ns"}) {
    EXPECT_EQ(format_duration(parse_duration(text).value()), text);
  }
}

TEST(Bytes, ReadsBothFamiliesOfUnits) {
  EXPECT_EQ(parse_bytes("512").value(), 512u);
  EXPECT_EQ(parse_bytes("64MiB").value(), 64u << 20);
  EXPECT_EQ(parse_bytes("1.5KiB").value(), 1536u);
  EXPECT_EQ(parse_bytes("2GB").value(), 2'000'000'000u);
  EXPECT_EQ(parse_bytes("18446744073709551615").value(), ~std::uint64_t{0});
}

TEST(Bytes, SaysWhatIsWrong) {
  const auto why = [](const char* text) { return parse_bytes(text).error().message(); };
  EXPECT_THAT(why("64mb"), HasSubstr("unknown unit \"mb\""));
  EXPECT_THAT(why("1MiB2"), HasSubstr("behind its unit"));
  EXPECT_THAT(why("18446744073709551616"), HasSubstr("too large"));
  EXPECT_THAT(why("20000000TiB"), HasSubstr("too large"));
  EXPECT_THAT(why("0.3B"), HasSubstr("finer"));
}

TEST(Bytes, ShowsTheShortestExactForm) {
  EXPECT_EQ(format_bytes(64u << 20), "64MiB");
  EXPECT_EQ(format_bytes(1500), "1500B");
  EXPECT_EQ(format_bytes(0), "0B");
  EXPECT_EQ(format_bytes(1ull << 41), "2TiB");
}

}  // namespace
}  // namespace naru::config
