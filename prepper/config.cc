#include "prepper/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/hash.h"

namespace naru::prepper {

std::vector<Problem> find_problems(const PrepperConfig& config) {
  std::vector<Problem> out;
  constexpr std::string_view kDatasetForm =
      "a data set name has 1 to 64 lower-case letters, digits or underscores";
  const auto is_normal = [](const std::string& name) { return normal_dataset(name) == name; };
  if (!config.dataset.empty() && !is_normal(config.dataset)) {
    out.push_back({"dataset", std::string(kDatasetForm)});
  }
  if (config.pipeline.empty()) {
    out.push_back({"pipeline", "the pipeline needs a name: it is a label of its metrics"});
  }
  if (config.consume.bytes_max < std::max(config.bulk.batch_bytes, config.bulk.batch_bytes_max) * 2) {
    out.push_back({"consume.bytes_max",
                   "at least two bulk batches must fit (bulk.batch_bytes_max), or a batch could never fill"});
  }
  const TopicsConfig& topics = config.topics;
  if (topics.logs == topics.metrics || topics.logs == topics.traces || topics.metrics == topics.traces) {
    out.push_back({"topics", "logs, metrics and traces need a topic each"});
  }
  return out;
}

std::string config_hash(const PrepperConfig& config) {
  std::string text = fmt::format("{}|{}|{}|{}|{}|", config.pipeline, config.dataset, config.mappings_dir,
                                 config.time.older_max.count(), config.time.newer_max.count());
  const auto periods = [&](const std::string& name) {
    for (const otlp::Signal signal : otlp::kSignals) {
      text += fmt::format("|{}={}", name, static_cast<int>(config.datasets.resolve(signal, name).period));
    }
  };
  periods("");
  for (const auto& [name, entry] : config.datasets.datasets) {
    periods(name);
  }
  return to_hex(as_bytes(xxh3_128(text))).substr(0, 16);
}

}  // namespace naru::prepper
