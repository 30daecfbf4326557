// Names that log rotation gives to the earlier generations of a file. Pure.
#pragma once

#include <string_view>

namespace naru::agent {

// Whether `name` may be an earlier generation, or a copy of one, of the file called `base` beside it: a
// suffix
// ("a.log.1", "a.log-20261126", "a.log.old.gz"), or a number or date before the extension ("a.1.log").
bool is_rotated_name(std::string_view base, std::string_view name);
// The same for names that rotation alone gives: only numbers and dates.
bool is_numbered_rotation(std::string_view base, std::string_view name);

}  // namespace naru::agent
