#include "prepper/processors/partial_metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/hash.h"
#include "core/otlp/build.h"
#include "core/otlp/wire.h"

namespace naru::prepper {
namespace {

// Field numbers of opentelemetry/proto/metrics/v1.
constexpr std::uint32_t kPointStart = 2, kPointTime = 3;  // of both kinds of points
constexpr std::uint32_t kNumberReal = 4, kNumberInteger = 6, kNumberAttributes = 7;
constexpr std::uint32_t kHistogramAttributes = 1, kHistogramCount = 4, kHistogramSum = 5, kHistogramScale = 6,
                        kHistogramZeroCount = 7, kHistogramPositive = 8, kHistogramNegative = 9,
                        kHistogramMin = 12, kHistogramMax = 13;
constexpr std::uint32_t kBucketsOffset = 1, kBucketsCounts = 2;
constexpr std::uint32_t kEntryKey = 1, kEntryValue = 2;  // of common/v1 KeyValue

constexpr std::uint64_t zigzag(std::int64_t value) {
  return static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
}

void append_real(std::string& out, std::uint32_t field, double value) {
  otlp::append_fixed64_field(out, field, std::bit_cast<std::uint64_t>(value));
}

constexpr std::int32_t floor_half(std::int32_t index) {
  return index >> 1;  // arithmetic: towards minus infinity
}

}  // namespace

void ExponentialHistogram::clear() {
  scale_ = kScaleMax;
  zero_ = 0;
  positive_.counts.clear();
  negative_.counts.clear();
}

void ExponentialHistogram::add(double value) {
  if (value == 0) {
    ++zero_;
  } else {
    add_to(value > 0 ? positive_ : negative_, std::abs(value));
  }
}

void ExponentialHistogram::add_to(Side& side, double magnitude) {
  const auto index_at = [&](int scale) {
    return static_cast<std::int32_t>(std::ceil(std::ldexp(std::log2(magnitude), scale))) - 1;
  };
  std::int32_t index = index_at(scale_);
  while (!side.counts.empty()) {
    const std::int32_t low = std::min(index, side.offset);
    const std::int32_t high =
        std::max(index, side.offset + static_cast<std::int32_t>(side.counts.size()) - 1);
    if (static_cast<std::size_t>(high - low) < kBucketsMax) {
      break;
    }
    halve(positive_);
    halve(negative_);
    --scale_;
    index = index_at(scale_);
  }
  if (side.counts.empty()) {
    side.offset = index;
  }
  if (index < side.offset) {
    side.counts.insert(side.counts.begin(), static_cast<std::size_t>(side.offset - index), 0);
    side.offset = index;
  }
  const auto at = static_cast<std::size_t>(index - side.offset);
  if (at >= side.counts.size()) {
    side.counts.resize(at + 1);
  }
  ++side.counts[at];
}

void ExponentialHistogram::halve(Side& side) {
  if (side.counts.empty()) {
    return;
  }
  const std::int32_t offset = floor_half(side.offset);
  std::vector<std::uint32_t> counts;
  for (std::size_t i = 0; i < side.counts.size(); ++i) {
    const auto at = static_cast<std::size_t>(floor_half(side.offset + static_cast<std::int32_t>(i)) - offset);
    counts.resize(std::max(counts.size(), at + 1));
    counts[at] += side.counts[i];
  }
  side.offset = offset;
  side.counts = std::move(counts);
}

void ExponentialHistogram::append_side(std::string& out, std::uint32_t field, const Side& side) {
  if (side.counts.empty()) {
    return;
  }
  const std::size_t mark = otlp::begin_message_field(out, field);
  otlp::append_varint_field(out, kBucketsOffset, zigzag(side.offset));
  const std::size_t packed = otlp::begin_message_field(out, kBucketsCounts);
  for (const std::uint32_t count : side.counts) {
    otlp::append_varint(out, count);
  }
  otlp::end_message_field(out, packed);
  otlp::end_message_field(out, mark);
}

void ExponentialHistogram::append_fields(std::string& out) const {
  otlp::append_varint_field(out, kHistogramScale, zigzag(scale_));
  otlp::append_fixed64_field(out, kHistogramZeroCount, zero_);
  append_side(out, kHistogramPositive, positive_);
  append_side(out, kHistogramNegative, negative_);
}

bool PartialMetrics::add(const MetricSpec& spec, UnixNanos time, std::string_view key, double value,
                         std::uint32_t ordinal, IdentitySource& identities) {
  const UnixNanos begin = time - time % spec.window;
  const std::uint64_t hash =
      xxh3_64(key) ^ (begin + reinterpret_cast<std::uintptr_t>(&spec)) * 0x9E3779B97F4A7C15ULL;
  std::vector<std::uint32_t>& candidates = index_[hash];
  Partial* partial = nullptr;
  for (const std::uint32_t at : candidates) {
    Partial& one = partials_[at];
    if (one.spec == &spec && one.window_begin == begin && one.key == key) {
      partial = &one;
      break;
    }
  }
  if (partial == nullptr) {
    const auto same_spec = [&](const Partial& one) { return one.spec == &spec; };
    if (size_ >= spec.keys_max &&
        static_cast<std::size_t>(std::count_if(
            partials_.begin(), partials_.begin() + static_cast<std::ptrdiff_t>(size_), same_spec)) >=
            spec.keys_max) {
      return false;
    }
    if (size_ == partials_.size()) {
      partials_.emplace_back();
    }
    candidates.push_back(static_cast<std::uint32_t>(size_));
    partial = &partials_[size_++];
    partial->spec = &spec;
    partial->window_begin = begin;
    partial->first_ordinal = ordinal;
    partial->first_record = identities.record_identity();
    partial->key.assign(key);
    partial->count = 0;
    partial->sum = 0;
    partial->min = partial->max = value;
    partial->histogram.clear();
  }
  ++partial->count;
  partial->sum += value;
  partial->min = std::min(partial->min, value);
  partial->max = std::max(partial->max, value);
  partial->last = value;
  if (spec.kind == MetricSpec::Kind::kHistogram) {
    partial->histogram.add(value);
  }
  return true;
}

void PartialMetrics::clear() {
  constexpr std::size_t kKeptMax = 4'096;
  size_ = 0;
  index_.clear();
  if (partials_.size() > kKeptMax) {
    partials_.resize(kKeptMax);
  }
}

void PartialMetrics::append_key(std::string& out, std::string_view name, const otlp::AnyValue& value) {
  const std::size_t mark = otlp::begin_message_field(out, kNumberAttributes);
  otlp::append_bytes_field(out, kEntryKey, name);
  const std::size_t inner = otlp::begin_message_field(out, kEntryValue);
  otlp::append_value(out, value);
  otlp::end_message_field(out, inner);
  otlp::end_message_field(out, mark);
}

void PartialMetrics::append_point(std::string& out, const Partial& partial) {
  const MetricSpec& spec = *partial.spec;
  otlp::append_fixed64_field(out, kPointStart, partial.window_begin);
  otlp::append_fixed64_field(out, kPointTime, partial.window_begin + spec.window);
  if (spec.kind != MetricSpec::Kind::kHistogram) {
    const double value = spec.kind == MetricSpec::Kind::kGauge ? partial.last : partial.sum;
    constexpr double kWholeMax = 9007199254740992.0;  // 2^53: beyond, doubles are not every whole number
    if (std::trunc(value) == value && std::abs(value) < kWholeMax) {
      otlp::append_fixed64_field(out, kNumberInteger,
                                 static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
    } else {
      append_real(out, kNumberReal, value);
    }
    out += partial.key;
    return;
  }
  otlp::append_fixed64_field(out, kHistogramCount, partial.count);
  append_real(out, kHistogramSum, partial.sum);
  append_real(out, kHistogramMin, partial.min);
  append_real(out, kHistogramMax, partial.max);
  partial.histogram.append_fields(out);
  for (otlp::Messages entries(partial.key, kNumberAttributes); entries.next();) {
    otlp::append_bytes_field(out, kHistogramAttributes, entries.bytes());
  }
}

otlp::Metric PartialMetrics::metric_of(const MetricSpec& spec) {
  constexpr std::int32_t kDelta = 1;
  otlp::Metric out;
  out.name = spec.name;
  out.unit = spec.unit;
  out.kind = spec.kind == MetricSpec::Kind::kCounter ? otlp::MetricKind::kSum
             : spec.kind == MetricSpec::Kind::kGauge ? otlp::MetricKind::kGauge
                                                     : otlp::MetricKind::kExponentialHistogram;
  out.aggregation_temporality = spec.kind == MetricSpec::Kind::kGauge ? 0 : kDelta;
  out.is_monotonic = spec.kind == MetricSpec::Kind::kCounter;
  return out;
}

}  // namespace naru::prepper
