#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "prepper/program_config.h"

namespace naru::prepper {
namespace {

TEST(PrepperConfig, TakesTheDocumentedExample) {
  const auto config = config::load_file<ProgramConfig>(NARU_SOURCE_DIR "/config/prepper.yaml");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->consume.group, "naru-prepper");
  EXPECT_EQ(config->bulk.batch_bytes, 5u << 20);
}

TEST(PrepperConfig, NamesEveryProblemInOnePass) {
  const auto config = config::load_text<ProgramConfig>(
      "kafka: {brokers: 'k:9092'}\n"
      "opensearch: {urls: ['ftp://x']}\n"
      "dataset: No.Good\n"
      "topics: {logs: a, metrics: a}\n"
      "datasets_file: /no/such/datasets.yaml\n"
      "bulk: {writers: 0}\n"
      "consum: {}\n",
      "prepper.yaml");
  ASSERT_FALSE(config);
  for (const char* part : {"ftp://x", "dataset", "topics", "/no/such/datasets.yaml", "writers", "consum"}) {
    EXPECT_NE(config.error().message().find(part), std::string::npos) << part << "\n"
                                                                      << config.error().message();
  }
}

TEST(PrepperConfig, HashSeesWhatDecidesDocuments) {
  PrepperConfig a, b;
  EXPECT_EQ(config_hash(a), config_hash(b));
  b.datasets.datasets["web"].period = Period::kHour;
  EXPECT_NE(config_hash(a), config_hash(b));
}

}  // namespace
}  // namespace naru::prepper
