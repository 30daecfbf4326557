#include "prepper/pipeline/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/unit/prepper/encoding.h"
#include "tests/unit/prepper/otlp_text.h"
#include "tests/unit/prepper/pipeline/running.h"

namespace naru::prepper {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PipelineConfig, EveryErrorInOnePassWithItsPlace) {
  const std::string errors = errors_of(R"(name: Bad Name
source: {filter: 'severity.number > "x"'}
processors:
  - jsn: {}
  - json: {field: nothing, colour: blue}
  - drop: {when: 'severity.number'}
  - set: {field: observedTime, value: x}
  - grok: {patterns: ['%{NOPE}', '(']}
  - json: {on_error: explode}
  - two: {}
    keys: {}
routes:
  - {dataset: Not Valid}
  - {when: 'atributes.x == 1', dataset: ok}
)");
  EXPECT_THAT(errors, HasSubstr("p.yaml:1:"));
  EXPECT_THAT(errors, HasSubstr("there is no processor 'jsn'"));
  EXPECT_THAT(errors, HasSubstr("p.yaml:5:19: processors[1].json.field: 'nothing' is no field of logs"));
  EXPECT_THAT(errors, HasSubstr("colour"));
  EXPECT_THAT(errors, HasSubstr("p.yaml:6:"));
  EXPECT_THAT(errors, HasSubstr("'observedTime' cannot be changed"));
  EXPECT_THAT(errors, HasSubstr("NOPE"));
  EXPECT_THAT(errors, HasSubstr("explode"));
  EXPECT_THAT(errors, HasSubstr("routes[0].dataset: is no data set"));
  EXPECT_THAT(errors, HasSubstr("atributes"));
}

TEST(PipelineConfig, AFieldMustBeOneOfItsSignal) {
  EXPECT_THAT(errors_of("name: p\nsource: {signal: traces}\nprocessors:\n  - json: {}\n"),
              HasSubstr("'body' is no field of traces"));
  EXPECT_THAT(
      errors_of(
          "name: p\nsource: {signal: metrics, filter: 'name == \"x\" and value > 3'}\nprocessors: [drop]\n"),
      "");
}

TEST(Pipeline, StepsThatFailDoWhatOnErrorSays) {
  for (const auto& [on_error, outcome] :
       std::map<std::string, RunOutcome>{{"mark", RunOutcome::kDocument},
                                         {"ignore", RunOutcome::kDocument},
                                         {"drop", RunOutcome::kDropped},
                                         {"dead_letter", RunOutcome::kDeadLetter}}) {
    Running p("  - json: {name: parse, on_error: " + on_error + "}\n");
    EXPECT_EQ(p.run("no json"), outcome) << on_error;
    EXPECT_EQ(p.error(), on_error == "mark" ? "'parse: the text is no JSON object'" : "");
    EXPECT_EQ(p.counted("failures", "parse"), 1u);
    EXPECT_EQ(p.counted("records"), 1u);
  }
}

TEST(Pipeline, ARecordThatGrowsOverItsLimitIsADeadLetter) {
  std::string steps;
  for (int i = 0; i < 30; ++i) {
    steps += "  - set: {field: body, format: '%{body}%{body}'}\n";
  }
  Running p(steps, "limits: {record_bytes_max: 1MiB}");
  EXPECT_EQ(p.run("0123456789"), RunOutcome::kDeadLetter);
  EXPECT_THAT(p.scratch.reason, HasSubstr("grew over limits.record_bytes_max"));
  EXPECT_EQ(p.run("x y"), RunOutcome::kDeadLetter);  // and the next one is not the worse for it
}

// Conditions read times and ids as texts that are made for them: a record that used its limit up must not
// harm them.
TEST(Pipeline, ConditionsWorkOnARecordThatIsFull) {
  Running p(
      "  - set: {field: attributes.a, format: '%{body}%{body}%{body}'}\n"
      "  - drop: {when: 'time < \"2000\" and observedTime > \"2020\" and exists(traceId)'}\n",
      "limits: {record_bytes_max: 64KiB}");
  for (std::size_t size = 21'500; size < 21'900; size += 7) {
    EXPECT_NO_THROW(p.run(std::string(size, 'x')));
    EXPECT_NO_THROW(p.set->find("test")->takes(*p.event));
    for (int i = 0; i < 40; ++i) {
      EXPECT_NO_THROW(p.event->read(0));
    }
  }
}

std::shared_ptr<PipelineSource> source_of(std::vector<std::string> texts) {
  std::vector<PipelineSet::File> files;
  for (std::string& text : texts) {
    files.push_back({"p" + std::to_string(files.size()) + ".yaml", std::move(text)});
  }
  auto set = PipelineSet::compile(files, std::make_shared<EnrichmentStore>());
  EXPECT_TRUE(set) << (set ? "" : set.error().message());
  auto out = std::make_shared<PipelineSource>();
  out->swap_in(*set);
  return out;
}

std::string logs(std::initializer_list<std::string> bodies, std::string_view type = "a") {
  std::string scope_group = bytes_field(1, stamped_scope(100));
  for (const std::string& body : bodies) {
    scope_group += bytes_field(2, log_record(text(body), "", kReceived, kReceived));
  }
  return bytes_field(1, bytes_field(1, attribute(1, "log.type", text(type))) + bytes_field(2, scope_group));
}

std::vector<std::string> indices(const std::vector<Document>& documents) {
  std::vector<std::string> out;
  for (const Document& document : documents) {
    out.push_back(document.index);
  }
  return out;
}

TEST(EncoderWithPipelines, RoutesAndCountsEveryOutput) {
  EncoderConfig config;
  config.pipelines = source_of({R"(name: one
source: {filter: 'resource.attributes["log.type"] == "a"'}
processors:
  - drop: {when: 'body == "drop me"'}
  - json: {when: 'starts_with(body, "{")', on_error: dead_letter}
routes:
  - {when: 'body == "both"', dataset: extra, continue: true}
  - {when: 'body == "twice"', dataset: first, continue: true}
  - {dataset: first}
)"});
  Encoding encoding(std::move(config));
  const auto message =
      encoding.encode(otlp::Signal::kLogs, logs({"plain", "drop me", "{broken", "both", "twice"}));
  const auto documents = encoding.documents();
  EXPECT_THAT(indices(documents),
              ElementsAre("logs-otel-v1-first-2026.01.02", "logs-otel-v1-extra-2026.01.02",
                          "logs-otel-v1-first-2026.01.02", "logs-otel-v1-first-2026.01.02",
                          "logs-otel-v1-first-2026.01.02"));
  EXPECT_EQ(message->records, 5u);
  EXPECT_EQ(message->documents, 5u);
  EXPECT_EQ(message->created, 2u);
  EXPECT_EQ(message->dropped, 1u);
  EXPECT_EQ(message->letters, 1u);
  EXPECT_EQ(message->records + message->created, message->documents + message->dropped + message->letters);
  ASSERT_EQ(encoding.sink.letters.size(), 1u);
  EXPECT_EQ(encoding.sink.letters[0].ordinal, 2u);
  EXPECT_EQ(encoding.sink.letters[0].cause.type, "pipeline");
  EXPECT_THAT(encoding.sink.letters[0].cause.reason, HasSubstr("pipeline one: json: "));
  // Two documents of one record in one data set are two documents.
  EXPECT_NE(documents[3].id, documents[4].id);
}

TEST(EncoderWithPipelines, WhatNoPipelineTakesIsAsWithout) {
  EncoderConfig config;
  config.pipelines = source_of(
      {"name: one\nsource: {filter: 'resource.attributes[\"log.type\"] == \"a\"'}\nprocessors: [drop]\n"});
  Encoding with(std::move(config)), without;
  with.encode(otlp::Signal::kLogs, logs({"x", "y"}, "b"));
  without.encode(otlp::Signal::kLogs, logs({"x", "y"}, "b"));
  const auto got = with.documents(), expected = without.documents();
  ASSERT_EQ(got.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got[i].json, expected[i].json);
    EXPECT_EQ(got[i].id, expected[i].id);
  }
}

TEST(EncoderWithPipelines, IdentityIsThatOfTheRecordAsItCame) {
  EncoderConfig config;
  config.pipelines = source_of({R"(name: forge
processors:
  - set: {field: body, value: changed}
  - set: {field: time, value: '2026-01-02T02:59:00Z'}
  - set: {field: 'attributes["naru.pos"]', value: '9', type: int}
  - set: {field: 'attributes["log.record.uid"]', value: forged}
)"});
  Encoding with(std::move(config)), without;
  with.encode(otlp::Signal::kLogs, logs({"x"}));
  without.encode(otlp::Signal::kLogs, logs({"x"}));
  const auto got = with.documents(), expected = without.documents();
  EXPECT_EQ(got[0].id, expected[0].id);
  EXPECT_THAT(got[0].json, HasSubstr("\"body\":\"changed\""));
  EXPECT_THAT(got[0].json, HasSubstr("\"@timestamp\":\"2026-01-02T02:59:00.000000000Z\""));
}

TEST(EncoderWithPipelines, EveryPipelineThatTakesARecordGetsItUnchanged) {
  EncoderConfig config;
  config.pipelines =
      source_of({"name: one\nprocessors:\n  - set: {field: body, value: one}\nroutes: [{dataset: one}]\n",
                 "name: two\nprocessors:\n  - set: {field: attributes.was, expression: body}\nroutes: "
                 "[{dataset: two}]\n"});
  Encoding encoding(std::move(config));
  encoding.encode(otlp::Signal::kLogs, logs({"x"}));
  const auto documents = encoding.documents();
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_THAT(documents[0].json, HasSubstr("\"body\":\"one\""));
  EXPECT_THAT(documents[1].json, HasSubstr("\"body\":\"x\""));
  EXPECT_THAT(documents[1].json, HasSubstr("\"was\":\"x\""));
}

TEST(EncoderWithPipelines, ANewSetTakesOverBetweenMessages) {
  auto source = source_of({"name: one\nprocessors:\n  - set: {field: body, value: old}\n"});
  EncoderConfig config;
  config.pipelines = source;
  Encoding encoding(std::move(config));
  encoding.encode(otlp::Signal::kLogs, logs({"x"}));
  source->swap_in(source_of({"name: one\nprocessors:\n  - set: {field: body, value: new}\n"})->current());
  encoding.encode(otlp::Signal::kLogs, logs({"x"}), 8);
  const auto documents = encoding.documents();
  EXPECT_THAT(documents[0].json, HasSubstr("\"body\":\"old\""));
  EXPECT_THAT(documents[1].json, HasSubstr("\"body\":\"new\""));
}

constexpr std::string_view kAggregates = R"(name: one
processors:
  - json: {}
  - log_to_metric: {metric: errors, by: [attributes.route], when: 'attributes.status >= 500'}
  - aggregate: {metric: took, unit: ms, by: [attributes.route], value: attributes.took, dataset: points}
)";

TEST(EncoderWithPipelines, AggregatesAreExactAndTheSameWhenReadAgain) {
  EncoderConfig config;
  config.pipelines = source_of({std::string(kAggregates)});
  Encoding encoding(std::move(config));
  const std::string value = logs({R"({"route":"a","took":10,"status":500})", R"({"route":"b","took":2})",
                                  R"({"route":"a","took":30,"status":503})", R"({"route":"a"})"});
  const auto message = encoding.encode(otlp::Signal::kLogs, value);
  const auto documents = encoding.documents();
  ASSERT_EQ(documents.size(), 4u);  // the record without a number, one counter, two distributions
  EXPECT_EQ(message->merged, 3u);
  EXPECT_EQ(message->created, 3u);
  EXPECT_EQ(message->records + message->created, message->documents + message->merged);
  EXPECT_THAT(documents[1].index, HasSubstr("metrics-otel-v1-default-"));
  EXPECT_THAT(documents[1].json, HasSubstr(R"("name":"errors")"));
  EXPECT_THAT(documents[1].json, HasSubstr(R"("value":2)"));
  EXPECT_THAT(documents[2].index, HasSubstr("metrics-otel-v1-points-"));
  EXPECT_THAT(documents[2].json, HasSubstr(R"("count":2,"sum":40,"min":10,"max":30)"));
  encoding.encode(otlp::Signal::kLogs, value, 900);  // sent twice: another offset
  const auto again = encoding.documents();
  ASSERT_EQ(again.size(), 8u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(again[i + 4].id, documents[i].id);
    EXPECT_EQ(again[i + 4].json, documents[i].json);
  }
}

TEST(EncoderWithPipelines, MoreKeysThanAllowedAreAFailureAndNothingIsLost) {
  EncoderConfig config;
  config.pipelines =
      source_of({"name: one\nprocessors:\n  - aggregate: {metric: n, by: [body], keys_max: 2}\n"});
  Encoding encoding(std::move(config));
  const auto message = encoding.encode(otlp::Signal::kLogs, logs({"a", "b", "c", "a"}));
  EXPECT_EQ(message->merged, 3u);
  const auto documents = encoding.documents();
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_THAT(documents[0].json, HasSubstr("more keys than keys_max"));
}

// Buckets of the encoded points hold every value between their bounds.
TEST(ExponentialHistogram, BucketsAddUpAndBoundTheirValues) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    ExponentialHistogram histogram;
    std::vector<double> values;
    for (int i = 0; i < 200; ++i) {
      const double value =
          std::exp(std::uniform_real_distribution<double>(-20, 20)(random)) * (random() % 7 == 0 ? -1 : 1);
      values.push_back(random() % 20 == 0 ? 0 : value);
      histogram.add(values.back());
    }
    std::string bytes;
    histogram.append_fields(bytes);
    otlp::DataPoint point;
    ASSERT_TRUE(otlp::parse(otlp::MetricKind::kExponentialHistogram, bytes, point));
    const auto count_in = [&](std::string_view side, double sign) {
      std::uint64_t total = 0;
      std::int32_t offset = 0;
      std::vector<std::uint64_t> counts;
      otlp::Reader in(side);
      while (in.next()) {
        if (in.field() == 1) {
          offset = static_cast<std::int32_t>(in.scalar() >> 1) ^ -static_cast<std::int32_t>(in.scalar() & 1);
        } else {
          std::string_view packed = in.bytes();
          for (std::size_t at = 0; at < packed.size();) {
            std::uint64_t count = 0;
            for (unsigned shift = 0;; shift += 7) {
              const auto byte = static_cast<unsigned char>(packed[at++]);
              count |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
              if (byte < 0x80) {
                break;
              }
            }
            counts.push_back(count);
          }
        }
      }
      EXPECT_LE(counts.size(), ExponentialHistogram::kBucketsMax + 1);
      const double step = std::ldexp(1.0, -histogram.scale());
      for (std::size_t i = 0; i < counts.size(); ++i) {
        const double low = std::exp2((offset + static_cast<double>(i)) * step),
                     high = std::exp2((offset + static_cast<double>(i) + 1) * step);
        const auto inside = std::ranges::count_if(values, [&](double value) {
          return value * sign > low * (1 - 1e-9) && value * sign <= high * (1 + 1e-9);
        });
        EXPECT_GE(static_cast<std::uint64_t>(inside), counts[i]);
        total += counts[i];
      }
      return total;
    };
    const std::uint64_t positive = count_in(point.positive, 1), negative = count_in(point.negative, -1);
    EXPECT_EQ(positive + negative + point.zero_count, values.size());
  }
}

}  // namespace
}  // namespace naru::prepper
