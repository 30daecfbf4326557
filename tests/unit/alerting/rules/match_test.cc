#include "alerting/rules/match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/otlp/build.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;

// An encoded LogRecord: body = 5, severity_number = 2, attributes = 6.
struct Record {
  std::string bytes;
  Record& severity(std::uint64_t number) {
    otlp::append_varint_field(bytes, 2, number);
    return *this;
  }
  Record& body(std::string_view text) {
    std::string value;
    otlp::append_bytes_field(value, 1, text);
    otlp::append_bytes_field(bytes, 5, value);
    return *this;
  }
  Record& with(std::string_view key, std::string_view value) {
    otlp::append_string_attribute(bytes, otlp::kLogAttributes, key, value);
    return *this;
  }
  Record& with(std::string_view key, std::int64_t value) {
    otlp::append_int_attribute(bytes, otlp::kLogAttributes, key, value);
    return *this;
  }
  Record& with_bool(std::string_view key, bool value) {
    otlp::append_bool_attribute(bytes, otlp::kLogAttributes, key, value);
    return *this;
  }
};

bool matches(const MatchConfig& config, const Record& record) {
  otlp::LogRecord parsed;
  EXPECT_TRUE(otlp::parse(record.bytes, parsed));
  return Matcher::compile(config).value().matches(parsed);
}

TEST(Matcher, ComparesTheSeverity) {
  const MatchConfig error{.severity_at_least = Severity::kError};
  EXPECT_TRUE(matches(error, Record().severity(17)));
  EXPECT_TRUE(matches(error, Record().severity(24)));
  EXPECT_FALSE(matches(error, Record().severity(16)));
  EXPECT_FALSE(matches(error, Record()));
}

TEST(Matcher, LooksIntoTheBody) {
  EXPECT_TRUE(matches({.body_contains = "refused"}, Record().body("connection refused")));
  EXPECT_FALSE(matches({.body_contains = "Refused"}, Record().body("connection refused")));
  EXPECT_FALSE(matches({.body_contains = "refused"}, Record()));
  EXPECT_TRUE(
      matches({.body_regex = "HTTP/1\\.[01]\" 5\\d\\d "}, Record().body("\"GET / HTTP/1.1\" 503 12")));
  EXPECT_FALSE(matches({.body_regex = "^5"}, Record().body("x5")));
  EXPECT_TRUE(matches({.body_regex = "b.c"}, Record().body("a\xff b\xff"
                                                           "c")));
  EXPECT_FALSE(matches({.body_contains = "x", .body_regex = "y"}, Record().body("y")));
}

TEST(Matcher, ComparesAttributesByText) {
  const MatchConfig config{.attributes = {{"level", "fatal"}, {"tls", "true"}}};
  EXPECT_TRUE(matches(config, Record().with("level", "fatal").with_bool("tls", true)));
  EXPECT_FALSE(matches(config, Record().with("level", "fatal").with_bool("tls", false)));
  EXPECT_FALSE(matches(config, Record().with("level", "fatal")));
  EXPECT_FALSE(matches(config, Record().with("level", "fatally").with_bool("tls", true)));
}

TEST(Matcher, ComparesAttributesByNumber) {
  const MatchConfig at_least{.attributes = {{"status", ">= 500"}}};
  EXPECT_TRUE(matches(at_least, Record().with("status", 500)));
  EXPECT_FALSE(matches(at_least, Record().with("status", 499)));
  EXPECT_TRUE(matches(at_least, Record().with("status", "503")));
  EXPECT_FALSE(matches(at_least, Record().with("status", "5xx")));
  EXPECT_FALSE(matches(at_least, Record().with_bool("status", true)));
  const MatchConfig equal{.attributes = {{"status", "500"}}};
  EXPECT_TRUE(matches(equal, Record().with("status", 500)));
  EXPECT_FALSE(matches(equal, Record().with("status", 501)));
}

TEST(Matcher, ComparesTheResourceByItself) {
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "env", "prod");
  const otlp::Attributes attributes(resource, otlp::kResourceAttributes);
  EXPECT_TRUE(Matcher::compile({.resource = {{"env", "prod"}}}).value().matches_resource(attributes));
  EXPECT_FALSE(Matcher::compile({.resource = {{"env", "test"}}}).value().matches_resource(attributes));
  EXPECT_FALSE(Matcher::compile({.resource = {{"zone", "a"}}}).value().matches_resource(attributes));
}

TEST(Matcher, RefusesWhatCannotBeCompiled) {
  EXPECT_THAT(Matcher::compile({.body_regex = "("}).error().message(), HasSubstr("is no RE2 expression"));
  EXPECT_THAT(Matcher::compile({.attributes = {{"status", ">=many"}}}).error().message(),
              HasSubstr("status: \">=many\" has no number behind >="));
}

TEST(TargetTemplate, PutsAttributesIntoTheText) {
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", "a\npi");
  Record record;
  record.with("broker", "main").with("id", 7).with_bool("up", true).with("empty", "");
  const otlp::Attributes of_resource(resource, otlp::kResourceAttributes);
  const otlp::Attributes of_record(record.bytes, otlp::kLogAttributes);
  const auto render = [&](std::string_view text) {
    return std::string(TargetTemplate::parse(text).value().render(of_resource, of_record));
  };
  EXPECT_EQ(render("broker.main"), "broker.main");
  EXPECT_EQ(render("{resource.service.name}/{attributes.broker}"), "a_pi/main");
  EXPECT_EQ(render("x{attributes.id}{attributes.up}"), "x7true");
  EXPECT_EQ(render("{attributes.none}.{attributes.empty}"), "unknown.unknown");
}

TEST(TargetTemplate, CutsLongTargets) {
  Record record;
  record.with("long", std::string(10'000, 'x'));
  TargetTemplate target = TargetTemplate::parse("{attributes.long}{attributes.long}").value();
  EXPECT_EQ(target.render({}, otlp::Attributes(record.bytes, otlp::kLogAttributes)).size(),
            TargetTemplate::kTargetBytesMax);
}

TEST(TargetTemplate, RefusesUnknownNames) {
  EXPECT_THAT(TargetTemplate::parse("a{x}").error().message(),
              HasSubstr("cannot use {x}; write {resource.KEY}"));
  EXPECT_THAT(TargetTemplate::parse("a{resource.}").error().message(), HasSubstr("cannot use {resource.}"));
  EXPECT_THAT(TargetTemplate::parse("a{resource.x").error().message(), HasSubstr("no closing brace"));
}

}  // namespace
}  // namespace naru::alerting
