#include "core/otlp/otlp.h"

#include <algorithm>

namespace naru::otlp {
namespace {

bool is_bytes(const Reader& in) {
  return in.type() == WireType::kBytes;
}
bool is_varint(const Reader& in) {
  return in.type() == WireType::kVarint;
}
bool is_fixed64(const Reader& in) {
  return in.type() == WireType::kFixed64;
}
bool is_fixed32(const Reader& in) {
  return in.type() == WireType::kFixed32;
}

// An id that is all zero or of another length counts as absent (OTLP trace.proto, logs.proto).
std::string_view valid_id(std::string_view id, std::size_t size) {
  if (id.size() != size || std::all_of(id.begin(), id.end(), [](char c) { return c == 0; })) {
    return {};
  }
  return id;
}

// Each takes the field when it has the type that the schema says, and leaves `out` alone otherwise.
void take_bytes(const Reader& in, std::string_view& out) {
  if (is_bytes(in)) {
    out = in.bytes();
  }
}
void take_id(const Reader& in, std::size_t size, std::string_view& out) {
  if (is_bytes(in)) {
    out = valid_id(in.bytes(), size);
  }
}
template <class T>
void take_varint(const Reader& in, T& out) {
  if (is_varint(in)) {
    out = static_cast<T>(in.scalar());
  }
}
void take_fixed64(const Reader& in, std::uint64_t& out) {
  if (is_fixed64(in)) {
    out = in.scalar();
  }
}
void take_fixed32(const Reader& in, std::uint32_t& out) {
  if (is_fixed32(in)) {
    out = static_cast<std::uint32_t>(in.scalar());
  }
}
void take_real(const Reader& in, double& out, bool& has) {
  if (is_fixed64(in)) {
    out = in.real();
    has = true;
  }
}

std::int32_t from_zigzag(std::uint64_t scalar) {
  const auto value = static_cast<std::uint32_t>(scalar);
  return static_cast<std::int32_t>((value >> 1) ^ (~(value & 1) + 1));
}

std::uint32_t attributes_field(MetricKind kind) {
  switch (kind) {
    case MetricKind::kHistogram: return 9;
    case MetricKind::kExponentialHistogram: return 1;
    default: return 7;
  }
}

void read_number_field(const Reader& in, DataPoint& out) {
  switch (in.field()) {
    case 4: take_real(in, out.real, out.has_real); break;
    case 6:
      if (is_fixed64(in)) {
        out.integer = static_cast<std::int64_t>(in.scalar());
        out.has_integer = true;
      }
      break;
    case 8: take_varint(in, out.flags); break;
    default: break;
  }
}

void read_count_and_sum(const Reader& in, DataPoint& out) {
  switch (in.field()) {
    case 4: take_fixed64(in, out.count); break;
    case 5: take_real(in, out.sum, out.has_sum); break;
    default: break;
  }
}

void read_histogram_field(const Reader& in, DataPoint& out) {
  switch (in.field()) {
    case 6: take_bytes(in, out.bucket_counts); break;
    case 7: take_bytes(in, out.explicit_bounds); break;
    case 10: take_varint(in, out.flags); break;
    case 11: take_real(in, out.min, out.has_min); break;
    case 12: take_real(in, out.max, out.has_max); break;
    default: read_count_and_sum(in, out);
  }
}

void read_exponential_field(const Reader& in, DataPoint& out) {
  switch (in.field()) {
    case 6:
      if (is_varint(in)) {
        out.scale = from_zigzag(in.scalar());
      }
      break;
    case 7: take_fixed64(in, out.zero_count); break;
    case 8: take_bytes(in, out.positive); break;
    case 9: take_bytes(in, out.negative); break;
    case 10: take_varint(in, out.flags); break;
    case 12: take_real(in, out.min, out.has_min); break;
    case 13: take_real(in, out.max, out.has_max); break;
    case 14:
      if (is_fixed64(in)) {
        out.zero_threshold = in.real();
      }
      break;
    default: read_count_and_sum(in, out);
  }
}

void read_summary_field(const Reader& in, DataPoint& out) {
  if (in.field() == 8) {
    take_varint(in, out.flags);
  } else {
    read_count_and_sum(in, out);
  }
}

}  // namespace

std::string_view to_string(Signal signal) {
  switch (signal) {
    case Signal::kLogs: return "logs";
    case Signal::kMetrics: return "metrics";
    case Signal::kTraces: return "traces";
  }
  return "logs";
}

std::string_view default_topic(Signal signal) {
  switch (signal) {
    case Signal::kLogs: return "otlp_logs";
    case Signal::kMetrics: return "otlp_metrics";
    case Signal::kTraces: return "otlp_spans";
  }
  return "otlp_logs";
}

bool parse(std::string_view encoded, AnyValue& out) {
  out = AnyValue{};
  Reader in(encoded);
  while (in.next()) {
    switch (in.field()) {
      case 1:
      case 5:
      case 6:
      case 7:
        if (is_bytes(in)) {
          constexpr AnyValue::Kind kKinds[] = {AnyValue::Kind::kArray, AnyValue::Kind::kMap,
                                               AnyValue::Kind::kBytes};
          out.kind = in.field() == 1 ? AnyValue::Kind::kString : kKinds[in.field() - 5];
          out.bytes = in.bytes();
        }
        break;
      case 2:
        if (is_varint(in)) {
          out.kind = AnyValue::Kind::kBool;
          out.boolean = in.scalar() != 0;
        }
        break;
      case 3:
        if (is_varint(in)) {
          out.kind = AnyValue::Kind::kInt;
          out.integer = static_cast<std::int64_t>(in.scalar());
        }
        break;
      case 4:
        if (is_fixed64(in)) {
          out.kind = AnyValue::Kind::kDouble;
          out.real = in.real();
        }
        break;
      default: break;
    }
  }
  return in.ok();
}

bool parse(std::string_view encoded, KeyValue& out) {
  out = KeyValue{};
  Reader in(encoded);
  while (in.next()) {
    if (in.is(1, WireType::kBytes)) {
      out.key = in.bytes();
    } else if (in.is(2, WireType::kBytes)) {
      out.value = in.bytes();
    }
  }
  return in.ok();
}

std::optional<AnyValue> Attributes::find(std::string_view key) const {
  std::optional<AnyValue> found;
  for_each([&](const KeyValue& entry) {
    if (entry.key != key) {
      return true;
    }
    AnyValue value;
    if (parse(entry.value, value)) {
      found = value;
    }
    return false;
  });
  return found;
}

// Both kinds of groups have what they are about in field 1 and their schema in field 3.
static bool parse_group(std::string_view encoded, std::string_view& subject, std::string_view& schema_url) {
  Reader in(encoded);
  while (in.next()) {
    switch (in.field()) {
      case 1: take_bytes(in, subject); break;
      case 3: take_bytes(in, schema_url); break;
      default: break;
    }
  }
  return in.ok();
}

bool parse(std::string_view encoded, ResourceGroup& out) {
  out = ResourceGroup{};
  out.raw = encoded;
  return parse_group(encoded, out.resource, out.schema_url);
}

bool parse(std::string_view encoded, ScopeGroup& out) {
  out = ScopeGroup{};
  out.raw = encoded;
  return parse_group(encoded, out.scope, out.schema_url);
}

bool parse(std::string_view encoded, Scope& out) {
  out = Scope{};
  out.raw = encoded;
  Reader in(encoded);
  while (in.next()) {
    if (in.is(1, WireType::kBytes)) {
      out.name = in.bytes();
    } else if (in.is(2, WireType::kBytes)) {
      out.version = in.bytes();
    } else if (in.is(4, WireType::kVarint)) {
      out.dropped_attributes_count = static_cast<std::uint32_t>(in.scalar());
    }
  }
  return in.ok();
}

Result<std::uint64_t> count_records(Signal signal, std::string_view request) {
  const auto malformed = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "the request is no valid OTLP " + std::string(to_string(signal)) + " protobuf message");
  };
  std::uint64_t count = 0;
  Messages resources = {request, 1};
  while (resources.next()) {
    Messages scopes = {resources.bytes(), 2};
    while (scopes.next()) {
      Messages entries = {scopes.bytes(), 2};
      while (entries.next()) {
        if (signal != Signal::kMetrics) {
          ++count;
          continue;
        }
        Metric metric;
        if (!parse(entries.bytes(), metric)) {
          return malformed();
        }
        Messages points = metric.points();
        while (points.next()) {
          ++count;
        }
        if (!points.ok()) {
          return malformed();
        }
      }
      if (!entries.ok()) {
        return malformed();
      }
    }
    if (!scopes.ok()) {
      return malformed();
    }
  }
  if (!resources.ok()) {
    return malformed();
  }
  return count;
}

bool parse(std::string_view encoded, LogRecord& out) {
  out = LogRecord{};
  out.raw = encoded;
  Reader in(encoded);
  while (in.next()) {
    switch (in.field()) {
      case 1: take_fixed64(in, out.time); break;
      case 2: take_varint(in, out.severity_number); break;
      case 3: take_bytes(in, out.severity_text); break;
      case 5:
        if (is_bytes(in)) {
          out.body = in.bytes();
          out.has_body = true;
        }
        break;
      case 6: out.has_attributes = true; break;
      case 7: take_varint(in, out.dropped_attributes_count); break;
      case 8: take_fixed32(in, out.flags); break;
      case 9: take_id(in, 16, out.trace_id); break;
      case 10: take_id(in, 8, out.span_id); break;
      case 11: take_fixed64(in, out.observed_time); break;
      case 12: take_bytes(in, out.event_name); break;
      default: break;
    }
  }
  return in.ok();
}

namespace {
bool parse_status(std::string_view encoded, Span& out) {
  Reader in(encoded);
  while (in.next()) {
    if (in.is(2, WireType::kBytes)) {
      out.status_message = in.bytes();
    } else if (in.is(3, WireType::kVarint)) {
      out.status_code = static_cast<std::int32_t>(in.scalar());
    }
  }
  return in.ok();
}
}  // namespace

bool parse(std::string_view encoded, Span& out) {
  out = Span{};
  out.raw = encoded;
  Reader in(encoded);
  while (in.next()) {
    switch (in.field()) {
      case 1: take_id(in, 16, out.trace_id); break;
      case 2: take_id(in, 8, out.span_id); break;
      case 3: take_bytes(in, out.trace_state); break;
      case 4: take_id(in, 8, out.parent_span_id); break;
      case 5: take_bytes(in, out.name); break;
      case 6: take_varint(in, out.kind); break;
      case 7: take_fixed64(in, out.start); break;
      case 8: take_fixed64(in, out.end); break;
      case 10: take_varint(in, out.dropped_attributes_count); break;
      case 12: take_varint(in, out.dropped_events_count); break;
      case 14: take_varint(in, out.dropped_links_count); break;
      case 15:
        if (is_bytes(in) && !parse_status(in.bytes(), out)) {
          return false;
        }
        break;
      case 16: take_fixed32(in, out.flags); break;
      default: break;
    }
  }
  return in.ok();
}

bool parse(std::string_view encoded, SpanEvent& out) {
  out = SpanEvent{};
  out.raw = encoded;
  Reader in(encoded);
  while (in.next()) {
    switch (in.field()) {
      case 1: take_fixed64(in, out.time); break;
      case 2: take_bytes(in, out.name); break;
      case 4: take_varint(in, out.dropped_attributes_count); break;
      default: break;
    }
  }
  return in.ok();
}

bool parse(std::string_view encoded, SpanLink& out) {
  out = SpanLink{};
  out.raw = encoded;
  Reader in(encoded);
  while (in.next()) {
    switch (in.field()) {
      case 1: take_id(in, 16, out.trace_id); break;
      case 2: take_id(in, 8, out.span_id); break;
      case 3: take_bytes(in, out.trace_state); break;
      case 5: take_varint(in, out.dropped_attributes_count); break;
      default: break;
    }
  }
  return in.ok();
}

std::string_view span_kind(std::int32_t kind) {
  switch (kind) {
    case 1: return "SPAN_KIND_INTERNAL";
    case 2: return "SPAN_KIND_SERVER";
    case 3: return "SPAN_KIND_CLIENT";
    case 4: return "SPAN_KIND_PRODUCER";
    case 5: return "SPAN_KIND_CONSUMER";
    default: return "SPAN_KIND_UNSPECIFIED";
  }
}

std::string_view to_string(MetricKind kind) {
  switch (kind) {
    case MetricKind::kGauge: return "GAUGE";
    case MetricKind::kSum: return "SUM";
    case MetricKind::kHistogram: return "HISTOGRAM";
    case MetricKind::kExponentialHistogram: return "EXPONENTIAL_HISTOGRAM";
    case MetricKind::kSummary: return "SUMMARY";
    case MetricKind::kNone: return "NONE";
  }
  return "NONE";
}

bool parse(std::string_view encoded, Metric& out) {
  out = Metric{};
  out.raw = encoded;
  Reader in(encoded);
  while (in.next()) {
    if (!is_bytes(in)) {
      continue;
    }
    const auto set_data = [&](MetricKind kind) {
      out.kind = kind;
      out.data = in.bytes();
    };
    switch (in.field()) {
      case 1: out.name = in.bytes(); break;
      case 2: out.description = in.bytes(); break;
      case 3: out.unit = in.bytes(); break;
      case 5: set_data(MetricKind::kGauge); break;
      case 7: set_data(MetricKind::kSum); break;
      case 9: set_data(MetricKind::kHistogram); break;
      case 10: set_data(MetricKind::kExponentialHistogram); break;
      case 11: set_data(MetricKind::kSummary); break;
      default: break;
    }
  }
  Reader data(out.data);
  while (data.next()) {
    if (data.is(2, WireType::kVarint)) {
      out.aggregation_temporality = static_cast<std::int32_t>(data.scalar());
    } else if (data.is(3, WireType::kVarint)) {
      out.is_monotonic = data.scalar() != 0;
    }
  }
  return in.ok() && data.ok();
}

bool parse(MetricKind kind, std::string_view encoded, DataPoint& out) {
  out = DataPoint{};
  out.raw = encoded;
  out.attributes_field = attributes_field(kind);
  Reader in(encoded);
  while (in.next()) {
    if (in.field() == 2 && is_fixed64(in)) {
      out.start = in.scalar();
    } else if (in.field() == 3 && is_fixed64(in)) {
      out.time = in.scalar();
    } else if (kind == MetricKind::kHistogram) {
      read_histogram_field(in, out);
    } else if (kind == MetricKind::kExponentialHistogram) {
      read_exponential_field(in, out);
    } else if (kind == MetricKind::kSummary) {
      read_summary_field(in, out);
    } else {
      read_number_field(in, out);
    }
  }
  return in.ok();
}

ScopeIdentity scope_identity(std::string_view scope) {
  ScopeIdentity out;
  Attributes(scope, kScopeAttributes).for_each([&](const KeyValue& entry) {
    if (!entry.key.starts_with(kReservedPrefix)) {
      return;
    }
    AnyValue value;
    if (!parse(entry.value, value)) {
      return;
    }
    if (entry.key == kSourceKey && value.kind == AnyValue::Kind::kBytes &&
        value.bytes.size() == out.source.size()) {
      std::copy(value.bytes.begin(), value.bytes.end(), out.source.begin());
      out.present = true;
    } else if (entry.key == kBaseKey && value.kind == AnyValue::Kind::kInt) {
      out.base = static_cast<std::uint64_t>(value.integer);
    }
  });
  return out;
}

}  // namespace naru::otlp
