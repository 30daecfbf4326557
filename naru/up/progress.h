// The live line of `naru up`. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/clock.h"

namespace naru {

// Totals since the start of the process.
struct ProgressSample {
  std::uint64_t at = 0;         // monotonic nanoseconds
  std::uint64_t read = 0;       // records that came in: files, journal, OTLP, syslog
  std::uint64_t stored = 0;     // documents that the store acknowledged
  std::uint64_t lag = 0;        // records taken from the bus that are not stored yet
  std::uint64_t waiting = 0;    // requests on the bus that were not taken yet, also of earlier runs
  std::uint64_t lag_bytes = 0;  // bytes of files that are not read yet
};

// "read 12,345  stored 12,300  rate 4,100/s  lag 45 records, 3 requests on the bus, 1.2 MiB unread"; the rate
// is of stored records between the two samples.
std::string format_progress(const ProgressSample& before, const ProgressSample& now);

// 1234567 -> "1,234,567".
std::string with_thousands(std::uint64_t number);
// 1536 -> "1.5 KiB".
std::string human_bytes(std::uint64_t bytes);

}  // namespace naru
