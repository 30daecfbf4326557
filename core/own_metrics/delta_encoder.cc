#include "core/own_metrics/delta_encoder.h"

#include <bit>
#include <cstdint>

#include "core/otlp/build.h"
#include "core/otlp/wire.h"

namespace naru::own_metrics {
namespace {

using otlp::append_bytes_field;
using otlp::append_fixed64_field;
using otlp::append_string_attribute;
using otlp::append_varint_field;
using otlp::begin_message_field;
using otlp::end_message_field;
using telemetry::Series;

// Field numbers of opentelemetry/proto/{collector/metrics,metrics}/v1.
constexpr std::uint32_t kRequestResourceMetrics = 1;
constexpr std::uint32_t kResourceMetricsResource = 1, kResourceMetricsScopeMetrics = 2;
constexpr std::uint32_t kResourceAttributes = 1;
constexpr std::uint32_t kScopeMetricsScope = 1, kScopeMetricsMetrics = 2, kScopeName = 1;
constexpr std::uint32_t kMetricName = 1, kMetricDescription = 2, kMetricGauge = 5, kMetricSum = 7,
                        kMetricHistogram = 9;
constexpr std::uint32_t kDataPoints = 1, kTemporality = 2, kIsMonotonic = 3;
constexpr std::uint64_t kDelta = 1;
constexpr std::uint32_t kPointStart = 2, kPointTime = 3, kNumberDouble = 4, kNumberAttributes = 7;
constexpr std::uint32_t kHistogramCount = 4, kHistogramSum = 5, kHistogramBuckets = 6, kHistogramBounds = 7,
                        kHistogramAttributes = 9;

void append_double_field(std::string& out, std::uint32_t field, double value) {
  append_fixed64_field(out, field, std::bit_cast<std::uint64_t>(value));
}

void append_labels(std::string& out, std::uint32_t field, const telemetry::Labels& labels) {
  for (const auto& [name, value] : labels) {
    append_string_attribute(out, field, name, value);
  }
}

template <class T>
void append_packed(std::string& out, std::uint32_t field, const std::vector<T>& values) {
  std::string packed;
  for (const T value : values) {
    append_le(packed, std::bit_cast<std::uint64_t>(value));
  }
  append_bytes_field(out, field, packed);
}

}  // namespace

void DeltaEncoder::begin_at(std::span<const Series> series) {
  for (const Series& one : series) {
    if (one.kind != Series::Kind::kGauge) {
      last_[{one.name, one.labels}] = {one.value, one.buckets, one.base};
    }
  }
}

std::string DeltaEncoder::encode(std::span<const Series> series, UnixNanos now) {
  std::string out;
  const std::size_t resource_metrics = begin_message_field(out, kRequestResourceMetrics);
  const std::size_t resource = begin_message_field(out, kResourceMetricsResource);
  append_labels(out, kResourceAttributes, resource_);
  end_message_field(out, resource);
  const std::size_t scope_metrics = begin_message_field(out, kResourceMetricsScopeMetrics);
  const std::size_t scope = begin_message_field(out, kScopeMetricsScope);
  append_bytes_field(out, kScopeName, "naru.own");
  end_message_field(out, scope);
  for (const Series& one : series) {
    append(out, one, now);
  }
  end_message_field(out, scope_metrics);
  end_message_field(out, resource_metrics);
  begin_ = now;
  return out;
}

void DeltaEncoder::append(std::string& out, const Series& one, UnixNanos now) {
  double value = one.value;
  std::vector<std::uint64_t> buckets = one.buckets;
  std::uint64_t count = 0;
  if (one.kind != Series::Kind::kGauge) {
    Last& last = last_
                     .try_emplace({one.name, one.labels},
                                  Last{one.base, std::vector<std::uint64_t>(buckets.size()), one.base})
                     .first->second;
    // A series that was made anew begins again: others have counted and told what is new in its base.
    bool anew = value < last.value || one.base != last.base;
    for (std::size_t i = 0; i < buckets.size() && !anew; ++i) {
      anew = buckets[i] < last.buckets[i];
    }
    value -= anew ? one.base : last.value;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      buckets[i] -= anew ? 0 : last.buckets[i];
      count += buckets[i];
    }
    last = {one.value, one.buckets, one.base};
    if (one.kind == Series::Kind::kCounter ? value == 0 : count == 0) {
      return;
    }
  }
  const std::size_t metric = begin_message_field(out, kScopeMetricsMetrics);
  append_bytes_field(out, kMetricName, one.name);
  append_bytes_field(out, kMetricDescription, one.help);
  const std::size_t data = begin_message_field(out, one.kind == Series::Kind::kGauge     ? kMetricGauge
                                                    : one.kind == Series::Kind::kCounter ? kMetricSum
                                                                                         : kMetricHistogram);
  const std::size_t point = begin_message_field(out, kDataPoints);
  if (one.kind != Series::Kind::kGauge) {
    append_fixed64_field(out, kPointStart, begin_);
  }
  append_fixed64_field(out, kPointTime, now);
  if (one.kind == Series::Kind::kHistogram) {
    append_fixed64_field(out, kHistogramCount, count);
    append_double_field(out, kHistogramSum, value);
    append_packed(out, kHistogramBuckets, buckets);
    append_packed(out, kHistogramBounds, one.bounds);
    append_labels(out, kHistogramAttributes, one.labels);
  } else {
    append_double_field(out, kNumberDouble, value);
    append_labels(out, kNumberAttributes, one.labels);
  }
  end_message_field(out, point);
  if (one.kind != Series::Kind::kGauge) {
    append_varint_field(out, kTemporality, kDelta);
  }
  if (one.kind == Series::Kind::kCounter) {
    append_varint_field(out, kIsMonotonic, 1);
  }
  end_message_field(out, data);
  end_message_field(out, metric);
}

}  // namespace naru::own_metrics
