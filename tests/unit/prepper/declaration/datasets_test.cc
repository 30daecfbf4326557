#include "prepper/declaration/datasets.h"

#include <gtest/gtest.h>

#include "core/config/config.h"

namespace naru::prepper {
namespace {

using namespace std::chrono_literals;

Result<Datasets> load(const std::string& text) {
  return config::load_text<Datasets>(text, "datasets.yaml");
}

TEST(Declaration, EachLevelSaysOnlyWhatDiffers) {
  const auto declared = load(
      "defaults: {hot_for: 3d, delete_after: 20d, metrics: {delete_after: 90d}}\n"
      "datasets:\n"
      "  pay: {period: hour, replicas: 2, traces: {delete_after: 7d, period: day}}\n");
  ASSERT_TRUE(declared) << declared.error().message();
  using otlp::Signal;
  EXPECT_EQ(declared->resolve(Signal::kLogs, "other").delete_after, 20 * 24h);
  EXPECT_EQ(declared->resolve(Signal::kMetrics, "other").delete_after, 90 * 24h);
  EXPECT_EQ(declared->resolve(Signal::kLogs, "pay").period, Period::kHour);
  EXPECT_EQ(declared->resolve(Signal::kTraces, "pay").period, Period::kDay);
  EXPECT_EQ(declared->resolve(Signal::kTraces, "pay").delete_after, 7 * 24h);
  EXPECT_EQ(declared->resolve(Signal::kTraces, "pay").replicas, 2u);
  EXPECT_EQ(declared->resolve(Signal::kMetrics, "pay").delete_after, 90 * 24h);
  EXPECT_EQ(declared->resolve(Signal::kMetrics, "pay").hot_for, 72h);
  EXPECT_EQ(declared->resolve(Signal::kLogs, "other").codec, "best_compression");
}

TEST(Declaration, TakesTheDocumentedExample) {
  const auto declared = load_datasets(NARU_SOURCE_DIR "/config/datasets.yaml");
  ASSERT_TRUE(declared) << declared.error().message();
  // The example shows the built-in values: nobody is surprised by leaving the file out.
  const Dataset shown = declared->resolve(otlp::Signal::kLogs, "any");
  const Dataset built_in = built_in_dataset();
  EXPECT_EQ(shown.hot_for, built_in.hot_for);
  EXPECT_EQ(shown.delete_after, built_in.delete_after);
  EXPECT_EQ(shown.fields_max, built_in.fields_max);
  EXPECT_EQ(declared->lifecycle.every, LifecycleConfig{}.every);
}

TEST(Declaration, SaysWhatCannotBe) {
  for (const auto& [text, part] : {
           std::pair("datasets: {UPPER: {}}\n", "lower-case"),
           std::pair("defaults: {hot_for: 40d}\n", "hot_for is longer than delete_after"),
           std::pair("datasets: {pay: {read_only_after: 40d}}\n", "read_only_after is longer"),
           std::pair("defaults: {replicas: 0}\ncluster: {zones: [a, b]}\n", "replicas: 1"),
           std::pair("defaults: {period: week}\n", "hour"),
           std::pair("datasets: {pay: {deleteafter: 4d}}\n", "delete_after"),
           std::pair("lifecycle: {driver: curator}\n", "ism"),
       }) {
    const auto declared = load(text);
    ASSERT_FALSE(declared) << text;
    EXPECT_NE(declared.error().message().find(part), std::string::npos) << declared.error().message();
  }
}

}  // namespace
}  // namespace naru::prepper
