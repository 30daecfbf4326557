// Processors that take texts apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prepper/processors/date_format.h"
#include "prepper/processors/grok.h"
#include "prepper/processors/web.h"
#include "tests/unit/prepper/pipeline/running.h"

namespace naru::prepper {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(JsonProcessor, FlattensObjectsKeepsArraysAndLosesNoDigit) {
  Running p("  - json: {}\n");
  p.run(
      R"( {"a":1,"b":{"c":"x\ny","d":{"e":null}},"f":[1,{"g":true}],"h":-1.5e3,"big":18446744073709551615,"":"e"} )");
  EXPECT_THAT(p.attributes(), ElementsAre("a=1", "b.c='x\ny'", "f=[1,{g:true}]", "h=-1500d",
                                          "big='18446744073709551615'", "='e'"));
}

TEST(JsonProcessor, OverwritesWhatTheRecordHadAndLeavesItAloneOnFailure) {
  Running p("  - json: {keep: false}\n");
  std::string attributes, body;
  otlp::append_string_attribute(attributes, otlp::kLogAttributes, "level", "old");
  append_value(body, text_value(R"({"level":"new","n":1})"));
  p.run_encoded(body, attributes);
  EXPECT_THAT(p.attributes(), ElementsAre("level='new'", "n=1"));
  EXPECT_EQ(shown(p.event->body()), "");
  std::string broken;
  append_value(broken, text_value(R"({"level":"new","n":)"));
  p.run_encoded(broken, attributes);
  EXPECT_THAT(p.attributes(),
              ElementsAre("level='old'", "naru.pipeline_error='json: the text is no JSON object'"));
  EXPECT_EQ(shown(p.event->body()), R"('{"level":"new","n":')");
}

TEST(JsonProcessor, BoundsFieldsAndDepth) {
  Running p("  - json: {fields_max: 2, depth_max: 2}\n");
  p.run(R"({"a":1,"b":2,"c":3})");
  EXPECT_THAT(p.error(), HasSubstr("more fields than fields_max"));
  p.run(R"({"a":{"b":{"c":{"d":1}}}})");
  EXPECT_THAT(p.attributes(), ElementsAre("a.b={c:{d:1}}"));
  std::string deep(200, '[');
  p.run(R"({"a":)" + deep + std::string(200, ']') + "}");
  EXPECT_THAT(p.error(), HasSubstr("nested too deeply"));
  p.run("[1]");
  EXPECT_THAT(p.error(), HasSubstr("no JSON object"));
}

TEST(JsonProcessor, TwoTextsOfOneRecordDoNotDisturbEachOther) {
  Running p("  - json: {}\n  - json: {field: attributes.inner, prefix: inner.}\n");
  p.run(R"({"first":"esc\taped","inner":"{\"x\":\"y\\tz\"}"})");
  EXPECT_THAT(p.attributes(),
              ElementsAre("first='esc\taped'", "inner='{\"x\":\"y\\tz\"}'", "inner.x='y\tz'"));
}

TEST(GrokProcessor, NamesAndTypesThePartsOfTheFirstPatternThatMatches) {
  Running p(
      "  - grok: {patterns: ['^nothing', '^%{IP:ip} %{NUMBER:took:double} %{INT:n:int}(?: "
      "%{WORD:word})?$']}\n");
  p.run("10.0.0.1 1.5 7");
  EXPECT_THAT(p.attributes(), ElementsAre("ip='10.0.0.1'", "took=1.5d", "n=7"));
  p.run("10.0.0.999 1.5 7");
  EXPECT_EQ(p.error(), "'grok: no pattern matches the text'");
}

TEST(Grok, RefusesUnknownAndCircularPatterns) {
  EXPECT_THAT(expand_grok("%{NOPE}", {}).error().message(), HasSubstr("NOPE"));
  EXPECT_THAT(expand_grok("%{A}", {{"A", "%{B}"}, {"B", "%{A}"}}).error().message(), HasSubstr("circle"));
  EXPECT_THAT(expand_grok("%{A", {}).error().message(), HasSubstr("without its }"));
  EXPECT_EQ(expand_grok("(a)(?<x>[(]b)%{OWN:y:int}", {{"OWN", "(c)"}})->expression, "(a)([(]b)((c))");
  EXPECT_EQ(expand_grok("(a)(?<x>[(]b)%{OWN:y:int}", {{"OWN", "(c)"}})->parts[1].group, 3);
}

// Every usual pattern compiles, and one text for each that must match as a whole.
TEST(Grok, UsualPatternsMatchWhatTheyAreFor) {
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"INT", "-12"},
      {"NUMBER", "+1.5"},
      {"BASE16NUM", "0xfF"},
      {"WORD", "ab_1"},
      {"UUID", "123e4567-e89b-12d3-a456-426614174000"},
      {"MAC", "00:1a:2B:3c:4d:5e"},
      {"IPV4", "255.0.10.1"},
      {"IPV6", "2001:db8::1"},
      {"IPV6", "::ffff:10.0.0.1"},
      {"IPORHOST", "web-1.example.com"},
      {"HOSTPORT", "a.b:8080"},
      {"UNIXPATH", "/var/log/x"},
      {"WINPATH", "C:\\a\\b"},
      {"URI", "https://u:p@h.example:1/x?y=1"},
      {"EMAILADDRESS", "a.b@c.example"},
      {"MONTH", "September"},
      {"DAY", "Tue"},
      {"TIMESTAMP_ISO8601", "2026-01-02T03:04:05.678+09:00"},
      {"HTTPDATE", "02/Jan/2026:03:04:05 +0900"},
      {"SYSLOGTIMESTAMP", "Jan  2 03:04:05"},
      {"LOGLEVEL", "WARNING"},
      {"JAVACLASS", "com.example.A$B"},
      {"QS", "\"a \\\" b\""},
      {"DATE_EU", "2.1.2026"},
      {"DATESTAMP_RFC2822", "Fri, 2 Jan 2026 03:04:05 +0000"},
      {"SYSLOGBASE", "Jan 12 03:04:05 web sshd[12]:"},
      {"MULTILINEDATA", "a\nb"}};
  for (const auto& [name, text] : texts) {
    const auto pattern = expand_grok("^(?:%{" + name + "})$", {});
    ASSERT_TRUE(pattern) << name;
    EXPECT_TRUE(re2::RE2::FullMatch(text, pattern->expression)) << name << " " << text;
  }
  const auto v4 = expand_grok("^(?:%{IPV4})$", {});
  EXPECT_FALSE(re2::RE2::FullMatch("256.0.0.1", v4->expression));
}

TEST(RegexProcessor, TakesNamedGroups) {
  Running p("  - regex: {pattern: 'took (?P<took>[0-9]+) (?P<unit>ms|s)', prefix: t.}\n");
  p.run("it took 12 ms");
  EXPECT_THAT(p.attributes(), ElementsAre("t.took='12'", "t.unit='ms'"));
}

TEST(RegexProcessor, HostileTextsAndPatternsStayLinear) {
  Running p("  - regex: {pattern: '(?P<x>(a+)+)$'}\n");
  const UnixNanos begin = monotonic_now();
  p.run(std::string(100'000, 'a') + "b");
  EXPECT_LT(monotonic_now() - begin, 5 * kNanosPerSecond);
  EXPECT_THAT(errors_of("name: p\nprocessors:\n  - regex: {pattern: '(?P<x>(((a{1000}){1000}){1000}))'}\n"),
              HasSubstr("processors[0]"));
}

TEST(DissectProcessor, CutsAtDelimiters) {
  Running p("  - dissect: {pattern: '[%{time}] %{level->} %{?} %{n:int}: %{rest}'}\n");
  p.run("[10:00] WARN    x 12: and: more");
  EXPECT_THAT(p.attributes(), ElementsAre("time='10:00'", "level='WARN'", "n=12", "rest='and: more'"));
  p.run("no");
  EXPECT_THAT(p.error(), HasSubstr("does not begin"));
  p.run("[10:00] WARN x 12");
  EXPECT_THAT(p.error(), HasSubstr("delimiter"));
}

TEST(LogfmtProcessor, ReadsQuotedAndBareValues) {
  Running p("  - logfmt: {}\n");
  p.run(R"(level=info msg="a \"b\"\n" took=1.5 flag empty=)");
  EXPECT_THAT(p.attributes(), ElementsAre("level='info'", "msg='a \"b\"\n'", "took='1.5'", "empty=''"));
  p.run(R"(a="never ends)");
  EXPECT_THAT(p.error(), HasSubstr("does not end"));
}

TEST(KeyValueProcessor, SeparatorsAreFree) {
  Running p("  - key_value: {pair_separator: ';', separator: ':='}\n");
  p.run("a:=1; b := 'x y' ;nothing;c:=");
  EXPECT_THAT(p.attributes(), ElementsAre("a='1'", "b='x y'", "c=''"));
}

TEST(CsvProcessor, QuotesTypesAndColumns) {
  Running p("  - csv: {columns: [a, 'n:int', '', d]}\n");
  p.run(R"("x, ""y""",12,left out,z)");
  EXPECT_THAT(p.attributes(), ElementsAre("a='x, \"y\"'", "n=12", "d='z'"));
  p.run("1,2");
  EXPECT_THAT(p.error(), HasSubstr("fewer columns"));
  p.run("1,2,3,4,5");
  EXPECT_THAT(p.error(), HasSubstr("more columns"));
  p.run(R"("a,2,3,4)");
  EXPECT_THAT(p.error(), HasSubstr("does not end"));
}

TEST(SyslogProcessor, SetsBodySeverityTimeAndAttributes) {
  Running p("  - syslog: {}\n");
  p.run(R"(<34>1 2026-01-01T00:00:00Z h app 7 id [e k="v"] text)");
  EXPECT_EQ(shown(p.event->body()), "'text'");
  EXPECT_EQ(p.event->log().severity_number, 18);
  EXPECT_EQ(format_rfc3339(p.event->time()), "2026-01-01T00:00:00.000000000Z");
  EXPECT_EQ(p.attribute("syslog.structured_data.e.k"), "'v'");
  p.run("no priority");
  EXPECT_THAT(p.error(), HasSubstr("priority"));
}

TEST(UrlProcessor, TakesUrlsApartAndNeverKeepsAPassword) {
  Running p("  - url: {field: body, query_parameters: true}\n");
  p.run("https://alice:secret@shop.example:8443/a/b?x=1&y=%41+b#top");
  EXPECT_THAT(p.attributes(),
              ElementsAre("url.fragment='top'", "url.query='x=1&y=%41+b'", "url.scheme='https'",
                          "url.username='alice'", "url.domain='shop.example'", "url.port=8443",
                          "url.path='/a/b'", "url.query.x='1'", "url.query.y='A b'"));
  p.run("/only/path");
  EXPECT_THAT(p.attributes(), ElementsAre("url.path='/only/path'"));
  p.run("http://[2001:db8::1]/x");
  EXPECT_EQ(p.attribute("url.domain"), "'[2001:db8::1]'");
  p.run("http://h:99999/");
  EXPECT_THAT(p.error(), HasSubstr("port"));
  p.run("a b");
  EXPECT_THAT(p.error(), HasSubstr("blank"));
}

TEST(UserAgent, NamesBrowsersSystemsBotsAndTools) {
  const auto said = [](std::string_view text) {
    const UserAgent agent = parse_user_agent(text);
    return std::string(agent.name) + "/" + std::string(agent.version) + " " + std::string(agent.os) + " " +
           std::string(agent.os_version) + " " + std::string(agent.device);
  };
  EXPECT_EQ(said("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
                 "Chrome/120.0.0.0 Safari/537.36 Edg/120.0.1"),
            "Edge/120.0.1 Windows 10 Desktop");
  EXPECT_EQ(said("Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
                 "Gecko) Version/17.1 Mobile/15E148 Safari/604.1"),
            "Safari/17.1 iOS 17_1 Mobile");
  EXPECT_EQ(said("Mozilla/5.0 (Linux; Android 13; SM-S911N) AppleWebKit/537.36 Chrome/112.0.0.0 Mobile "
                 "Safari/537.36"),
            "Chrome/112.0.0.0 Android 13 Mobile");
  EXPECT_EQ(said("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
            "Googlebot/2.1   Bot");
  EXPECT_EQ(said("curl/8.5.0"), "curl/8.5.0   Tool");
  EXPECT_EQ(said(""), "/   ");
}

TEST(DateFormat, ReadsTheFormsOfLogs) {
  const TimeZone utc = *TimeZone::load("UTC");
  const auto read = [&](std::string_view form, std::string_view text, const TimeZone& zone) {
    const auto time = DateFormat::compile(form)->parse(text, zone, kReceived);
    return time ? format_rfc3339(*time) : "none";
  };
  EXPECT_EQ(read("iso8601", "2026-01-02T03:04:05.5+09:00", utc), "2026-01-01T18:04:05.500000000Z");
  EXPECT_EQ(read("iso8601", "2026-01-02 03:04:05,123", utc), "2026-01-02T03:04:05.123000000Z");
  EXPECT_EQ(read("iso8601", "2026-01-02", utc), "2026-01-02T00:00:00.000000000Z");
  EXPECT_EQ(read("unix", "1767322800.25", utc), "2026-01-02T03:00:00.250000000Z");
  EXPECT_EQ(read("unix_ms", "1767322800123", utc), "2026-01-02T03:00:00.123000000Z");
  EXPECT_EQ(read("dd/MMM/yyyy:HH:mm:ss Z", "02/Jan/2026:12:00:01 +0900", utc),
            "2026-01-02T03:00:01.000000000Z");
  EXPECT_EQ(read("MMM d HH:mm:ss", "Dec 31 23:59:59", utc), "2025-12-31T23:59:59.000000000Z");  // last year
  EXPECT_EQ(read("MMM d HH:mm:ss", "Jan  2 02:00:00", utc), "2026-01-02T02:00:00.000000000Z");
  EXPECT_EQ(read("M/d/yy h:mm:ss a", "1/2/26 12:04:05 AM", utc), "2026-01-02T00:04:05.000000000Z");
  EXPECT_EQ(read("EEE, dd MMM yyyy HH:mm:ss z", "Fri, 02 Jan 2026 03:04:05 GMT", utc),
            "2026-01-02T03:04:05.000000000Z");
  EXPECT_EQ(read("yyyy-MM-dd'T'HH:mm", "2026-07-01T12:00", *TimeZone::load("Europe/Berlin")),
            "2026-07-01T10:00:00.000000000Z");
  EXPECT_EQ(read("yyyy-MM-dd'T'HH:mm", "2026-01-01T12:00", *TimeZone::load("Asia/Seoul")),
            "2026-01-01T03:00:00.000000000Z");
  EXPECT_EQ(read("yyyy-MM-dd", "2025-02-29", utc), "none");
  EXPECT_EQ(read("yyyy-MM-dd", "2024-02-29", utc), "2024-02-29T00:00:00.000000000Z");
  EXPECT_EQ(read("yyyy-MM-dd", "1969-12-31", utc), "none");
  EXPECT_EQ(read("iso8601", "2026-01-02T25:00:00Z", utc), "none");
  EXPECT_EQ(read("iso8601", "2026-01-02T03:00:00Z and more", utc), "none");
  EXPECT_FALSE(DateFormat::compile("yyyy-QQ"));
  EXPECT_FALSE(TimeZone::load("Mars/Olympus"));
}

TEST(DateProcessor, TriesItsFormatsInOrder) {
  Running p("  - date: {field: attributes.t, formats: [unix_ms, iso8601], keep: false}\n");
  std::string body, attributes;
  append_value(body, text_value("x"));
  otlp::append_int_attribute(attributes, otlp::kLogAttributes, "t", 1767322800123);
  p.run_encoded(body, attributes);
  EXPECT_EQ(format_rfc3339(p.event->time()), "2026-01-02T03:00:00.123000000Z");
  EXPECT_EQ(p.attributes().size(), 0u);
  p.run("x");
  EXPECT_THAT(p.error(), HasSubstr("has no time"));
}

}  // namespace
}  // namespace naru::prepper
