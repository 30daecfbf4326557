// The bytes of one bus record inside a segment log entry (docs/formats/local-bus.md). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/bus/bus.h"

namespace naru::bus::local {

inline constexpr std::uint8_t kTombstoneFlag = 1;

// Everything before the value. kTooLarge: key, one header or all headers over 4 GiB.
std::string encode_record_head(const OutRecord& record);

struct RecordView {
  UnixMillis timestamp_ms = 0;
  std::string_view key;
  std::string_view headers;  // encoded
  std::string_view value;
};
// kCorrupt: lengths that do not fit the payload.
Result<RecordView> parse_record(std::string_view payload);
Result<std::vector<Header>> parse_headers(std::string_view headers);

}  // namespace naru::bus::local
