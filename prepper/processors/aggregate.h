// Processors `aggregate` and `log_to_metric`: records become data points.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "prepper/processors/builder.h"
#include "prepper/processors/partial_metrics.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct MetricOptions {
  std::string metric;
  std::string unit = "1";
  std::vector<std::string> by;
  std::string value;
  std::chrono::milliseconds window{60'000};
  std::string dataset;
  std::uint32_t keys_max = 1'000;
};
struct AggregateOptions : MetricOptions {
  bool keep = false;
};
struct LogToMetricOptions : MetricOptions {
  MetricSpec::Kind kind = MetricSpec::Kind::kCounter;
};
void describe(config::Schema<AggregateOptions>& s);
void describe(config::Schema<LogToMetricOptions>& s);
std::unique_ptr<Processor> build(const AggregateOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const LogToMetricOptions& options, Builder& builder);

}  // namespace naru::prepper
