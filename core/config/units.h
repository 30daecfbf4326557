// Durations and byte sizes as people write them: "250ms", "1h30m", "64MiB".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace naru::config {

// One or more numbers with a unit (ns, us, ms, s, m, h, d), added up; "0" needs none. At most 292 years.
// kInvalidArgument names what is wrong with the text.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);
// The shortest exact form: "1h30m", "250ms", "0s".
std::string format_duration(std::chrono::nanoseconds duration);

// A number with or without a unit: B, KiB, MiB, GiB, TiB (powers of 1024), kB, MB, GB, TB (powers of 1000).
// kInvalidArgument names what is wrong with the text.
Result<std::uint64_t> parse_bytes(std::string_view text);
// The shortest exact form in powers of 1024: "64MiB", "1500B".
std::string format_bytes(std::uint64_t bytes);

}  // namespace naru::config
