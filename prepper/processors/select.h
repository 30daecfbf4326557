// Processors that let records go: drop, sample, throttle, dedupe.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "prepper/processors/builder.h"
#include "prepper/processors/processor.h"

namespace naru::prepper {

struct DropOptions {};
struct SampleOptions {
  double keep = 0.1;
  std::vector<std::string> by;
};
enum class Excess : std::uint8_t { kDrop, kSample, kBlock };
struct ThrottleOptions {
  std::vector<std::string> by;
  double rate = 100;
  double burst = 0;
  Excess excess = Excess::kDrop;
  double keep = 0.01;
  std::uint32_t keys_max = 10'000;
};
struct DedupeOptions {
  std::vector<std::string> by = {"body"};
  std::chrono::milliseconds window{10'000};
  std::uint32_t keys_max = 100'000;
};
void describe(config::Schema<DropOptions>& s);
void describe(config::Schema<SampleOptions>& s);
void describe(config::Schema<ThrottleOptions>& s);
void describe(config::Schema<DedupeOptions>& s);
std::unique_ptr<Processor> build(const DropOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const SampleOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const ThrottleOptions& options, Builder& builder);
std::unique_ptr<Processor> build(const DedupeOptions& options, Builder& builder);

}  // namespace naru::prepper
