// OTLP messages (opentelemetry-proto 1.x) as views into their encoded bytes.
//
// An export request of each signal has the same outer shape with the same field numbers:
//   request { repeated resource group = 1 }   resource group { resource = 1, repeated scope group = 2,
//   schema_url = 3 } scope group { scope = 1, repeated record = 2, schema_url = 3 }   record = LogRecord |
//   Span | Metric
// so one set of walkers serves logs, traces and metrics, and concatenated requests are one request.
//
// Views live as long as the bytes. Nothing here allocates. Unknown fields are skipped. Not validated: UTF-8.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/otlp/wire.h"

namespace naru::otlp {

enum class Signal : std::uint8_t { kLogs, kMetrics, kTraces };
inline constexpr std::array kSignals = {Signal::kLogs, Signal::kMetrics, Signal::kTraces};
std::string_view to_string(Signal signal);      // "logs", "metrics", "traces"
std::string_view default_topic(Signal signal);  // "otlp_logs", "otlp_metrics", "otlp_spans"

// --- attributes and values
// -------------------------------------------------------------------------------------

struct AnyValue {
  enum class Kind : std::uint8_t { kEmpty, kString, kBool, kInt, kDouble, kArray, kMap, kBytes };
  Kind kind = Kind::kEmpty;
  std::string_view bytes;  // kString, kBytes: the content; kArray, kMap: the encoded ArrayValue, KeyValueList
  std::int64_t integer = 0;
  double real = 0;
  bool boolean = false;
};
// False: malformed.
bool parse(std::string_view encoded, AnyValue& out);

struct KeyValue {
  std::string_view key;
  std::string_view value;  // encoded AnyValue, may be empty
};
bool parse(std::string_view encoded, KeyValue& out);

// The repeated message field `field` of an encoded message, walked lazily:
//   for (Messages m(record, 6); m.next();) use(m.bytes());
class Messages {
 public:
  Messages(std::string_view message, std::uint32_t field) : reader_(message), field_(field) {}
  bool next() {
    while (reader_.next()) {
      if (reader_.is(field_, WireType::kBytes)) {
        return true;
      }
    }
    return false;
  }
  std::string_view bytes() const { return reader_.bytes(); }
  bool ok() const { return reader_.ok(); }

 private:
  Reader reader_;
  std::uint32_t field_;
};

// The attributes of a message whose attribute field is `field`.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::string_view message, std::uint32_t field) : message_(message), field_(field) {}
  // Calls f(KeyValue) for each, in order; stops early when f returns false. False: malformed.
  template <class F>
  bool for_each(F&& f) const {
    Messages entries(message_, field_);
    while (entries.next()) {
      KeyValue entry;
      if (!parse(entries.bytes(), entry)) {
        return false;
      }
      if constexpr (std::is_same_v<std::invoke_result_t<F, KeyValue>, bool>) {
        if (!f(entry)) {
          return true;
        }
      } else {
        f(entry);
      }
    }
    return entries.ok();
  }
  // The first value of `key`; nullopt when absent or malformed.
  std::optional<AnyValue> find(std::string_view key) const;

 private:
  std::string_view message_;
  std::uint32_t field_ = 0;
};

// Field numbers of the attributes in each message.
inline constexpr std::uint32_t kResourceAttributes = 1;
inline constexpr std::uint32_t kScopeAttributes = 3;
inline constexpr std::uint32_t kLogAttributes = 6;
inline constexpr std::uint32_t kSpanAttributes = 9;

// --- the outer shape
// -------------------------------------------------------------------------------------------

struct ResourceGroup {
  std::string_view raw;       // encoded ResourceLogs, ResourceSpans or ResourceMetrics
  std::string_view resource;  // encoded Resource, may be empty
  std::string_view schema_url;
  Attributes attributes() const { return {resource, kResourceAttributes}; }
};
bool parse(std::string_view encoded, ResourceGroup& out);

struct ScopeGroup {
  std::string_view raw;    // encoded ScopeLogs, ScopeSpans or ScopeMetrics
  std::string_view scope;  // encoded InstrumentationScope, may be empty
  std::string_view schema_url;
};
bool parse(std::string_view encoded, ScopeGroup& out);

struct Scope {
  std::string_view name;
  std::string_view version;
  std::uint32_t dropped_attributes_count = 0;
  std::string_view raw;
  Attributes attributes() const { return {raw, kScopeAttributes}; }
};
bool parse(std::string_view encoded, Scope& out);

inline Messages resource_groups(std::string_view request) {
  return {request, 1};
}
inline Messages scope_groups(const ResourceGroup& group) {
  return {group.raw, 2};
}
inline Messages records(const ScopeGroup& group) {
  return {group.raw, 2};
}

// Number of records (log records, spans, metric data points). kInvalidArgument: malformed.
Result<std::uint64_t> count_records(Signal signal, std::string_view request);

// --- records
// ---------------------------------------------------------------------------------------------------

struct LogRecord {
  std::string_view raw;
  UnixNanos time = 0;           // 0: unknown
  UnixNanos observed_time = 0;  // 0: unknown
  std::int32_t severity_number = 0;
  std::string_view severity_text;
  std::string_view body;  // encoded AnyValue; has_body tells absent from empty
  bool has_body = false;
  bool has_attributes = false;
  std::uint32_t dropped_attributes_count = 0;
  std::uint32_t flags = 0;
  std::string_view trace_id;  // 16 bytes, or empty when absent, all zero or of another length
  std::string_view span_id;   // 8 bytes, or empty likewise
  std::string_view event_name;
  Attributes attributes() const { return {raw, kLogAttributes}; }
};
bool parse(std::string_view encoded, LogRecord& out);

struct Span {
  std::string_view raw;
  std::string_view trace_id;  // as LogRecord
  std::string_view span_id;
  std::string_view parent_span_id;
  std::string_view trace_state;
  std::string_view name;
  std::int32_t kind = 0;
  UnixNanos start = 0;
  UnixNanos end = 0;
  std::uint32_t dropped_attributes_count = 0;
  std::uint32_t dropped_events_count = 0;
  std::uint32_t dropped_links_count = 0;
  std::string_view status_message;
  std::int32_t status_code = 0;
  std::uint32_t flags = 0;
  Attributes attributes() const { return {raw, kSpanAttributes}; }
  Messages events() const { return {raw, 11}; }
  Messages links() const { return {raw, 13}; }
};
bool parse(std::string_view encoded, Span& out);
std::string_view span_kind(std::int32_t kind);  // SPAN_KIND_SERVER, ...; SPAN_KIND_UNSPECIFIED for others

struct SpanEvent {
  UnixNanos time = 0;
  std::string_view name;
  std::uint32_t dropped_attributes_count = 0;
  std::string_view raw;
  Attributes attributes() const { return {raw, 3}; }
};
bool parse(std::string_view encoded, SpanEvent& out);

struct SpanLink {
  std::string_view trace_id;
  std::string_view span_id;
  std::string_view trace_state;
  std::uint32_t dropped_attributes_count = 0;
  std::string_view raw;
  Attributes attributes() const { return {raw, 4}; }
};
bool parse(std::string_view encoded, SpanLink& out);

enum class MetricKind : std::uint8_t { kNone, kGauge, kSum, kHistogram, kExponentialHistogram, kSummary };
std::string_view to_string(MetricKind kind);  // GAUGE, SUM, HISTOGRAM, EXPONENTIAL_HISTOGRAM, SUMMARY, NONE

struct Metric {
  std::string_view raw;
  std::string_view name;
  std::string_view description;
  std::string_view unit;
  MetricKind kind = MetricKind::kNone;
  std::string_view data;                     // encoded Gauge, Sum, ...
  std::int32_t aggregation_temporality = 0;  // 1 delta, 2 cumulative
  bool is_monotonic = false;
  Messages points() const { return {data, 1}; }
};
bool parse(std::string_view encoded, Metric& out);

// Any data point. What its kind does not have stays at its default.
struct DataPoint {
  std::string_view raw;
  UnixNanos start = 0;
  UnixNanos time = 0;
  std::uint32_t flags = 0;
  bool has_real = false, has_integer = false;  // number points
  double real = 0;
  std::int64_t integer = 0;
  std::uint64_t count = 0;  // histograms and summaries
  bool has_sum = false, has_min = false, has_max = false;
  double sum = 0, min = 0, max = 0;
  std::string_view bucket_counts;    // histogram: packed fixed64
  std::string_view explicit_bounds;  // histogram: packed double
  std::int32_t scale = 0;            // exponential histogram
  std::uint64_t zero_count = 0;
  double zero_threshold = 0;
  std::string_view positive, negative;  // encoded Buckets
  std::uint32_t attributes_field = 0;
  Attributes attributes() const { return {raw, attributes_field}; }
  Messages quantiles() const {
    return {raw, 6};
  }  // summary: encoded ValueAtQuantile {quantile = 1, value = 2}
};
bool parse(MetricKind kind, std::string_view encoded, DataPoint& out);

// A scope's identity as agents and collectors write it (contracts.md 1).
struct ScopeIdentity {
  bool present = false;
  std::array<unsigned char, 16> source{};
  std::uint64_t base = 0;
};
inline constexpr std::string_view kSourceKey = "naru.source";
inline constexpr std::string_view kBaseKey = "naru.base";
inline constexpr std::string_view kPositionKey = "naru.pos";
inline constexpr std::string_view kReservedPrefix = "naru.";
inline constexpr std::string_view kUidKey = "log.record.uid";
// Absent when naru.source is not 16 bytes.
ScopeIdentity scope_identity(std::string_view scope);

}  // namespace naru::otlp
