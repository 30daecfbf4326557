// What `aggregate` and `log_to_metric` make of the records of one message: data points, one for each key and
// window.
//
// A point covers the records of one resource in one message, and no other message. So it is a pure function
// of the message: read again, it gets the same identity and the same content, and sums over all points are
// exact without any state between messages (docs/decisions/0010-aggregates-per-message.md). Queries add
// points up: counts and sums by addition, percentiles from the exponential histogram's buckets.
//
// Not thread-safe: one per worker. Keeps its memory.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/otlp/otlp.h"

namespace naru::prepper {

// Counts by powers of a base (OpenTelemetry's exponential histogram): the upper bound of bucket i is
// 2^((i+1) / 2^scale). At kScaleMax neighbours differ by 2.2 %; a wider range of values halves the
// resolution.
class ExponentialHistogram {
 public:
  static constexpr int kScaleMax = 5;
  static constexpr std::size_t kBucketsMax = 160;

  void clear();
  void add(double value);  // finite
  // Appends scale, zero_count, positive and negative of an ExponentialHistogramDataPoint.
  void append_fields(std::string& out) const;
  int scale() const { return scale_; }

 private:
  struct Side {
    std::int32_t offset = 0;  // index of counts[0]
    std::vector<std::uint32_t> counts;
  };
  void add_to(Side& side, double magnitude);
  void halve(Side& side);
  static void append_side(std::string& out, std::uint32_t field, const Side& side);

  int scale_ = kScaleMax;
  std::uint64_t zero_ = 0;
  Side positive_, negative_;
};

// Tells records apart across redelivery: equal for one record read twice.
class IdentitySource {
 public:
  virtual ~IdentitySource() = default;
  virtual std::uint64_t record_identity() = 0;
};

// What one processor makes points of. Lives as long as its pipeline.
struct MetricSpec {
  enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };
  std::string name;
  std::string unit;
  Kind kind = Kind::kCounter;
  std::vector<std::string> attributes;  // names of the key's parts
  UnixNanos window = 0;                 // > 0
  std::string dataset;                  // empty: of the resource
  std::uint32_t keys_max = 1'000;       // keys and windows of one resource in one message
};

class PartialMetrics {
 public:
  struct Partial {
    const MetricSpec* spec = nullptr;
    UnixNanos window_begin = 0;
    std::uint32_t first_ordinal = 0;  // of the first record in its message
    std::uint64_t first_record = 0;   // its identity
    std::string key;                  // attributes of the point, encoded (field 7 of NumberDataPoint)
    std::uint64_t count = 0;
    double sum = 0, min = 0, max = 0, last = 0;
    ExponentialHistogram histogram;
  };

  // `key`: encoded attributes, see append_key(). False: spec.keys_max is reached, nothing was added.
  bool add(const MetricSpec& spec, UnixNanos time, std::string_view key, double value, std::uint32_t ordinal,
           IdentitySource& identities);
  bool empty() const { return size_ == 0; }
  template <class F>
  void for_each(F&& f) {
    for (std::size_t i = 0; i < size_; ++i) {
      f(partials_[i]);
    }
  }
  void clear();

  // The point of a partial: an encoded NumberDataPoint or ExponentialHistogramDataPoint.
  static void append_point(std::string& out, const Partial& partial);
  // The metric as the encoder reads it, with `data` empty: kind, delta, monotonic.
  static otlp::Metric metric_of(const MetricSpec& spec);
  static void append_key(std::string& out, std::string_view name, const otlp::AnyValue& value);

 private:
  std::vector<Partial> partials_;
  std::size_t size_ = 0;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> index_;  // by hash of spec, window and key
};

}  // namespace naru::prepper
