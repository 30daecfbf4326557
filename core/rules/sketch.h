// What a window keeps of values instead of the values: quantiles and numbers of different values. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

namespace naru::rules {

// Logarithmic buckets: a quantile is within 1 % of the true value (Masson et al., DDSketch, VLDB 2019).
// Merging is adding. At most kBucketsMax buckets; beyond, the smallest values share one.
class QuantileSketch {
 public:
  static constexpr double kAccuracy = 0.01;
  static constexpr std::size_t kBucketsMax = 2048;

  // Bucket of a value; not finite values have none and are not counted.
  static std::int32_t bucket_of(double value);
  static double value_of(std::int32_t bucket);

  void add(std::int32_t bucket, std::uint64_t count);
  void clear() {
    buckets_.clear();
    total_ = 0;
  }
  std::uint64_t total() const { return total_; }
  // 0 when empty.
  double quantile(double q) const;
  double max() const;

 private:
  std::map<std::int32_t, std::uint64_t> buckets_;
  std::uint64_t total_ = 0;
};

// HyperLogLog with 2,048 registers, kept sparse (Flajolet et al. 2007; linear counting while few): within
// about 2.3 % (one standard deviation). Merging takes the higher rank.
class DistinctSketch {
 public:
  static constexpr unsigned kBits = 11;

  struct Mark {
    std::uint16_t reg;
    std::uint8_t rank;
  };
  static Mark mark_of(std::uint64_t hash);

  void add(Mark mark);
  void clear() { registers_.clear(); }
  double estimate() const;

 private:
  std::map<std::uint16_t, std::uint8_t> registers_;
};

}  // namespace naru::rules
