// Documents of the store as the records that they were, as far as rules can ask about them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/otlp/otlp.h"

namespace naru {

struct StoredRecord {
  UnixNanos at = 0;     // its own time
  std::string request;  // OTLP, one record
};

// `source`: the `_source` of a document of logs or traces. kInvalidArgument: not of that form.
Result<StoredRecord> record_of(otlp::Signal signal, std::string_view source);

}  // namespace naru
