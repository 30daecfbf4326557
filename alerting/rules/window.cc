#include "alerting/rules/window.h"

#include <algorithm>
#include <cmath>

namespace naru::alerting {
namespace {

using rules::Measure;

std::int64_t floor_to(std::int64_t second, std::int64_t step) {
  return second - ((second % step) + step) % step;
}

void add_saturated(std::uint32_t& to, std::uint64_t n) {
  to = static_cast<std::uint32_t>(std::min<std::uint64_t>(to + n, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

std::int64_t Window::step_of(const rules::Rule& rule) {
  return (rule.window.count() + kSlicesMax - 1) / kSlicesMax;
}

void Window::add(const rules::Rule& rule, const rules::SecondCount& count) {
  const std::int64_t second = floor_to(count.second, step_of(rule));
  auto at = slices_.end();
  while (at != slices_.begin() && std::prev(at)->second >= second) {
    --at;
  }
  if (at == slices_.end() || at->second != second) {
    at = slices_.insert(at, Slice{second, 0, 0, 0, nullptr});
  }
  add_saturated(at->certain, count.certain);
  add_saturated(at->possible, count.possible);
  add_saturated(at->share, count.share);
  total_ += count.certain + count.possible;
  newest_ = std::max(newest_, count.second);
  if (count.sketch.empty()) {
    return;
  }
  if (at->sketch == nullptr) {
    at->sketch = std::make_unique<Sketch>();
  }
  for (const auto& [key, n] : count.sketch) {
    const auto found = std::ranges::lower_bound(*at->sketch, key, {}, &Sketch::value_type::first);
    if (found == at->sketch->end() || found->first != key) {
      at->sketch->insert(found, {key, n});
    } else if (rule.measure == Measure::kDistinct) {
      found->second = std::max(found->second, n);
    } else {
      add_saturated(found->second, n);
    }
  }
}

// Which thresholds the window is over.
Peak Window::judge(const rules::Rule& rule, std::int64_t end, const Sum& sum, double sketched) {
  const auto certain = static_cast<double>(sum.certain);
  const auto all = static_cast<double>(sum.certain + sum.possible);
  double for_caution = all, for_critical = certain;
  switch (rule.measure) {
    case Measure::kCount: break;
    case Measure::kRate:
      for_caution /= static_cast<double>(rule.window.count());
      for_critical /= static_cast<double>(rule.window.count());
      break;
    case Measure::kRatio:
      for_caution = for_critical = sum.certain == 0 ? 0 : static_cast<double>(sum.share) / certain;
      break;
    case Measure::kPercentile:
    case Measure::kDistinct:
    case Measure::kMax: for_caution = for_critical = sketched; break;
    case Measure::kAbsence: return {};
  }
  if (sum.certain + sum.possible < std::max<std::uint64_t>(rule.minimum, 1)) {
    return {};
  }
  Peak peak;
  if (rule.caution_above && for_caution > *rule.caution_above) {
    run(Level::kCaution).add(end);
    peak = {Level::kCaution, for_caution, sum.certain + sum.possible};
  } else if (!rule.caution_above && for_critical <= *rule.critical_above &&
             for_caution > *rule.critical_above) {
    // Records of which another cluster may have a copy: possible, so no more than CAUTION.
    run(Level::kCaution).add(end);
    peak = {Level::kCaution, for_caution, sum.certain + sum.possible};
  }
  if (rule.critical_above && for_critical > *rule.critical_above) {
    run(Level::kCritical).add(end);
    peak = {Level::kCritical, for_critical, sum.certain};
  }
  return peak;
}

Peak Window::look_ahead(const rules::Rule& rule, std::int64_t changed) {
  const double lowest = rule.threshold(Level::kCaution) *
                        (rule.measure == Measure::kRate ? static_cast<double>(rule.window.count()) : 1.0);
  const std::int64_t step = step_of(rule);
  const std::int64_t window = rule.window.count();
  const std::int64_t first_end = floor_to(changed, step) + step - 1;
  const std::int64_t last_end = first_end + window - step;
  const Level highest = rule.critical_above ? Level::kCritical : Level::kCaution;
  if (static_cast<double>(total_) <= lowest ||
      (run(highest).from <= first_end && run(highest).until >= last_end)) {
    return {};  // no window can be over, or none can tell anything new
  }
  auto from = slices_.begin();
  auto to = from;
  Sum sum;
  Peak peak;
  for (std::int64_t end = first_end; end <= last_end; end += step) {
    for (; to != slices_.end() && to->second <= end; ++to) {
      sum.certain += to->certain;
      sum.possible += to->possible;
    }
    for (; from != to && from->second <= end - window; ++from) {
      sum.certain -= from->certain;
      sum.possible -= from->possible;
    }
    Peak here;
    for (std::int64_t second = end - step + 1; second <= end; ++second) {
      here = judge(rule, second, sum, 0);
    }
    if (here.level > peak.level || (here.level == peak.level && here.value > peak.value)) {
      peak = here;
    }
  }
  return peak;
}

Peak Window::look_at(const rules::Rule& rule, std::int64_t end) {
  const std::int64_t begin = end - rule.window.count();
  Sum sum;
  rules::QuantileSketch quantiles;
  rules::DistinctSketch distinct;
  for (const Slice& slice : slices_) {
    if (slice.second <= begin || slice.second > end) {
      continue;
    }
    sum.certain += slice.certain;
    sum.possible += slice.possible;
    sum.share += slice.share;
    if (slice.sketch == nullptr) {
      continue;
    }
    for (const auto& [key, n] : *slice.sketch) {
      if (rule.measure == Measure::kDistinct) {
        distinct.add({static_cast<std::uint16_t>(key), static_cast<std::uint8_t>(n)});
      } else {
        quantiles.add(key, n);
      }
    }
  }
  double sketched = 0;
  switch (rule.measure) {
    case Measure::kPercentile: sketched = quantiles.quantile(rule.quantile); break;
    case Measure::kMax: sketched = quantiles.max(); break;
    case Measure::kDistinct: sketched = std::round(distinct.estimate()); break;
    default: break;
  }
  return judge(rule, end, sum, sketched);
}

void Window::forget_before(const rules::Rule& rule, std::int64_t end) {
  const auto kept = std::ranges::find_if(
      slices_, [&](const Slice& slice) { return slice.second > end - rule.window.count() - step_of(rule); });
  for (auto old = slices_.begin(); old != kept; ++old) {
    total_ -= std::min<std::uint64_t>(total_, std::uint64_t{old->certain} + old->possible);
  }
  slices_.erase(slices_.begin(), kept);
  if (slices_.empty()) {
    slices_.shrink_to_fit();
  }
}

}  // namespace naru::alerting
