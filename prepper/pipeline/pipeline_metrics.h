// Shows what pipelines did: naru_pipeline_*_total{pipeline} and naru_pipeline_failures_total{pipeline,step}.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/telemetry/metrics.h"
#include "prepper/pipeline/pipeline.h"

namespace naru::prepper {

// Thread-safe.
class PipelineMetrics {
 public:
  // `registry` must outlive this.
  explicit PipelineMetrics(telemetry::Registry& registry) : registry_(registry) {}

  void add(const PipelineSet& set, const PipelineTally& tally) {
    const std::lock_guard lock(mutex_);
    if (set.hash() != hash_) {
      hash_ = set.hash();
      counters_.clear();
      for (const PipelineCounter& counter : set.counters()) {
        telemetry::Labels labels{{"pipeline", counter.pipeline}};
        if (!counter.step.empty()) {
          labels.emplace("step", counter.step);
        }
        counters_.push_back(
            registry_.counter("naru_pipeline_" + counter.what + "_total", help(counter.what), labels));
      }
    }
    for (std::size_t i = 0; i < tally.size(); ++i) {
      if (tally[i] > 0) {
        counters_[i].add(tally[i]);
      }
    }
  }

 private:
  static std::string help(std::string_view what) {
    return what == "records"        ? "Records that a pipeline took."
           : what == "documents"    ? "Documents that it made of them."
           : what == "dropped"      ? "Records that it dropped."
           : what == "merged"       ? "Records that went into data points."
           : what == "deadlettered" ? "Records that it made dead letters."
                                    : "Records that a step could not work on.";
  }

  telemetry::Registry& registry_;
  std::mutex mutex_;
  std::string hash_;  // of the set that the counters belong to
  std::vector<telemetry::Counter> counters_;
};

}  // namespace naru::prepper
