#include "core/otlp/rewrite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "core/otlp/build.h"
#include "core/otlp/identity.h"

namespace naru::otlp {
namespace {

using Source = std::array<unsigned char, 16>;
constexpr Source kAgent = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr Source kMinted = {0xA0, 0xA1, 0xA2};

std::string resource_of(std::string_view service) {
  std::string out;
  append_string_attribute(out, kResourceAttributes, "service.name", service);
  return out;
}

// What a reader of the topic sees of a log record.
struct Seen {
  std::string resource, body, schema_url;
  std::optional<Source> source;
  std::uint64_t position = 0;
  bool truncated = false;
  bool operator==(const Seen&) const = default;
  auto key() const { return std::tuple(resource, body, position); }
};

std::vector<Seen> read_logs(std::string_view request) {
  std::vector<Seen> out;
  Messages resources = resource_groups(request);
  while (resources.next()) {
    ResourceGroup group;
    EXPECT_TRUE(parse(resources.bytes(), group));
    Messages scopes = scope_groups(group);
    while (scopes.next()) {
      ScopeGroup scope;
      EXPECT_TRUE(parse(scopes.bytes(), scope));
      const ScopeIdentity identity = scope_identity(scope.scope);
      std::uint64_t index = 0;
      Messages entries = records(scope);
      while (entries.next()) {
        LogRecord record;
        EXPECT_TRUE(parse(entries.bytes(), record));
        AnyValue body;
        EXPECT_TRUE(parse(record.body, body));
        Seen seen;
        seen.resource = group.resource;
        seen.schema_url = scope.schema_url;
        seen.body = body.bytes;
        seen.truncated = record.attributes().find(kTruncatedKey).has_value();
        if (identity.present) {
          seen.source = identity.source;
          seen.position = identity.base + index;
        }
        ++index;
        out.push_back(std::move(seen));
      }
      EXPECT_TRUE(entries.ok());
    }
    EXPECT_TRUE(scopes.ok());
  }
  EXPECT_TRUE(resources.ok());
  return out;
}

std::string agent_request(std::size_t records, std::size_t body_bytes, std::string_view service = "web") {
  LogsBuilder builder;
  builder.begin_resource(resource_of(service));
  builder.begin_scope(kAgent, 1'000);
  for (std::size_t i = 0; i < records; ++i) {
    builder.add(i + 1, 5, std::to_string(i) + std::string(body_bytes, 'x'));
  }
  return builder.take();
}

Identified identify_as(bool trusted, std::string request, Signal signal = Signal::kLogs) {
  auto out = identify({signal, trusted, kMinted}, std::move(request));
  EXPECT_TRUE(out.has_value()) << out.error().message();
  return out ? std::move(*out) : Identified{};
}

Regrouped regroup_logs(std::string request, std::int32_t partitions, std::size_t bytes_max,
                       Signal signal = Signal::kLogs) {
  const std::uint64_t count = *count_records(signal, request);
  auto out = regroup({signal, partitions, bytes_max}, std::move(request), count);
  EXPECT_TRUE(out.has_value()) << out.error().message();
  return out ? std::move(*out) : Regrouped{};
}

// A message field and a field that no version of ours knows.
std::string message(std::uint32_t field, std::string_view bytes) {
  std::string out;
  append_bytes_field(out, field, bytes);
  return out;
}
std::string unknown_field() {
  return message(99, "from the future");
}

// --- identify

TEST(Identify, LeavesTheRequestOfAnAgentInItsBuffer) {
  std::string request = agent_request(100, 300);
  const std::string copy = request;
  const char* buffer = request.data();
  const Identified out = identify_as(true, std::move(request));
  EXPECT_EQ(out.request.data(), buffer);
  EXPECT_EQ(out.request, copy);
  EXPECT_EQ(out.records, 100U);
  EXPECT_EQ(out.stamped, 0U);
}

TEST(Identify, StampsRecordsWithoutIdentityAndCountsOnAcrossScopes) {
  std::string record = message(5, message(1, "text"));
  std::string scope_logs =
      message(1, message(1, "lib")) + message(2, record) + message(2, record) + message(3, "url");
  std::string group = message(1, resource_of("a")) + message(2, scope_logs) + message(2, message(2, record));
  for (const bool trusted : {true, false}) {
    const Identified out = identify_as(trusted, message(1, group) + message(1, group));
    EXPECT_EQ(out.records, 6U);
    EXPECT_EQ(out.stamped, 6U);
    const auto seen = read_logs(out.request);
    ASSERT_EQ(seen.size(), 6U);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].source, kMinted);
      EXPECT_EQ(seen[i].position, i);
      EXPECT_EQ(seen[i].body, "text");
      EXPECT_EQ(seen[i].resource, resource_of("a"));
      EXPECT_EQ(seen[i].schema_url, i % 3 == 2 ? "" : "url");
    }
  }
}

TEST(Identify, StampsOnlyTheScopesOfAnAgentThatHaveNoIdentity) {
  const std::string record = message(2, message(5, message(1, "bare")));
  const std::string request = agent_request(2, 3) + message(1, message(2, record));
  const Identified out = identify_as(true, request);
  const auto seen = read_logs(out.request);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].source, kAgent);
  EXPECT_EQ(seen[1].position, 1'001U);
  EXPECT_EQ(seen[2].source, kMinted);
  EXPECT_EQ(seen[2].position, 0U);
  EXPECT_EQ(out.stamped, 1U);
}

TEST(Identify, StripsForgedAttributesOfClientsEverywhere) {
  std::string resource = resource_of("a");
  append_string_attribute(resource, kResourceAttributes, "naru.evil", "x");
  std::string scope = message(1, "lib");
  append_bytes_attribute(scope, kScopeAttributes, kSourceKey,
                         {reinterpret_cast<const char*>(kAgent.data()), kAgent.size()});
  append_int_attribute(scope, kScopeAttributes, kBaseKey, 77);
  std::string record = message(5, message(1, "text"));
  append_int_attribute(record, kLogAttributes, kPositionKey, 3);
  append_string_attribute(record, kLogAttributes, "kept", "yes");
  // The value before the key, as a hostile encoder may write it.
  record += message(6, message(2, message(1, "x")) + message(1, "naru.pos"));
  // Two scope messages in one group are one in protobuf's terms.
  const std::string scope_logs = message(1, scope) + message(2, record) + message(1, scope) + unknown_field();
  const std::string group =
      message(1, resource) + message(2, scope_logs) + message(1, resource) + unknown_field();
  const Identified out = identify_as(false, message(1, group));
  EXPECT_EQ(out.stripped, 8U);
  EXPECT_EQ(out.request.find("naru.evil"), std::string::npos);
  EXPECT_EQ(out.request.find("naru.pos"), std::string::npos);
  EXPECT_NE(out.request.find("kept"), std::string::npos);
  EXPECT_NE(out.request.find("from the future"), std::string::npos);
  const auto seen = read_logs(out.request);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].source, kMinted);
  EXPECT_EQ(seen[0].position, 0U);
}

TEST(Identify, StripsSpansAndMetricsOnlyWhereThereIsSomethingToStrip) {
  std::string clean_span = message(1, std::string(16, 't')) + message(5, "name");
  std::string forged_span = clean_span;
  append_string_attribute(forged_span, kSpanAttributes, "naru.pos", "1");
  const auto spans = [&](const std::string& span) {
    return message(1, message(1, resource_of("a")) + message(2, message(2, span)));
  };
  EXPECT_EQ(identify_as(false, spans(clean_span), Signal::kTraces).request, spans(clean_span));
  EXPECT_EQ(identify_as(true, spans(forged_span), Signal::kTraces).request, spans(forged_span));
  const Identified stripped = identify_as(false, spans(forged_span), Signal::kTraces);
  EXPECT_EQ(stripped.stripped, 1U);
  EXPECT_EQ(stripped.request.find("naru."), std::string::npos);

  std::string point;
  append_fixed64_field(point, 3, 9);
  std::string scope;
  append_string_attribute(scope, kScopeAttributes, "naru.source", "x");
  const auto metrics = [&](const std::string& scope_bytes) {
    return message(
        1, message(2, message(1, scope_bytes) + message(2, message(1, "m") + message(5, message(1, point)))));
  };
  EXPECT_EQ(identify_as(false, metrics(message(1, "lib")), Signal::kMetrics).request,
            metrics(message(1, "lib")));
  const Identified forged = identify_as(false, metrics(scope), Signal::kMetrics);
  EXPECT_EQ(forged.stripped, 1U);
  EXPECT_EQ(forged.records, 1U);
  EXPECT_EQ(*count_records(Signal::kMetrics, forged.request), 1U);
}

TEST(Identify, RefusesEveryTruncationOrTakesItAsAValidRequest) {
  std::string record = message(5, message(1, "text"));
  append_string_attribute(record, kLogAttributes, "naru.pos", "1");
  const std::string request =
      message(1, message(1, resource_of("a")) + message(2, message(1, message(1, "s")) + message(2, record)));
  for (std::size_t size = 0; size < request.size(); ++size) {
    const auto out = identify({Signal::kLogs, false, kMinted}, request.substr(0, size));
    if (out) {
      EXPECT_TRUE(count_records(Signal::kLogs, out->request).has_value());
    } else {
      EXPECT_EQ(out.error().code(), ErrorCode::kInvalidArgument);
    }
  }
}

TEST(Identify, SurvivesRandomDamage) {
  std::mt19937 random(7);
  const std::string request = agent_request(5, 20);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = request;
    for (int i = 0; i < 3; ++i) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    if (const auto out = identify({Signal::kLogs, (round & 1) != 0, kMinted}, damaged)) {
      (void)regroup({Signal::kLogs, 4, 100}, out->request, out->records);
    }
    if (const auto out = identify({Signal::kTraces, false, kMinted}, damaged)) {
      (void)regroup({Signal::kTraces, 4, 100}, out->request, out->records);
    }
    if (const auto out = identify({Signal::kMetrics, false, kMinted}, damaged)) {
      (void)regroup({Signal::kMetrics, 4, 100}, out->request, out->records);
    }
  }
}

// --- regroup

TEST(Regroup, HandsAnAgentsRequestOnWithoutACopy) {
  std::string request = agent_request(100, 300);
  const char* buffer = request.data();
  const Regrouped out = regroup_logs(std::move(request), 4, 900'000);
  ASSERT_EQ(out.values.size(), 1U);
  EXPECT_EQ(out.values[0].value.data(), buffer);
  EXPECT_EQ(out.values[0].records, 100U);
  AttributeSorter sorter;
  const Hash128 key = *hash_attributes({resource_of("web"), kResourceAttributes}, sorter);
  EXPECT_EQ(out.values[0].key, as_bytes(key));
  EXPECT_EQ(out.values[0].partition, partition_of_key(as_bytes(key), 4));
}

TEST(Regroup, KeepsIdentityAndContentOfEveryRecordAtAnyLimit) {
  std::string request;
  std::mt19937 random(11);
  std::uint64_t expected = 0;
  for (int resource = 0; resource < 12; ++resource) {
    LogsBuilder builder;
    builder.begin_resource(resource_of("service-" + std::to_string(resource % 7)));
    for (int scope = 0; scope < 3; ++scope) {
      builder.begin_scope({static_cast<unsigned char>(resource), static_cast<unsigned char>(scope)},
                          random() % 1'000);
      const unsigned count = random() % 20;
      for (unsigned i = 0; i < count; ++i, ++expected) {
        builder.add(i, 1, std::string(random() % 400, static_cast<char>('a' + i)));
      }
    }
    request += builder.take();
  }
  auto before = read_logs(request);
  ASSERT_EQ(before.size(), expected);
  std::ranges::sort(before, {}, &Seen::key);
  for (const std::size_t limit : {700U, 1'500U, 5'000U, 1'000'000U}) {
    const Regrouped out = regroup_logs(request, 4, limit);
    EXPECT_EQ(out.cut_records, 0U);
    std::vector<Seen> after;
    std::map<std::string, std::int32_t> partition_of_resource;
    for (const PartitionValue& value : out.values) {
      EXPECT_LE(value.value.size(), limit);
      const auto seen = read_logs(value.value);
      EXPECT_EQ(seen.size(), value.records);
      EXPECT_GT(value.records, 0U);
      for (const Seen& entry : seen) {
        EXPECT_EQ(partition_of_resource.try_emplace(entry.resource, value.partition).first->second,
                  value.partition);
      }
      after.insert(after.end(), seen.begin(), seen.end());
    }
    std::ranges::sort(after, {}, &Seen::key);
    EXPECT_EQ(after, before) << limit;
  }
}

TEST(Regroup, KeepsTheOrderOfASourceAcrossItsValues) {
  const Regrouped out = regroup_logs(agent_request(2'000, 500), 4, 100'000);
  EXPECT_GT(out.values.size(), 8U);
  std::uint64_t next = 1'000;
  for (const PartitionValue& value : out.values) {
    for (const Seen& entry : read_logs(value.value)) {
      EXPECT_EQ(entry.position, next++);
    }
  }
  EXPECT_EQ(next, 3'000U);
}

TEST(Regroup, SplitsIntoAboutEqualParts) {
  const Regrouped out = regroup_logs(agent_request(1'000, 1'000), 1, 900'000);
  ASSERT_EQ(out.values.size(), 2U);
  EXPECT_NEAR(static_cast<double>(out.values[0].value.size()),
              static_cast<double>(out.values[1].value.size()), 3'000);
}

TEST(Regroup, JoinsResourcesOfOnePartition) {
  std::string request;
  for (int i = 0; i < 50; ++i) {
    request += agent_request(1, 10, "s" + std::to_string(i));
  }
  const Regrouped out = regroup_logs(request, 4, 900'000);
  EXPECT_EQ(out.values.size(), 4U);
}

TEST(Regroup, CutsTheBodyOfOneOversizeRecordAtACharacterAndMarksIt) {
  std::string text;
  while (text.size() < 5'000) {
    text += "나루";
  }
  LogsBuilder builder;
  builder.begin_resource(resource_of("web"));
  builder.begin_scope(kAgent, 10);
  builder.add(1, 2, "small");
  builder.add(3, 4, text, 9, "INFO");
  builder.add(5, 6, "after");
  for (std::size_t limit = 1'000; limit < 1'010; ++limit) {
    const Regrouped out = regroup_logs(std::string(builder.finish()), 1, limit);
    EXPECT_EQ(out.cut_records, 1U);
    std::vector<Seen> seen;
    for (const PartitionValue& value : out.values) {
      EXPECT_LE(value.value.size(), limit);
      const auto part = read_logs(value.value);
      seen.insert(seen.end(), part.begin(), part.end());
    }
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_EQ(seen[1].position, 11U);
    EXPECT_EQ(seen[2].position, 12U);
    EXPECT_TRUE(seen[1].truncated);
    EXPECT_FALSE(seen[0].truncated);
    EXPECT_TRUE(text.starts_with(seen[1].body));
    EXPECT_GT(seen[1].body.size(), 500U);
    EXPECT_EQ(seen[1].body.size() % 3, 0U);
    EXPECT_EQ(out.cut_bytes, text.size() - seen[1].body.size());
  }
}

TEST(Regroup, DropsTheLargestAttributesWhenTheBodyIsNotEnough) {
  std::string record = message(5, message(1, "body"));
  append_string_attribute(record, kLogAttributes, "large", std::string(3'000, 'l'));
  append_string_attribute(record, kLogAttributes, "small", "kept");
  append_varint_field(record, 7, 2);
  const Regrouped out = regroup_logs(message(1, message(2, message(2, record))), 1, 1'000);
  ASSERT_EQ(out.values.size(), 1U);
  Messages groups = resource_groups(out.values[0].value);
  ASSERT_TRUE(groups.next());
  Messages scopes(groups.bytes(), 2);
  ASSERT_TRUE(scopes.next());
  Messages entries(scopes.bytes(), 2);
  ASSERT_TRUE(entries.next());
  LogRecord parsed;
  ASSERT_TRUE(parse(entries.bytes(), parsed));
  EXPECT_EQ(parsed.dropped_attributes_count, 3U);
  EXPECT_EQ(parsed.attributes().find("small")->bytes, "kept");
  EXPECT_FALSE(parsed.attributes().find("large").has_value());
  AnyValue body;
  ASSERT_TRUE(parse(parsed.body, body));
  EXPECT_EQ(body.bytes, "body");
  EXPECT_GT(parsed.attributes().find(kTruncatedKey)->integer, 3'000);
}

TEST(Regroup, RefusesAResourceThatIsItselfTooLarge) {
  const std::string request = agent_request(2, 10, std::string(5'000, 'r'));
  const auto out = regroup({Signal::kLogs, 1, 1'000}, request, 2);
  ASSERT_FALSE(out.has_value());
  EXPECT_EQ(out.error().code(), ErrorCode::kTooLarge);
}

std::string span_of(char trace, std::size_t padding = 0) {
  return message(1, std::string(16, trace)) + message(2, std::string(8, 's')) +
         message(5, std::string(padding, 'n'));
}

TEST(Regroup, BringsEveryTraceToOnePartitionAndKeepsAllSpans) {
  std::string group = message(1, resource_of("web"));
  std::map<char, int> expected;
  for (int scope = 0; scope < 3; ++scope) {
    std::string spans = message(1, message(1, "lib" + std::to_string(scope)));
    for (int i = 0; i < 60; ++i) {
      const char trace = static_cast<char>('a' + i % 20);
      spans += message(2, span_of(trace, 50));
      ++expected[trace];
    }
    group += message(2, spans);
  }
  const Regrouped out = regroup_logs(message(1, group), 4, 2'000, Signal::kTraces);
  std::map<char, int> found;
  std::uint64_t counted = 0;
  for (const PartitionValue& value : out.values) {
    EXPECT_LE(value.value.size(), 2'000U);
    EXPECT_TRUE(value.key.empty());
    counted += value.records;
    for (Messages groups = resource_groups(value.value); groups.next();) {
      ResourceGroup resource;
      ASSERT_TRUE(parse(groups.bytes(), resource));
      EXPECT_EQ(resource.resource, resource_of("web"));
      for (Messages scopes = scope_groups(resource); scopes.next();) {
        ScopeGroup scope;
        ASSERT_TRUE(parse(scopes.bytes(), scope));
        EXPECT_FALSE(scope.scope.empty());
        for (Messages spans = records(scope); spans.next();) {
          Span span;
          ASSERT_TRUE(parse(spans.bytes(), span));
          EXPECT_EQ(value.partition, partition_of_trace(span.trace_id, 4));
          ++found[span.trace_id[0]];
        }
      }
    }
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(counted, 180U);
}

TEST(Regroup, HandsTheSpansOfOnePartitionOnWithoutACopy) {
  std::string request = message(1, message(2, message(2, span_of('a', 100)) + message(2, span_of('a', 100))));
  const char* buffer = request.data();
  const Regrouped out = regroup_logs(std::move(request), 4, 900'000, Signal::kTraces);
  ASSERT_EQ(out.values.size(), 1U);
  EXPECT_EQ(out.values[0].value.data(), buffer);
}

TEST(Regroup, DropsTheLargestEventsOfAnOversizeSpan) {
  std::string span = span_of('a');
  for (int i = 0; i < 5; ++i) {
    span += message(11, message(2, std::string(400, static_cast<char>('0' + i))));
  }
  const Regrouped out = regroup_logs(message(1, message(2, message(2, span))), 1, 1'000, Signal::kTraces);
  ASSERT_EQ(out.values.size(), 1U);
  EXPECT_LE(out.values[0].value.size(), 1'000U);
  EXPECT_EQ(out.cut_records, 1U);
}

TEST(Regroup, DividesAMetricWithTooManyPoints) {
  std::string points;
  for (int i = 0; i < 200; ++i) {
    std::string point;
    append_fixed64_field(point, 3, static_cast<std::uint64_t>(i));
    points += message(1, point);
  }
  std::string data = points;
  append_varint_field(data, 2, 2);
  const std::string metric = message(1, "requests") + message(3, "1") + message(7, data);
  const Regrouped out = regroup_logs(
      message(1, message(1, resource_of("web")) + message(2, message(2, metric))), 1, 600, Signal::kMetrics);
  std::set<std::uint64_t> times;
  std::uint64_t counted = 0;
  for (const PartitionValue& value : out.values) {
    EXPECT_LE(value.value.size(), 600U);
    counted += value.records;
    EXPECT_EQ(*count_records(Signal::kMetrics, value.value), value.records);
    for (Messages groups = resource_groups(value.value); groups.next();) {
      for (Messages scopes(groups.bytes(), 2); scopes.next();) {
        for (Messages metrics(scopes.bytes(), 2); metrics.next();) {
          Metric parsed;
          ASSERT_TRUE(parse(metrics.bytes(), parsed));
          EXPECT_EQ(parsed.name, "requests");
          EXPECT_EQ(parsed.aggregation_temporality, 2);
          for (Messages found = parsed.points(); found.next();) {
            DataPoint point;
            ASSERT_TRUE(parse(parsed.kind, found.bytes(), point));
            times.insert(point.time);
          }
        }
      }
    }
  }
  EXPECT_EQ(times.size(), 200U);
  EXPECT_EQ(counted, 200U);
}

TEST(PartitionOfKey, AgreesWithTheFnv1aPartitionerOfOtherProducers) {
  // FNV-1a 32 bit: "" 0x811c9dc5, "a" 0xe40c292c, "foobar" 0xbf9cf968 (published test vectors); the sign bit
  // makes the absolute value count.
  EXPECT_EQ(partition_of_key("", 1'000), static_cast<std::int32_t>((~0x811C9DC5U + 1) % 1'000));
  EXPECT_EQ(partition_of_key("a", 1'000), static_cast<std::int32_t>((~0xE40C292CU + 1) % 1'000));
  EXPECT_EQ(partition_of_key("foobar", 1'000), static_cast<std::int32_t>((~0xBF9CF968U + 1) % 1'000));
}

}  // namespace
}  // namespace naru::otlp
