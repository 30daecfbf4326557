// Metrics of this process, in the Prometheus text format at /metrics.
//
// Handles are cheap to copy, live as long as the Registry and are safe from any thread. Count once per batch,
// not once per record. Names carry the prefix naru_, base units, `_total` on counters.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace naru::telemetry {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void add(std::uint64_t n = 1) const;
  std::uint64_t value() const;

 private:
  friend class Registry;
  explicit Counter(void* impl) : impl_(impl) {}
  void* impl_;
};

class Gauge {
 public:
  void set(double value) const;
  void add(double value) const;
  double value() const;

 private:
  friend class Registry;
  explicit Gauge(void* impl) : impl_(impl) {}
  void* impl_;
};

class Histogram {
 public:
  void observe(double value) const;

 private:
  friend class Registry;
  explicit Histogram(void* impl) : impl_(impl) {}
  void* impl_;
};

// One series as it stands.
struct Series {
  enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };
  std::string name, help;
  Labels labels;
  Kind kind = Kind::kGauge;
  double value = 0;  // of a histogram: the sum
  double base = 0;   // of a counter: what it began at, as it goes on from an earlier process
  std::vector<double> bounds;
  std::vector<std::uint64_t> buckets;  // one more than bounds; not cumulative
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The same name and labels give the same series. Broken names end the process (they are constants).
  Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds,
                      const Labels& labels = {});
  // `sample` is called at each exposition, on its thread, and must not drop a token itself. Returns a token:
  // dropping it waits for a running sample and removes the series. A token may outlive the registry.
  [[nodiscard]] std::shared_ptr<void> sampled_gauge(const std::string& name, const std::string& help,
                                                    const Labels& labels, std::function<double()> sample);
  // Likewise for a count that only grows and is kept elsewhere. A series that is removed and made anew begins
  // at the sample. `base`: what of it was counted before it was made.
  [[nodiscard]] std::shared_ptr<void> sampled_counter(const std::string& name, const std::string& help,
                                                      const Labels& labels,
                                                      std::function<std::uint64_t()> sample,
                                                      std::uint64_t base = 0);

  // The Prometheus text exposition (version 0.0.4).
  std::string expose() const;
  std::vector<Series> collect() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace naru::telemetry
