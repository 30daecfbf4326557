// Standard output of the verbs that print much: a full disk or a reader that went away is an error, not
// silence.
#pragma once

#include <string_view>

#include "core/base/result.h"

namespace naru {

// kIo, by either.
Result<void> print_out(std::string_view text);
Result<void> flush_out();

}  // namespace naru
