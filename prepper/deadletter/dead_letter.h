// A dead letter as it stands on the bus (contracts.md 4): the record in a request of its own, and why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/otlp/otlp.h"
#include "prepper/process/batch.h"
#include "prepper/process/encoder.h"

namespace naru::prepper {

// The export request that holds only record `ordinal` (log record, span or data point) of `request`, with its
// resource, its scope, and naru.base moved so that the record keeps its position. kNotFound: no such record;
// kInvalidArgument: malformed.
Result<std::string> single_record(otlp::Signal signal, std::string_view request, std::uint32_t ordinal);

struct DeadLetterContext {
  std::string topic = "naru.deadletter";
  std::string pipeline = "main";
  std::string config_hash;      // of the configuration that refused the record
  std::string cluster_id = {};  // of the bus that the record came from
};

// Carries naru.origin, so that a replay of the letter keeps the id. `id`: the document's _id. `now`: the time
// of this failure.
bus::OutRecord make_dead_letter(const DeadLetterContext& context, const SourceMessage& message,
                                std::uint32_t ordinal, std::string_view id, const DeadLetterCause& cause,
                                UnixNanos now);

}  // namespace naru::prepper
