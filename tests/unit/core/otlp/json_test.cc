#include "core/otlp/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/otlp/build.h"

namespace naru::otlp {
namespace {

std::string decode(Signal signal, std::string_view json) {
  auto out = request_from_json(signal, json);
  EXPECT_TRUE(out.has_value()) << out.error().message();
  return out.value_or("");
}

std::string reason(Signal signal, std::string_view json) {
  auto out = request_from_json(signal, json);
  if (out) {
    return "accepted";
  }
  EXPECT_EQ(out.error().code(), ErrorCode::kInvalidArgument);
  return out.error().message();
}

// The first record of the first scope of the first resource.
std::string_view first_record(std::string_view request, ScopeGroup& scope, ResourceGroup& resource) {
  Messages resources = resource_groups(request);
  EXPECT_TRUE(resources.next());
  EXPECT_TRUE(parse(resources.bytes(), resource));
  Messages scopes = scope_groups(resource);
  EXPECT_TRUE(scopes.next());
  EXPECT_TRUE(parse(scopes.bytes(), scope));
  Messages entries = records(scope);
  EXPECT_TRUE(entries.next());
  return entries.bytes();
}

TEST(RequestFromJson, ReadsALogRecordAsItsProtobufForm) {
  const std::string request = decode(Signal::kLogs, R"({"resourceLogs":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"web"}}],"droppedAttributesCount":2},"schemaUrl":"r",
    "scopeLogs":[{"scope":{"name":"lib","version":"1"},"schemaUrl":"s","logRecords":[{
      "timeUnixNano":"1544712660300000000","observedTimeUnixNano":1544712660300000001,
      "severityNumber":10,"severityText":"Information","traceId":"5B8EFFF798038103D269B633813FC60C",
      "spanId":"eee19b7ec3c1b174","flags":1,"eventName":"e","body":{"stringValue":"Example"},
      "attributes":[{"key":"i","value":{"intValue":"-7"}},{"key":"b","value":{"boolValue":false}},
        {"key":"d","value":{"doubleValue":1.5}},{"key":"y","value":{"bytesValue":"AAEC"}},
        {"key":"a","value":{"arrayValue":{"values":[{"intValue":1},{"stringValue":"x"}]}}},
        {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}},
        {"key":"n","value":{}}],"unknownThing":{"a":[1,2]}}]}]}]})");
  ScopeGroup scope;
  ResourceGroup resource;
  LogRecord record;
  ASSERT_TRUE(parse(first_record(request, scope, resource), record));
  EXPECT_EQ(resource.attributes().find("service.name")->bytes, "web");
  EXPECT_EQ(resource.schema_url, "r");
  EXPECT_EQ(scope.schema_url, "s");
  EXPECT_EQ(record.time, 1544712660300000000U);
  EXPECT_EQ(record.observed_time, 1544712660300000001U);
  EXPECT_EQ(record.severity_number, 10);
  EXPECT_EQ(record.severity_text, "Information");
  EXPECT_EQ(to_hex(record.trace_id), "5b8efff798038103d269b633813fc60c");
  EXPECT_EQ(to_hex(record.span_id), "eee19b7ec3c1b174");
  EXPECT_EQ(record.flags, 1U);
  EXPECT_EQ(record.event_name, "e");
  AnyValue body;
  ASSERT_TRUE(parse(record.body, body));
  EXPECT_EQ(body.bytes, "Example");
  const Attributes attributes = record.attributes();
  EXPECT_EQ(attributes.find("i")->integer, -7);
  EXPECT_EQ(attributes.find("b")->kind, AnyValue::Kind::kBool);
  EXPECT_EQ(attributes.find("d")->real, 1.5);
  EXPECT_EQ(attributes.find("y")->bytes, std::string_view("\0\1\2", 3));
  EXPECT_EQ(attributes.find("a")->kind, AnyValue::Kind::kArray);
  EXPECT_EQ(attributes.find("m")->kind, AnyValue::Kind::kMap);
  EXPECT_EQ(attributes.find("n")->kind, AnyValue::Kind::kEmpty);
}

TEST(RequestFromJson, GivesTheBytesThatAProtobufSenderSends) {
  std::string record;
  append_fixed64_field(record, 1, 7);
  append_varint_field(record, 2, 9);
  append_bytes_field(record, 3, "INFO");
  std::string body;
  append_bytes_field(body, 1, "text");
  append_bytes_field(record, 5, body);
  append_int_attribute(record, kLogAttributes, "n", 5);
  const std::string request = decode(
      Signal::kLogs,
      R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":7,"severityNumber":9,"severityText":"INFO",
          "body":{"stringValue":"text"},"attributes":[{"key":"n","value":{"intValue":5}}],"flags":0}]}]}]})");
  // Message lengths are padded varints, so the contents are compared.
  ScopeGroup scope;
  ResourceGroup resource;
  LogRecord expected, found;
  ASSERT_TRUE(parse(record, expected));
  ASSERT_TRUE(parse(first_record(request, scope, resource), found));
  EXPECT_EQ(found.body, expected.body);
  EXPECT_EQ(found.time, expected.time);
  EXPECT_EQ(found.severity_text, expected.severity_text);
  EXPECT_EQ(found.attributes().find("n")->integer, 5);
  EXPECT_FALSE(resource.resource.data() != nullptr);
}

TEST(RequestFromJson, ReadsSpans) {
  const std::string request = decode(Signal::kTraces, R"({"resourceSpans":[{"scopeSpans":[{"spans":[{
    "traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","parentSpanId":"1001020304050607",
    "name":"GET /","kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2","status":{"code":2,"message":"bad"},
    "events":[{"timeUnixNano":"3","name":"ev"}],"links":[{"traceId":"000102030405060708090a0b0c0d0e0f",
    "spanId":"0001020304050607","flags":256}],"droppedEventsCount":4,"flags":257,"traceState":"a=b"}]}]}]})");
  ScopeGroup scope;
  ResourceGroup resource;
  Span span;
  ASSERT_TRUE(parse(first_record(request, scope, resource), span));
  EXPECT_EQ(span.name, "GET /");
  EXPECT_EQ(span.kind, 2);
  EXPECT_EQ(span.start, 1U);
  EXPECT_EQ(span.end, 2U);
  EXPECT_EQ(span.status_code, 2);
  EXPECT_EQ(span.status_message, "bad");
  EXPECT_EQ(span.dropped_events_count, 4U);
  EXPECT_EQ(span.flags, 257U);
  EXPECT_EQ(to_hex(span.parent_span_id), "1001020304050607");
  Messages events = span.events();
  ASSERT_TRUE(events.next());
  SpanEvent event;
  ASSERT_TRUE(parse(events.bytes(), event));
  EXPECT_EQ(event.name, "ev");
}

TEST(RequestFromJson, ReadsEveryKindOfMetric) {
  const std::string request = decode(Signal::kMetrics, R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[
    {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1","asDouble":"NaN"},{"asInt":"-3"},{"asDouble":0}]}},
    {"name":"s","sum":{"dataPoints":[{"asInt":5}],"aggregationTemporality":2,"isMonotonic":true}},
    {"name":"h","histogram":{"dataPoints":[{"count":"3","sum":0,"bucketCounts":["1",2],"explicitBounds":[0.5],
      "min":-1,"max":1e2}],"aggregationTemporality":1}},
    {"name":"e","exponentialHistogram":{"dataPoints":[{"scale":-2,"zeroCount":1,
      "positive":{"offset":-3,"bucketCounts":[1,"300"]}}]}},
    {"name":"q","summary":{"dataPoints":[{"count":1,"quantileValues":[{"quantile":0.5,"value":2}]}]}}]}]}]})");
  EXPECT_EQ(*count_records(Signal::kMetrics, request), 7U);
  std::map<std::string, std::vector<DataPoint>> points;
  std::map<std::string, Metric> metrics;
  Messages resources = resource_groups(request);
  ASSERT_TRUE(resources.next());
  Messages scopes(resources.bytes(), 2);
  ASSERT_TRUE(scopes.next());
  for (Messages entries(scopes.bytes(), 2); entries.next();) {
    Metric metric;
    ASSERT_TRUE(parse(entries.bytes(), metric));
    metrics[std::string(metric.name)] = metric;
    for (Messages found = metric.points(); found.next();) {
      DataPoint point;
      ASSERT_TRUE(parse(metric.kind, found.bytes(), point));
      points[std::string(metric.name)].push_back(point);
    }
  }
  EXPECT_TRUE(std::isnan(points["g"][0].real));
  EXPECT_EQ(points["g"][1].integer, -3);
  EXPECT_TRUE(points["g"][2].has_real) << "a zero of a oneof is a value";
  EXPECT_TRUE(metrics["s"].is_monotonic);
  EXPECT_EQ(metrics["s"].aggregation_temporality, 2);
  EXPECT_TRUE(points["h"][0].has_sum);
  EXPECT_EQ(points["h"][0].count, 3U);
  EXPECT_EQ(points["h"][0].bucket_counts.size(), 16U);
  EXPECT_EQ(points["h"][0].explicit_bounds.size(), 8U);
  EXPECT_EQ(points["h"][0].max, 100);
  EXPECT_EQ(points["e"][0].scale, -2);
  EXPECT_EQ(points["e"][0].zero_count, 1U);
  EXPECT_FALSE(points["e"][0].positive.empty());
  EXPECT_EQ(points["q"][0].count, 1U);
}

TEST(RequestFromJson, NamesThePathOfWhatDoesNotFit) {
  EXPECT_EQ(
      reason(Signal::kLogs, R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{"traceId":"0x1"}]}]}]})"),
      "resourceLogs[0].scopeLogs[0].logRecords[1].traceId: this must be a hexadecimal string");
  EXPECT_EQ(reason(Signal::kLogs, R"({"resourceLogs":{}})"), "resourceLogs: this must be an array");
  EXPECT_EQ(reason(Signal::kLogs, R"({"resourceLogs":[1]})"), "resourceLogs[0]: this must be an object");
  EXPECT_NE(reason(Signal::kLogs,
                   R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"INFO"}]}]}]})")
                .find("enumerations are sent as integers"),
            std::string::npos);
  EXPECT_NE(
      reason(Signal::kLogs, R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"-1"}]}]}]})")
          .find("timeUnixNano"),
      std::string::npos);
  EXPECT_NE(reason(Signal::kLogs, "[]").find("object"), std::string::npos);
  EXPECT_NE(reason(Signal::kLogs, "{\"resourceLogs\":[").find("no valid JSON"), std::string::npos);
  EXPECT_NE(reason(Signal::kLogs, "").find("no valid JSON"), std::string::npos);
}

TEST(RequestFromJson, IgnoresSnakeCaseNullsAndUnknownFields) {
  EXPECT_EQ(decode(Signal::kLogs, R"({"resource_logs":[{"scope_logs":[]}],"x":1,"resourceLogs":null})"), "");
}

TEST(RequestFromJson, RefusesEndlessNesting) {
  std::string value = R"({"stringValue":"x"})";
  for (int i = 0; i < 300; ++i) {
    value = R"({"arrayValue":{"values":[)" + value + "]}}";
  }
  EXPECT_NE(
      reason(Signal::kLogs, R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":)" + value + "}]}]}]}")
          .find("nested"),
      std::string::npos);
}

TEST(StatusMessage, IsGoogleRpcStatus) {
  EXPECT_EQ(status_message(14, "wait"), "\x08\x0e\x12\x04wait");
  EXPECT_EQ(status_json(3, "a \"b\""), R"({"code":3,"message":"a \"b\""})");
  EXPECT_EQ(status_message(3, std::string(5'000, 'x')).size(), 2 + 3 + 1'024U);
}

}  // namespace
}  // namespace naru::otlp
