#include "core/syslog/syslog.h"

#include <gtest/gtest.h>

namespace naru::syslog {
namespace {

const UnixNanos kObserved = parse_rfc3339("2026-11-21T01:02:10Z").value();

SyslogMessage parse(std::string_view text) {
  return parse_syslog(text, kObserved);
}

TEST(SyslogParser, ReadsRfc5424WithStructuredData) {
  const auto m = parse(
      R"(<165>1 2003-10-11T22:14:15.003Z host.example.com app 42 ID47 [ex@1 iut="3" quote="a\"b]"][x y="z"] text here)");
  EXPECT_EQ(m.facility, 20U);
  EXPECT_EQ(m.severity, 5U);
  EXPECT_EQ(format_rfc3339(m.time), "2003-10-11T22:14:15.003000000Z");
  EXPECT_EQ(m.host, "host.example.com");
  EXPECT_EQ(m.app, "app");
  EXPECT_EQ(m.process_id, "42");
  EXPECT_EQ(m.message_id, "ID47");
  EXPECT_EQ(m.text, "text here");
  std::vector<std::string> parameters;
  EXPECT_TRUE(for_each_parameter(m.structured_data, [&](auto id, auto name, auto value) {
    parameters.push_back(std::string(id) + "." + std::string(name) + "=" + std::string(value));
  }));
  EXPECT_EQ(parameters, (std::vector<std::string>{"ex@1.iut=3", "ex@1.quote=a\"b]", "x.y=z"}));
}

TEST(SyslogParser, ReadsNilPartsAndTheByteOrderMark) {
  const auto m = parse(
      "<34>1 - - - - - - \xEF\xBB\xBF"
      "text\n");
  EXPECT_EQ(m.time, 0U);
  EXPECT_TRUE(m.host.empty() && m.app.empty() && m.process_id.empty() && m.structured_data.empty());
  EXPECT_EQ(m.text, "text");
}

TEST(SyslogParser, ReadsBsdMessagesWithAndWithoutHost) {
  const auto with_host = parse("<34>Nov 21 01:02:03 mymachine su[231]: 'su root' failed");
  EXPECT_EQ(with_host.host, "mymachine");
  EXPECT_EQ(with_host.app, "su");
  EXPECT_EQ(with_host.process_id, "231");
  EXPECT_EQ(with_host.text, "'su root' failed");
  EXPECT_EQ(format_rfc3339(with_host.time), "2026-11-21T01:02:03.000000000Z");
  const auto local = parse("<13>Nov 21 01:02:03 cron: done");
  EXPECT_TRUE(local.host.empty());
  EXPECT_EQ(local.app, "cron");
  EXPECT_EQ(local.text, "done");
}

TEST(SyslogParser, ResolvesYearAndZoneAgainstTheObservedTime) {
  // Seoul is nine hours ahead.
  EXPECT_EQ(format_rfc3339(parse("<13>Nov 21 10:02:03 h a: x").time), "2026-11-21T01:02:03.000000000Z");
  const UnixNanos new_year = parse_rfc3339("2027-01-01T00:00:05Z").value();
  EXPECT_EQ(format_rfc3339(parse_syslog("<13>Dec 31 23:59:59 h a: x", new_year).time),
            "2026-12-31T23:59:59.000000000Z");
  EXPECT_EQ(
      format_rfc3339(
          parse_syslog("<13>Feb 29 10:00:00 h a: x", parse_rfc3339("2028-02-29T10:00:01Z").value()).time),
      "2028-02-29T10:00:00.000000000Z");
}

TEST(SyslogParser, TakesWhateverHasNoHeaderAsText) {
  for (const std::string_view text : {"plain text", "<", "<>x", "<999>x", "<abc>x", "<1", ""}) {
    const auto m = parse(text);
    EXPECT_EQ(m.text, text);
    EXPECT_EQ(m.facility, 1U);
    EXPECT_EQ(m.severity, 5U);
  }
  EXPECT_EQ(parse("<34>just text").text, "just text");
  EXPECT_EQ(parse("<34>1 2026-99-99T00:00:00Z h a p m - x").severity, 2U);
  EXPECT_EQ(parse("<34>1 - h a p m [unclosed x=\"1\" text").severity, 2U);
}

TEST(SyslogFramer, CutsBothFramingsAtEveryChunkBoundary) {
  const std::string stream = std::string("11 <13>a: b\nc\n<13>line one\n5 <1>xy<13>last\n", 44);
  const std::vector<std::string> expected = {"<13>a: b\nc\n", "<13>line one", "<1>xy", "<13>last"};
  for (std::size_t chunk = 1; chunk <= stream.size(); ++chunk) {
    SyslogFramer framer(1024);
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < stream.size(); at += chunk) {
      ASSERT_TRUE(framer.feed(std::string_view(stream).substr(at, chunk), messages));
    }
    EXPECT_EQ(messages, expected) << chunk;
  }
}

TEST(SyslogFramer, CutsLongMessagesAndCountsTheRest) {
  SyslogFramer framer(4);
  std::vector<std::string> messages;
  ASSERT_TRUE(framer.feed("abcdefg\nxy\n8 12345678", messages));
  EXPECT_EQ(messages, (std::vector<std::string>{"abcd", "xy", "1234"}));
  EXPECT_EQ(framer.skipped_bytes(), 7U);
  EXPECT_EQ(framer.cut_messages(), 2U);
}

TEST(SyslogFramer, RefusesABrokenCount) {
  SyslogFramer framer(4);
  std::vector<std::string> messages;
  EXPECT_FALSE(framer.feed("12x", messages));
  SyslogFramer huge(4);
  EXPECT_FALSE(huge.feed("12345678901 x", messages));
}

TEST(SyslogFramer, GivesTheLastLineWhenThePeerCloses) {
  SyslogFramer framer(100);
  std::vector<std::string> messages;
  ASSERT_TRUE(framer.feed("<13>cut off", messages));
  EXPECT_TRUE(messages.empty());
  EXPECT_EQ(framer.finish(), "<13>cut off");
}

}  // namespace
}  // namespace naru::syslog
