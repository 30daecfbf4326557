// Metrics (opentelemetry/proto/metrics/v1): one document per data point.
#include <cmath>

#include "core/base/bytes.h"
#include "prepper/process/encoder.h"
#include "prepper/process/record_visitor.h"

namespace naru::prepper {
namespace {

std::string_view temporality(std::int32_t value) {
  switch (value) {
    case 1: return "\"AGGREGATION_TEMPORALITY_DELTA\"";
    case 2: return "\"AGGREGATION_TEMPORALITY_CUMULATIVE\"";
    default: return "\"AGGREGATION_TEMPORALITY_UNSPECIFIED\"";
  }
}

// Field number of the exemplars in a point of each kind; 0: it has none.
std::uint32_t exemplars_field(otlp::MetricKind kind) {
  switch (kind) {
    case otlp::MetricKind::kGauge:
    case otlp::MetricKind::kSum: return 5;
    case otlp::MetricKind::kHistogram: return 8;
    case otlp::MetricKind::kExponentialHistogram: return 11;
    default: return 0;
  }
}

std::string_view non_finite_text(double value) {
  return std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
}

}  // namespace

// The index's longs end at 2^63 - 1.
void Encoder::write_count(std::uint64_t count) {
  if (count > INT64_MAX) {
    ++clamped_counts_;
    count = INT64_MAX;
  }
  out_.integer(count);
}

// Buckets of an exponential histogram: offset sint32 = 1, bucket_counts repeated uint64 = 2.
void Encoder::write_exponential_buckets(std::string_view offset_member, std::string_view counts_member,
                                        std::string_view encoded) {
  JsonOut& out = out_;
  std::int32_t offset = 0;
  bool first = true;
  const std::size_t before = out.size();
  out.raw(counts_member);
  out.raw('[');
  const auto add = [&](std::uint64_t count) {
    if (!first) {
      out.raw(',');
    }
    first = false;
    write_count(count);
  };
  otlp::Reader in(encoded);
  while (in.next()) {
    if (in.is(1, otlp::WireType::kVarint)) {
      const auto zigzag = static_cast<std::uint32_t>(in.scalar());
      offset = static_cast<std::int32_t>((zigzag >> 1) ^ (~(zigzag & 1) + 1));
    } else if (in.is(2, otlp::WireType::kVarint)) {
      add(in.scalar());
    } else if (in.is(2, otlp::WireType::kBytes)) {
      const std::string_view packed = in.bytes();
      std::uint64_t value = 0;
      unsigned shift = 0;
      for (const char c : packed) {
        const auto byte = static_cast<unsigned char>(c);
        value |= shift < 64 ? static_cast<std::uint64_t>(byte & 0x7f) << shift : 0;
        shift += 7;
        if (byte < 0x80) {
          add(value);
          value = 0;
          shift = 0;
        }
      }
    }
  }
  out.raw(']');
  if (first) {
    out.rewind(before);
    return;
  }
  out.raw(offset_member);
  out.integer(offset);
}

void Encoder::render_metric_head(const otlp::Metric& metric) {
  JsonOut& out = metric_text_;
  out.clear();
  out.raw(",\"name\":");
  out.string(metric.name);
  if (!metric.description.empty()) {
    out.raw(",\"description\":");
    out.string(metric.description);
  }
  if (!metric.unit.empty()) {
    out.raw(",\"unit\":");
    out.string(metric.unit);
  }
  out.raw(",\"kind\":\"");
  out.raw(otlp::to_string(metric.kind));
  out.raw('"');
  const bool aggregated = metric.kind == otlp::MetricKind::kSum ||
                          metric.kind == otlp::MetricKind::kHistogram ||
                          metric.kind == otlp::MetricKind::kExponentialHistogram;
  if (aggregated) {
    out.raw(",\"aggregationTemporality\":");
    out.raw(temporality(metric.aggregation_temporality));
  }
  if (metric.kind == otlp::MetricKind::kSum) {
    out.raw(",\"isMonotonic\":");
    out.raw(metric.is_monotonic ? "true" : "false");
  }
}

void Encoder::encode_metric(std::string_view encoded) {
  otlp::Metric metric;
  otlp::parse(encoded, metric);  // its framing was walked by count_records()
  render_metric_head(metric);
  otlp::Messages points = metric.points();
  while (points.next()) {
    encode_point(metric, points.bytes());
  }
}

// A number, or nothing and its text as an extra attribute when JSON has no form for it.
void Encoder::write_real_member(std::string_view member, std::string_view original_name, double value) {
  if (!std::isfinite(value)) {
    add_extra(original_name, std::string(non_finite_text(value)));
    return;
  }
  out_.raw(member);
  out_.real(value);
}

void Encoder::write_histogram(const otlp::DataPoint& point) {
  constexpr std::size_t kWord = 8;
  const std::size_t counts = point.bucket_counts.size() / kWord;
  const std::size_t bounds = point.explicit_bounds.size() / kWord;
  if (counts == 0) {
    return;
  }
  const auto bound = [&](std::size_t i) {
    return std::bit_cast<double>(load_le<std::uint64_t>(point.explicit_bounds.data() + i * kWord));
  };
  out_.raw(",\"bucketsCount\":");
  out_.integer(counts);
  out_.raw(",\"buckets\":[");
  for (std::size_t i = 0; i < counts; ++i) {
    out_.raw(i == 0 ? "{\"count\":" : ",{\"count\":");
    write_count(load_le<std::uint64_t>(point.bucket_counts.data() + i * kWord));
    if (i > 0 && i - 1 < bounds && std::isfinite(bound(i - 1))) {
      out_.raw(",\"min\":");
      out_.real(bound(i - 1));
    }
    if (i < bounds && std::isfinite(bound(i))) {
      out_.raw(",\"max\":");
      out_.real(bound(i));
    }
    out_.raw('}');
  }
  out_.raw(']');
}

void Encoder::write_exponential(const otlp::DataPoint& point) {
  out_.raw(",\"scale\":");
  out_.integer(point.scale);
  out_.raw(",\"zeroCount\":");
  write_count(point.zero_count);
  if (point.zero_threshold != 0) {
    write_real_member(",\"zeroThreshold\":", "naru.original_zero_threshold", point.zero_threshold);
  }
  write_exponential_buckets(",\"positiveOffset\":", ",\"positive\":", point.positive);
  write_exponential_buckets(",\"negativeOffset\":", ",\"negative\":", point.negative);
}

void Encoder::write_summary(const otlp::DataPoint& point) {
  std::uint32_t count = 0;
  otlp::Messages quantiles = point.quantiles();
  while (quantiles.next()) {
    double quantile = 0, value = 0;
    otlp::Reader in(quantiles.bytes());
    while (in.next()) {
      if (in.is(1, otlp::WireType::kFixed64)) {
        quantile = in.real();
      } else if (in.is(2, otlp::WireType::kFixed64)) {
        value = in.real();
      }
    }
    if (!std::isfinite(quantile)) {
      continue;  // a quantile is between 0 and 1
    }
    out_.raw(count++ == 0 ? ",\"quantiles\":[{\"quantile\":" : ",{\"quantile\":");
    out_.real(quantile);
    if (std::isfinite(value)) {  // NaN is the usual "no data"
      out_.raw(",\"value\":");
      out_.real(value);
    }
    out_.raw('}');
  }
  if (count > 0) {
    out_.raw(']');
  }
}

// Exemplar: time 2, double 3, span id 4, trace id 5, integer 6, filtered attributes 7.
bool Encoder::write_exemplars(const otlp::DataPoint& point, std::uint32_t field) {
  std::uint32_t count = 0;
  otlp::Messages exemplars(point.raw, field);
  while (exemplars.next()) {
    if (count == config_.nested_max) {
      ++stats_.nested_cut;
      continue;
    }
    UnixNanos time = 0;
    std::optional<double> real;
    std::optional<std::int64_t> integer;
    std::string_view span_id, trace_id;
    otlp::Reader in(exemplars.bytes());
    while (in.next()) {
      if (in.is(2, otlp::WireType::kFixed64)) {
        time = in.scalar();
      } else if (in.is(3, otlp::WireType::kFixed64)) {
        real = in.real();
      } else if (in.is(4, otlp::WireType::kBytes)) {
        span_id = in.bytes();
      } else if (in.is(5, otlp::WireType::kBytes)) {
        trace_id = in.bytes();
      } else if (in.is(6, otlp::WireType::kFixed64)) {
        integer = static_cast<std::int64_t>(in.scalar());
      }
    }
    if (!in.ok()) {
      return false;
    }
    out_.raw(count++ == 0 ? ",\"exemplars\":[{" : ",{");
    out_.raw("\"traceId\":");
    out_.hex(trace_id);
    out_.raw(",\"spanId\":");
    out_.hex(span_id);
    write_date(",\"time\":", "naru.original_exemplar_time", time);
    if (integer.has_value()) {
      out_.raw(",\"value\":");
      out_.integer(*integer);
    } else if (real.has_value() && std::isfinite(*real)) {
      out_.raw(",\"value\":");
      out_.real(*real);
    }
    if (!write_nested_attributes({exemplars.bytes(), 7}, "exemplars.attributes")) {
      return false;
    }
    out_.raw('}');
  }
  if (count > 0) {
    out_.raw(']');
  }
  return exemplars.ok();
}

void Encoder::encode_point(const otlp::Metric& metric, std::string_view encoded) {
  metric_ = &metric;
  encoded_record_ = encoded;
  if (!otlp::parse(metric.kind, encoded, point_)) {
    begin_document(event_time(point_.time, 0, received_, config_.time).time);
    abandon_document("data point");
  } else {
    run_pipelines();
  }
  end_record();
}

bool Encoder::write_point(const Event* event) {
  const otlp::Metric& metric = event != nullptr ? event->metric() : *metric_;
  const otlp::DataPoint& point = event != nullptr ? event->point() : point_;
  const EventTime time = event_time(point.time, 0, received_, config_.time);
  begin_document(time.time);
  clamped_counts_ = 0;
  write_event_time(time);
  write_date(",\"startTime\":", "naru.original_start_time", point.start);
  if (event != nullptr && metric.name != metric_->name) {
    render_metric_head(metric);
    out_.raw(metric_text_.view());
    render_metric_head(*metric_);
  } else {
    out_.raw(metric_text_.view());
  }
  write_point_members(metric, point);
  if (const std::uint32_t field = exemplars_field(metric.kind);
      field != 0 && !write_exemplars(point, field)) {
    return abandon_document("data point's exemplars");
  }
  if (clamped_counts_ > 0) {
    add_extra("naru.clamped_counts", std::to_string(clamped_counts_));
  }
  out_.raw(resource_text_.view());
  out_.raw(scope_text_.view());
  if (!(event != nullptr ? write_attributes(event->attributes(), true)
                         : write_attributes(point.attributes(), true))) {
    return abandon_document("data point's attributes");
  }
  write_promoted_fields();
  end_document(point_id(dataset_->name, output_ordinal()));
  return true;
}

void Encoder::write_point_members(const otlp::Metric& metric, const otlp::DataPoint& point) {
  using otlp::MetricKind;
  if (point.flags != 0) {
    out_.raw(",\"flags\":");
    out_.integer(point.flags);
  }
  if (metric.kind == MetricKind::kGauge || metric.kind == MetricKind::kSum) {
    if (point.has_integer) {
      out_.raw(",\"value\":");
      out_.integer(point.integer);
    } else if (point.has_real) {
      write_real_member(",\"value\":", "naru.original_value", point.real);
    }
  } else {
    out_.raw(",\"count\":");
    write_count(point.count);
    if (point.has_sum) {
      write_real_member(",\"sum\":", "naru.original_sum", point.sum);
    }
    if (point.has_min) {
      write_real_member(",\"min\":", "naru.original_min", point.min);
    }
    if (point.has_max) {
      write_real_member(",\"max\":", "naru.original_max", point.max);
    }
  }
  if (metric.kind == MetricKind::kHistogram) {
    write_histogram(point);
  } else if (metric.kind == MetricKind::kExponentialHistogram) {
    write_exponential(point);
  } else if (metric.kind == MetricKind::kSummary) {
    write_summary(point);
  }
}

// Of the point as it came.
otlp::DocumentId Encoder::point_id(std::string_view output, std::uint32_t ordinal) {
  const Result<Hash128> resource = resource_hash();
  const Result<Hash128> attributes = otlp::hash_attributes(point_.attributes(), sorter_);
  if (!resource || !attributes) {
    return foreign_id(output, ordinal);
  }
  return ids_.metric_point(*resource, scope_.name, metric_->name, *attributes, point_.time, encoded_record_,
                           output, ordinal);
}

}  // namespace naru::prepper
