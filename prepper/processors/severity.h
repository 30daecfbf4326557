// Words for severities.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace naru::prepper {

// OpenTelemetry's severity number of a word in any case, or of one of klog's letters. nullopt: no such word.
std::optional<std::int32_t> severity_number(std::string_view word);

}  // namespace naru::prepper
