#include "core/otlp/otlp.h"

#include <gtest/gtest.h>

#include "core/otlp/build.h"

namespace naru::otlp {
namespace {

constexpr std::array<unsigned char, 16> kSource = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

std::string any_string(std::string_view text) {
  std::string out;
  append_bytes_field(out, 1, text);
  return out;
}

// One request of two resources, the first with two scopes.
std::string sample_request() {
  std::string resource;
  append_string_attribute(resource, kResourceAttributes, "service.name", "web");
  LogsBuilder builder;
  builder.begin_resource(resource);
  builder.begin_scope(kSource, 100);
  builder.add(7, 8, "first", 17, "ERROR");
  builder.add(0, 9, "");
  builder.begin_scope(kSource, 300);
  builder.add(0, 10, std::string(300, 'x'));
  builder.begin_resource({});
  builder.begin_scope(kSource, 5);
  std::string attributes;
  append_int_attribute(attributes, kLogAttributes, "n", -3);
  append_bool_attribute(attributes, kLogAttributes, "b", true);
  builder.add(0, 11, "last", 0, {}, attributes);
  EXPECT_EQ(builder.records(), 4U);
  return builder.take();
}

TEST(LogsBuilder, WritesWhatTheViewsRead) {
  const std::string request = sample_request();
  std::vector<std::string> bodies;
  std::vector<std::uint64_t> bases;
  Messages resources = resource_groups(request);
  while (resources.next()) {
    ResourceGroup group;
    ASSERT_TRUE(parse(resources.bytes(), group));
    Messages scopes = scope_groups(group);
    while (scopes.next()) {
      ScopeGroup scope;
      ASSERT_TRUE(parse(scopes.bytes(), scope));
      const ScopeIdentity identity = scope_identity(scope.scope);
      ASSERT_TRUE(identity.present);
      EXPECT_EQ(identity.source, kSource);
      bases.push_back(identity.base);
      Messages entries = records(scope);
      while (entries.next()) {
        LogRecord record;
        ASSERT_TRUE(parse(entries.bytes(), record));
        AnyValue body;
        ASSERT_TRUE(parse(record.body, body));
        EXPECT_EQ(body.kind, AnyValue::Kind::kString);
        bodies.emplace_back(body.bytes);
      }
      EXPECT_TRUE(entries.ok());
    }
  }
  EXPECT_TRUE(resources.ok());
  EXPECT_EQ(bases, (std::vector<std::uint64_t>{100, 300, 5}));
  EXPECT_EQ(bodies, (std::vector<std::string>{"first", "", std::string(300, 'x'), "last"}));
  EXPECT_EQ(count_records(Signal::kLogs, request).value(), 4U);
}

TEST(LogRecord, ReadsTimesSeverityAndAttributes) {
  const std::string request = sample_request();
  Messages resources = resource_groups(request);
  ASSERT_TRUE(resources.next());
  ResourceGroup group;
  ASSERT_TRUE(parse(resources.bytes(), group));
  EXPECT_EQ(group.attributes().find("service.name")->bytes, "web");
  EXPECT_FALSE(group.attributes().find("other"));
  Messages scopes = scope_groups(group);
  ASSERT_TRUE(scopes.next());
  ScopeGroup scope;
  ASSERT_TRUE(parse(scopes.bytes(), scope));
  Messages entries = records(scope);
  ASSERT_TRUE(entries.next());
  LogRecord record;
  ASSERT_TRUE(parse(entries.bytes(), record));
  EXPECT_EQ(record.time, 7U);
  EXPECT_EQ(record.observed_time, 8U);
  EXPECT_EQ(record.severity_number, 17);
  EXPECT_EQ(record.severity_text, "ERROR");
  EXPECT_FALSE(record.has_attributes);
}

TEST(LogRecord, TakesZeroAndOddIdsAsAbsent) {
  std::string raw;
  append_bytes_field(raw, 9, std::string(16, '\0'));
  append_bytes_field(raw, 10, "short");
  LogRecord record;
  ASSERT_TRUE(parse(raw, record));
  EXPECT_TRUE(record.trace_id.empty());
  EXPECT_TRUE(record.span_id.empty());
}

TEST(AnyValue, ReadsEveryKind) {
  AnyValue value;
  ASSERT_TRUE(parse(any_string("x"), value));
  EXPECT_EQ(value.kind, AnyValue::Kind::kString);
  ASSERT_TRUE(parse("", value));
  EXPECT_EQ(value.kind, AnyValue::Kind::kEmpty);
  std::string raw;
  append_varint_field(raw, 3, static_cast<std::uint64_t>(-5));
  ASSERT_TRUE(parse(raw, value));
  EXPECT_EQ(value.kind, AnyValue::Kind::kInt);
  EXPECT_EQ(value.integer, -5);
  raw.clear();
  append_fixed64_field(raw, 4, std::bit_cast<std::uint64_t>(2.5));
  ASSERT_TRUE(parse(raw, value));
  EXPECT_EQ(value.kind, AnyValue::Kind::kDouble);
  EXPECT_EQ(value.real, 2.5);
  for (const auto& [field, kind] :
       {std::pair{5U, AnyValue::Kind::kArray}, {6U, AnyValue::Kind::kMap}, {7U, AnyValue::Kind::kBytes}}) {
    raw.clear();
    append_bytes_field(raw, field, "zz");
    ASSERT_TRUE(parse(raw, value));
    EXPECT_EQ(value.kind, kind);
    EXPECT_EQ(value.bytes, "zz");
  }
}

// Every cut of a valid message is either read or refused, never read past its end (ASan holds the bytes).
TEST(Reader, SurvivesEveryCutAndEveryFlip) {
  const std::string request = sample_request();
  for (std::size_t size = 0; size <= request.size(); ++size) {
    const std::vector<char> exact(request.begin(), request.begin() + static_cast<std::ptrdiff_t>(size));
    (void)count_records(Signal::kLogs, {exact.data(), exact.size()}).has_value();
  }
  for (std::size_t i = 0; i < request.size(); ++i) {
    std::string flipped = request;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x55);
    (void)count_records(Signal::kLogs, flipped).has_value();
    (void)count_records(Signal::kMetrics, flipped).has_value();
  }
}

TEST(Reader, RefusesGroupsOverlongVarintsAndFieldZero) {
  for (const std::string_view bad : {std::string_view("\x0b", 1), std::string_view("\x00\x01", 2),
                                     std::string_view("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12),
                                     std::string_view("\x0a\x05zz", 4), std::string_view("\x09zz", 3)}) {
    EXPECT_FALSE(count_records(Signal::kLogs, bad)) << bad;
  }
}

TEST(Metric, ReadsPointsOfEachKind) {
  std::string point;
  append_fixed64_field(point, 2, 1);
  append_fixed64_field(point, 3, 2);
  append_fixed64_field(point, 6, static_cast<std::uint64_t>(-9));
  std::string sum;
  append_bytes_field(sum, 1, point);
  append_varint_field(sum, 2, 2);
  append_varint_field(sum, 3, 1);
  std::string raw;
  append_bytes_field(raw, 1, "requests");
  append_bytes_field(raw, 7, sum);
  Metric metric;
  ASSERT_TRUE(parse(raw, metric));
  EXPECT_EQ(metric.kind, MetricKind::kSum);
  EXPECT_TRUE(metric.is_monotonic);
  EXPECT_EQ(metric.aggregation_temporality, 2);
  Messages points = metric.points();
  ASSERT_TRUE(points.next());
  DataPoint out;
  ASSERT_TRUE(parse(metric.kind, points.bytes(), out));
  EXPECT_EQ(out.start, 1U);
  EXPECT_EQ(out.time, 2U);
  ASSERT_TRUE(out.has_integer);
  EXPECT_EQ(out.integer, -9);
}

TEST(Metric, ReadsExponentialHistogramScaleAsZigzag) {
  std::string point;
  append_varint_field(point, 6, 5);  // zigzag of -3
  append_fixed64_field(point, 12, std::bit_cast<std::uint64_t>(0.5));
  DataPoint out;
  ASSERT_TRUE(parse(MetricKind::kExponentialHistogram, point, out));
  EXPECT_EQ(out.scale, -3);
  ASSERT_TRUE(out.has_min);
  EXPECT_EQ(out.min, 0.5);
}

}  // namespace
}  // namespace naru::otlp
