// Which indices a search of a time range can find anything in: their names hold the period of their
// documents. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace naru::console {

// `alias`: logs, traces or metrics. Times in milliseconds since the epoch, `to` included. Patterns joined by
// commas, by day up to a month and by month up to two years, for indices of an hour, a day or a month each;
// the alias itself for longer ranges and for other names.
std::string indices_in(std::string_view alias, std::int64_t from, std::int64_t to);

}  // namespace naru::console
