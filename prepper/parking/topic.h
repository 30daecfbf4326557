// Names of the topics of parked records.
#pragma once

#include <string>
#include <string_view>

#include "core/otlp/otlp.h"

namespace naru::prepper {

inline constexpr std::string_view kParkedPrefix = "naru.parked.";

// One topic per signal: a bus record says its signal by its topic.
inline std::string parked_topic(const std::string& dataset, otlp::Signal signal) {
  return std::string(kParkedPrefix) + dataset + "." + std::string(otlp::to_string(signal));
}

}  // namespace naru::prepper
