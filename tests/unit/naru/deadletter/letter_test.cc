#include "naru/deadletter/letter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/otlp/build.h"
#include "naru/deadletter/export_file.h"
#include "naru/deadletter/replay.h"

namespace naru::deadletter {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr UnixNanos kThen = 1'700'000'000 * kNanosPerSecond + 123'456'789;

bus::DeadLetterHead head() {
  return {.kind = "logs",
          .type = "mapper_parsing_exception",
          .reason = "failed to parse field [body] of type [integer]. Preview of field's value: 'secret'",
          .status = 400,
          .index = "logs-otel-v1-web-2026.11.27",
          .attempts = 1,
          .source = "otlp_logs/3/77",
          .config_hash = "abc",
          .first_failed_at = kThen,
          .failed_at = kThen + 5 * kNanosPerSecond,
          .pipeline = "default"};
}

std::string logs(std::string_view body) {
  otlp::LogsBuilder builder;
  std::string resource;
  otlp::append_string_attribute(resource, otlp::kResourceAttributes, "service.name", "shop");
  builder.begin_resource(resource);
  builder.begin_scope({}, 0);
  builder.add(kThen, 1, std::string(body));
  return builder.take();
}

Letter letter(std::string value = logs("secret 42")) {
  std::vector<bus::Header> headers = bus::dead_letter_headers(head());
  headers.push_back({std::string(bus::kOriginHeader), "cluster/otlp_logs/3/77/1"});
  return make_letter({"naru.deadletter", 2, 9}, 5, "the-id", value, headers);
}

TEST(Letter, ReadsWhatAStageWrote) {
  const Letter read = letter();
  EXPECT_EQ(read.problem, "");
  EXPECT_EQ(read.head.reason, head().reason);
  EXPECT_EQ(read.head.status, 400);
  EXPECT_EQ(read.head.attempts, 1U);
  EXPECT_EQ(read.head.first_failed_at, kThen);
  EXPECT_EQ(read.head.failed_at, kThen + 5 * kNanosPerSecond);
  ASSERT_TRUE(read.origin.has_value());
  EXPECT_EQ(read.origin->index, 1U);
  EXPECT_EQ(position_text(read.position), "naru.deadletter/2/9");
  EXPECT_EQ(decodable(read), otlp::Signal::kLogs);
}

TEST(Letter, SaysWhichHeadersAreMissingOrMalformed) {
  std::vector<bus::Header> headers = bus::dead_letter_headers(head());
  headers.erase(headers.begin());     // kind
  headers[2].value = "four hundred";  // status
  headers[7].value = "yesterday";     // first_failed_at
  const Letter read = make_letter({"t", 0, 0}, 0, "id", "junk", headers);
  EXPECT_EQ(read.problem,
            "naru.dl.kind is missing, naru.dl.status cannot be read, naru.dl.first_failed_at cannot be read");
  EXPECT_EQ(read.head.pipeline, "default") << "the others are read";
  EXPECT_EQ(decodable(read), std::nullopt);
  EXPECT_THAT(to_json(read, Contents::kRedacted), HasSubstr("\"problem\":\"naru.dl.kind is missing"));
  EXPECT_THAT(to_text(read, Contents::kRedacted), HasSubstr("[malformed: "));
}

TEST(Letter, ContentsAreShownOnlyIfAskedFor) {
  for (const std::string& shown :
       {to_json(letter(), Contents::kRedacted), to_text(letter(), Contents::kRedacted),
        to_dlq_object(letter(), Contents::kRedacted)}) {
    EXPECT_THAT(shown, Not(HasSubstr("secret")));
  }
  EXPECT_THAT(to_json(letter(), Contents::kRedacted), HasSubstr(R"("record":{"redacted":true,"bytes":)"));
  const std::string raw = to_json(letter(), Contents::kRaw);
  EXPECT_THAT(raw, HasSubstr(R"("body":"secret 42")"));
  EXPECT_THAT(raw, HasSubstr(R"("resource":{"service.name":"shop"})"));
  EXPECT_THAT(raw, HasSubstr("Preview of field's value: 'secret'"));
  EXPECT_THAT(raw, HasSubstr("\"value\":\""));
  EXPECT_THAT(to_json(letter("junk"), Contents::kRaw), HasSubstr(R"("record":null,"value":"anVuaw==")"));
}

TEST(Letter, WhatAReasonQuotesIsLeftOut) {
  EXPECT_EQ(redact_quotes("field's value: 'it's \"mine\"'"), "field's value: '...'");
  EXPECT_EQ(redact_quotes("For input string: \"a\"b\""), "For input string: \"...\"");
  EXPECT_EQ(redact_quotes("[body] of type [integer]"), "[body] of type [integer]");
  EXPECT_EQ(redact_quotes("cut: 'sec"), "cut: '...'");
  EXPECT_EQ(redact_quotes(""), "");
}

TEST(Letter, ExportHasTheShapeOfDataPreppersObjects) {
  EXPECT_EQ(
      to_dlq_object(letter(), Contents::kRaw),
      R"({"pluginId":"opensearch","pluginName":"opensearch","pipelineName":"default","timestamp":"2023-11-14T22:13:25.123Z",)"
      R"("failedData":{"index":"logs-otel-v1-web-2026.11.27","indexId":"the-id","status":400,)"
      R"("message":"failed to parse field [body] of type [integer]. Preview of field's value: 'secret'",)"
      R"("document":{"time":"2023-11-14T22:13:20.123456789Z","severity_number":0,"severity_text":"","body":"secret 42",)"
      R"("attributes":{},"resource":{"service.name":"shop"}}},"errorType":"mapper_parsing_exception",)"
      R"("source":{"topic":"otlp_logs","partition":3,"offset":77,"recordIndex":1},"attempts":1,)"
      R"("firstFailedAt":"2023-11-14T22:13:20.123Z"})");
}

TEST(Letter, AFilesNameCannotLeaveItsDirectory) {
  const std::array<unsigned char, 16> uuid{};
  EXPECT_EQ(export_name("../a b", kThen, uuid),
            "dlq-v1-_._a_b-opensearch-2023-11-14T22:13:20.123Z-00000000-0000-4000-8000-000000000000");
  EXPECT_THAT(export_name("", kThen, uuid), HasSubstr("dlq-v1-default-opensearch-"));
  EXPECT_LT(export_name(std::string(5'000, 'x'), kThen, uuid).size(), 255U);
}

TEST(Letter, IsFilteredByWhatItSaysAndByItsRecord) {
  const auto holds = [](std::string_view text) {
    const auto filter = LetterFilter::compile(text);
    EXPECT_TRUE(filter.has_value()) << text << ": " << filter.error().message();
    return filter && filter->matches(letter());
  };
  for (const char* text :
       {"dl.kind == 'logs' and dl.status == 400 and dl.attempts == 1", "contains(dl.reason, 'integer')",
        "starts_with(dl.index, 'logs-otel-v1-web')",
        "dl.failed_at >= '2023-11-14' and dl.failed_at < '2023-11-15'",
        "dl.topic == 'naru.deadletter' and dl.partition == 2 and dl.offset == 9 and dl.id == 'the-id'",
        "record.body == 'secret 42'", "record.resource['service.name'] == 'shop'",
        "not exists(record.attributes['x'])", "not exists(record.name)"}) {
    EXPECT_TRUE(holds(text)) << text;
  }
  EXPECT_FALSE(holds("dl.pipeline != 'default'"));
  EXPECT_FALSE(LetterFilter::compile("dl.nothing == 1").has_value());
  EXPECT_FALSE(LetterFilter::compile("dl.kind['x'] == 1").has_value());
}

TEST(Replay, KeepsBytesOriginAndPartition) {
  const auto record = replay_record(letter(), "");
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->topic, "otlp_logs");
  EXPECT_EQ(record->partition, 3);
  EXPECT_EQ(record->key, "the-id");
  EXPECT_EQ(record->value, letter().value);
  EXPECT_EQ(record->timestamp_ms, 5);
  ASSERT_EQ(record->headers.size(), 1U);
  EXPECT_EQ(record->headers[0].key, "naru.origin");
  EXPECT_EQ(record->headers[0].value, "cluster/otlp_logs/3/77/1");
  EXPECT_EQ(replay_record(letter(), "elsewhere")->topic, "elsewhere");
}

TEST(Replay, WhatCannotBeDecodedGoesOnlyWhereAPersonSays) {
  EXPECT_THAT(replay_record(letter("junk"), "").error().message(), HasSubstr("cannot be decoded as logs"));
  EXPECT_TRUE(replay_record(letter("junk"), "elsewhere").has_value());
  Letter lost = letter();
  lost.head.source = "nowhere";
  EXPECT_THAT(replay_record(lost, "").error().message(), HasSubstr("name a topic with --to"));
}

TEST(Replay, GoesAtItsPace) {
  constexpr std::uint64_t kStart = 1'000'000'000;
  Pace pace(10, kStart);
  EXPECT_EQ(pace.take(kStart), 0U);
  EXPECT_EQ(pace.take(kStart), 100'000'000U);
  EXPECT_EQ(pace.take(kStart + 100'000'000), 100'000'000U);
  // A pause is not made up for.
  EXPECT_EQ(pace.take(kStart + 5'000'000'000), 0U);
  EXPECT_LE(pace.take(kStart + 5'000'000'000), 100'000'000U);
  EXPECT_GT(pace.take(kStart + 5'000'000'000), 0U);
}

TEST(RecordPosition, IsThreeParts) {
  const auto position = bus::parse_record_position("naru.deadletter/2/9");
  ASSERT_TRUE(position.has_value());
  EXPECT_EQ(position->topic, "naru.deadletter");
  EXPECT_EQ(position->offset, 9);
  EXPECT_EQ(bus::parse_record_position("t/0/-1")->offset, -1);
  for (const char* text :
       {"", "t", "t/1", "/1/2", "t/-1/2", "t/1/-2", "t/1/x", "t/x/1", "t/1/2 ", "//", "t/1/"}) {
    EXPECT_FALSE(bus::parse_record_position(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace naru::deadletter
