#include "core/telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <sstream>

#include "core/base/check.h"

namespace naru::telemetry {

void Counter::add(std::uint64_t n) const {
  static_cast<prometheus::Counter*>(impl_)->Increment(static_cast<double>(n));
}

std::uint64_t Counter::value() const {
  return static_cast<std::uint64_t>(static_cast<prometheus::Counter*>(impl_)->Value());
}

void Gauge::set(double value) const {
  static_cast<prometheus::Gauge*>(impl_)->Set(value);
}

void Gauge::add(double value) const {
  static_cast<prometheus::Gauge*>(impl_)->Increment(value);
}

double Gauge::value() const {
  return static_cast<prometheus::Gauge*>(impl_)->Value();
}

void Histogram::observe(double value) const {
  static_cast<prometheus::Histogram*>(impl_)->Observe(value);
}

namespace {

// Metric names, labels and bounds are constants of the program: what the library refuses is a defect here.
template <class Make>
auto* make_or_die(const std::string& name, Make&& make) {
  try {
    return &make();
  } catch (const std::exception& e) {
    NARU_CHECK(false, (name + ": " + e.what()).c_str());
  }
}

}  // namespace

struct Registry::Impl {
  struct Sample {
    std::uint64_t id;
    const void* series;
    std::function<void()> update;
    std::function<void()> remove;
    std::pair<std::string, Labels> key;
    double base;
  };

  // Reached through weak pointers from the tokens of samples, so that a token may outlive the
  // registry.
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  std::mutex samples_mutex;  // held while samples run: a dropped token's sample is not running any more
  std::vector<Sample> samples;
  std::uint64_t next_sample_id = 0;

  std::vector<prometheus::MetricFamily> families() {
    {
      const std::lock_guard lock(samples_mutex);
      for (const Sample& sample : samples) {
        sample.update();
      }
    }
    return registry.Collect();
  }

  void remove(std::uint64_t id) {
    const std::lock_guard lock(samples_mutex);
    const auto found = std::ranges::find(samples, id, &Sample::id);
    if (found == samples.end()) {
      return;
    }
    const Sample removed = std::move(*found);
    samples.erase(found);
    if (std::ranges::find(samples, removed.series, &Sample::series) == samples.end()) {
      removed.remove();
    }
  }

  template <class Builder, class Update>
  static std::shared_ptr<void> add(const std::shared_ptr<Impl>& self, Builder&& builder,
                                   const std::string& name, const std::string& help, const Labels& labels,
                                   Update update, double base = 0) {
    auto* family =
        make_or_die(name, [&]() -> auto& { return builder.Name(name).Help(help).Register(self->registry); });
    auto* series = make_or_die(name, [&]() -> auto& { return family->Add(labels); });
    const std::lock_guard lock(self->samples_mutex);
    const std::uint64_t id = self->next_sample_id++;
    self->samples.push_back({id,
                             series,
                             [series, update = std::move(update)] { update(*series); },
                             [family, series] { family->Remove(series); },
                             {name, labels},
                             base});
    // The token owns nothing but the duty to remove; its address only has to be non-null.
    return std::shared_ptr<void>(series, [weak = std::weak_ptr<Impl>(self), id](void*) {
      if (const auto impl = weak.lock()) {
        impl->remove(id);
      }
    });
  }
};

Registry::Registry() : impl_(std::make_shared<Impl>()) {}
Registry::~Registry() = default;

Counter Registry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return Counter(make_or_die(name, [&]() -> auto& {
    return prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(labels);
  }));
}

Gauge Registry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return Gauge(make_or_die(name, [&]() -> auto& {
    return prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(labels);
  }));
}

Histogram Registry::histogram(const std::string& name, const std::string& help,
                              const std::vector<double>& bounds, const Labels& labels) {
  return Histogram(make_or_die(name, [&]() -> auto& {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry).Add(labels, bounds);
  }));
}

std::shared_ptr<void> Registry::sampled_gauge(const std::string& name, const std::string& help,
                                              const Labels& labels, std::function<double()> sample) {
  return Impl::add(impl_, prometheus::BuildGauge(), name, help, labels,
                   [sample = std::move(sample)](prometheus::Gauge& gauge) { gauge.Set(sample()); });
}

std::shared_ptr<void> Registry::sampled_counter(const std::string& name, const std::string& help,
                                                const Labels& labels, std::function<std::uint64_t()> sample,
                                                std::uint64_t base) {
  return Impl::add(
      impl_, prometheus::BuildCounter(), name, help, labels,
      [sample = std::move(sample)](prometheus::Counter& counter) {
        counter.Increment(std::max(static_cast<double>(sample()) - counter.Value(), 0.0));
      },
      static_cast<double>(base));
}

std::string Registry::expose() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, impl_->families());
  return std::move(out).str();
}

std::vector<Series> Registry::collect() const {
  std::vector<Series> out;
  std::map<std::pair<std::string, Labels>, double> bases;
  {
    const std::lock_guard lock(impl_->samples_mutex);
    for (const Impl::Sample& sample : impl_->samples) {
      if (sample.base > 0) {
        bases[sample.key] += sample.base;
      }
    }
  }
  for (const prometheus::MetricFamily& family : impl_->families()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      Series& one = out.emplace_back();
      one.name = family.name;
      one.help = family.help;
      for (const prometheus::ClientMetric::Label& label : metric.label) {
        one.labels[label.name] = label.value;
      }
      switch (family.type) {
        case prometheus::MetricType::Counter:
          one.kind = Series::Kind::kCounter;
          one.value = metric.counter.value;
          if (const auto base = bases.find({one.name, one.labels}); base != bases.end()) {
            one.base = base->second;
          }
          break;
        case prometheus::MetricType::Histogram: {
          one.kind = Series::Kind::kHistogram;
          one.value = metric.histogram.sample_sum;
          std::uint64_t below = 0;
          for (const prometheus::ClientMetric::Bucket& bucket : metric.histogram.bucket) {
            if (std::isfinite(bucket.upper_bound)) {
              one.bounds.push_back(bucket.upper_bound);
            }
            one.buckets.push_back(bucket.cumulative_count - std::min(below, bucket.cumulative_count));
            below = bucket.cumulative_count;
          }
          break;
        }
        default: one.value = metric.gauge.value; break;
      }
    }
  }
  return out;
}

}  // namespace naru::telemetry
