#include "core/rules/sketch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/hash.h"

namespace naru::rules {
namespace {

TEST(QuantileSketch, IsWithinOnePercent) {
  QuantileSketch sketch;
  for (int i = 1; i <= 10'000; ++i) {
    sketch.add(QuantileSketch::bucket_of(i * 0.001), 1);
  }
  for (const double q : {0.01, 0.5, 0.9, 0.99, 1.0}) {
    EXPECT_NEAR(sketch.quantile(q), 10 * q, 10 * q * 0.0101) << q;
  }
  EXPECT_NEAR(sketch.max(), 10, 0.101);
}

TEST(QuantileSketch, OrdersNegativeZeroAndPositive) {
  QuantileSketch sketch;
  for (const double value : {-100.0, -1.0, 0.0, 1.0, 100.0}) {
    sketch.add(QuantileSketch::bucket_of(value), 1);
  }
  EXPECT_NEAR(sketch.quantile(0.2), -100, 1.01);
  EXPECT_EQ(sketch.quantile(0.6), 0);
  EXPECT_NEAR(sketch.quantile(1), 100, 1.01);
  EXPECT_EQ(QuantileSketch().quantile(0.5), 0);
}

TEST(QuantileSketch, StaysBoundedAndKeepsTheHighValues) {
  QuantileSketch sketch;
  for (int bucket = 0; bucket < 10'000; ++bucket) {
    sketch.add(bucket, 1);
  }
  EXPECT_EQ(sketch.total(), 10'000u);
  EXPECT_EQ(sketch.quantile(1), QuantileSketch::value_of(9'999));
}

TEST(DistinctSketch, CountsFewExactlyAndManyWithinAFewPercent) {
  for (const int n : {1, 10, 100, 1'000, 100'000}) {
    DistinctSketch sketch;
    for (int i = 0; i < n; ++i) {
      const DistinctSketch::Mark mark = DistinctSketch::mark_of(xxh3_64("value " + std::to_string(i)));
      sketch.add(mark);
      sketch.add(mark);
    }
    EXPECT_NEAR(sketch.estimate(), n, std::max(0.5, n * 0.07)) << n;
  }
  EXPECT_EQ(DistinctSketch().estimate(), 0);
}

}  // namespace
}  // namespace naru::rules
