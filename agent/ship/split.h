// Halves an export request without losing a record's identity. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"

namespace naru::agent {

// The first `records` records and the rest, as two requests; naru.base of a scope that is cut moves on.
// `request` is one that the agent built. kCorrupt: it is not.
Result<std::pair<std::string, std::string>> split_request(std::string_view request, std::uint64_t records);

}  // namespace naru::agent
