// A record that was sent to a second cluster without knowing whether the first took it (contracts.md 3).
#pragma once

#include <algorithm>
#include <string_view>

#include "core/bus/bus.h"

namespace naru::bus {

inline constexpr std::string_view kResentHeader = "naru.resent";

inline bool is_resent(const InRecord& record) {
  return record.headers != nullptr && std::ranges::any_of(*record.headers, [](const Header& header) {
           return header.key == kResentHeader;
         });
}

}  // namespace naru::bus
