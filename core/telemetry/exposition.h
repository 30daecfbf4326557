// Reads what Registry::expose() writes: the Prometheus text format, version 0.0.4. Pure.
//
// Takes pages of any program: comments, time stamps and OpenMetrics exemplars are passed over, and a line
// that is no sample is counted and left out. Does not check types, and does not know what a name means.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/telemetry/metrics.h"

namespace naru::telemetry {

struct MetricSample {
  std::string name;
  Labels labels;
  double value = 0;
};

struct Exposition {
  std::vector<MetricSample> samples;  // in the order of the page
  std::uint64_t bad_lines = 0;
};

inline constexpr std::size_t kExpositionSamplesMax = 100'000;

// The samples whose names begin with `prefix` (empty: all). kTooLarge: more than kExpositionSamplesMax.
Result<Exposition> parse_exposition(std::string_view text, std::string_view prefix = {});

}  // namespace naru::telemetry
