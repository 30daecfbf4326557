// The metrics of this process as OTLP: gauges as they stand, counters and histograms as what was added since
// the request before (delta temporality), so that a rule over the stream sees growth without knowing the
// past. Pure: time is a parameter. Not thread-safe.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/telemetry/metrics.h"

namespace naru::own_metrics {

class DeltaEncoder {
 public:
  // `begin`: when the counters were 0.
  DeltaEncoder(std::map<std::string, std::string> resource, UnixNanos begin)
      : resource_(std::move(resource)), begin_(begin) {}

  // What was counted before anybody was told: it never becomes growth.
  void begin_at(std::span<const telemetry::Series> series);
  // An ExportMetricsServiceRequest; counters and histograms that did not move are left out.
  std::string encode(std::span<const telemetry::Series> series, UnixNanos now);

 private:
  struct Last {
    double value = 0;
    std::vector<std::uint64_t> buckets;
    double base = 0;
  };
  using Key = std::pair<std::string, telemetry::Labels>;

  void append(std::string& out, const telemetry::Series& one, UnixNanos now);

  const std::map<std::string, std::string> resource_;
  UnixNanos begin_;
  std::map<Key, Last> last_;
};

}  // namespace naru::own_metrics
