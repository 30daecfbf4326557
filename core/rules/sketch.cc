#include "core/rules/sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace naru::rules {
namespace {

constexpr double kGamma = (1 + QuantileSketch::kAccuracy) / (1 - QuantileSketch::kAccuracy);
// Values nearer to 0 than this are 0.
constexpr double kSmallest = 1e-9;
constexpr std::int32_t kZeroBucket = 0;
// Buckets of positive values are above it, of negative ones below: 1e-9 to 1e300 gives under 36,000 of each.
constexpr std::int32_t kFirst = 1;
const double kLogGamma = std::log(kGamma);
const double kLogSmallest = std::log(kSmallest);

}  // namespace

std::int32_t QuantileSketch::bucket_of(double value) {
  const double size = std::abs(value);
  if (!(size > kSmallest)) {
    return kZeroBucket;
  }
  const auto index = kFirst + static_cast<std::int32_t>(
                                  std::ceil((std::log(std::min(size, 1e300)) - kLogSmallest) / kLogGamma));
  return value > 0 ? index : -index;
}

double QuantileSketch::value_of(std::int32_t bucket) {
  if (bucket == kZeroBucket) {
    return 0;
  }
  const double upper = std::exp((std::abs(bucket) - kFirst) * kLogGamma + kLogSmallest);
  const double middle = 2 * upper / (kGamma + 1);
  return bucket > 0 ? middle : -middle;
}

void QuantileSketch::add(std::int32_t bucket, std::uint64_t count) {
  buckets_[bucket] += count;
  total_ += count;
  if (buckets_.size() > kBucketsMax) {
    const auto smallest = buckets_.begin();
    std::next(smallest)->second += smallest->second;
    buckets_.erase(smallest);
  }
}

double QuantileSketch::quantile(double q) const {
  if (total_ == 0) {
    return 0;
  }
  const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(total_)));
  std::uint64_t below = 0;
  for (const auto& [bucket, count] : buckets_) {
    below += count;
    if (below >= std::max<std::uint64_t>(rank, 1)) {
      return value_of(bucket);
    }
  }
  return value_of(buckets_.rbegin()->first);
}

double QuantileSketch::max() const {
  return buckets_.empty() ? 0 : value_of(buckets_.rbegin()->first);
}

DistinctSketch::Mark DistinctSketch::mark_of(std::uint64_t hash) {
  const auto reg = static_cast<std::uint16_t>(hash >> (64 - kBits));
  const std::uint64_t rest = hash << kBits;
  const int rank = rest == 0 ? static_cast<int>(64 - kBits) + 1 : std::countl_zero(rest) + 1;
  return {reg, static_cast<std::uint8_t>(rank)};
}

void DistinctSketch::add(Mark mark) {
  std::uint8_t& rank = registers_[mark.reg];
  rank = std::max(rank, mark.rank);
}

double DistinctSketch::estimate() const {
  constexpr double kRegisters = 1 << kBits;
  const double empty = kRegisters - static_cast<double>(registers_.size());
  double sum = empty;
  for (const auto& [reg, rank] : registers_) {
    sum += std::ldexp(1.0, -rank);
  }
  constexpr double kAlpha = 0.7213 / (1 + 1.079 / kRegisters);
  const double raw = kAlpha * kRegisters * kRegisters / sum;
  if (raw <= 2.5 * kRegisters && empty > 0) {
    return kRegisters * std::log(kRegisters / empty);
  }
  return raw;
}

}  // namespace naru::rules
