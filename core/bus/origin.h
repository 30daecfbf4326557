// Where a record stood first, for one that is written to the bus again: a replayed dead letter, a parked
// copy. Records without an identity of their own keep their _id by it (docs/formats/identity.md, kind 6).
// Pure.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bus/bus.h"

namespace naru::bus {

inline constexpr std::string_view kOriginHeader = "naru.origin";

struct Origin {
  std::string cluster_id;
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::uint32_t index = 0;  // of the (first) record in its value
};

// "cluster/topic/partition/offset/index"
inline std::string format_origin(const Origin& origin) {
  return fmt::format("{}/{}/{}/{}/{}", origin.cluster_id, origin.topic, origin.partition, origin.offset,
                     origin.index);
}

// nullopt: another form.
inline std::optional<Origin> parse_origin(std::string_view text) {
  Origin out;
  const auto take_number = [&](auto& number) {
    const std::size_t slash = text.rfind('/');
    if (slash == std::string_view::npos) {
      return false;
    }
    const std::string_view digits = text.substr(slash + 1);
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    text = text.substr(0, slash);
    return end.ec == std::errc() && end.ptr == digits.data() + digits.size() && number >= 0;
  };
  if (!take_number(out.index) || !take_number(out.offset) || !take_number(out.partition)) {
    return std::nullopt;
  }
  // Neither a cluster id nor a topic holds a slash.
  const std::size_t slash = text.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == text.size() ||
      text.find('/', slash + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  out.cluster_id = text.substr(0, slash);
  out.topic = text.substr(slash + 1);
  return out;
}

// Of a consumed record: what its header says, else where it stands now.
inline Origin origin_of(const InRecord& record, std::string_view cluster_id) {
  if (record.headers != nullptr) {
    for (const Header& header : *record.headers) {
      if (header.key == kOriginHeader) {
        if (std::optional<Origin> origin = parse_origin(header.value)) {
          return std::move(*origin);
        }
      }
    }
  }
  return {.cluster_id = std::string(cluster_id),
          .topic = std::string(record.topic),
          .partition = record.partition,
          .offset = record.offset};
}

}  // namespace naru::bus
