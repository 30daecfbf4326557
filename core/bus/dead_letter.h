// The headers of a dead letter (contracts.md 4), the same from every stage that writes one. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/bus/bus.h"

namespace naru::bus {

// Why a record became a dead letter. An empty `index`, or one of the others that a stage does not know, is
// written as an empty header.
struct DeadLetterHead {
  std::string kind;  // signal: logs, metrics, traces
  std::string type;
  std::string reason;
  int status = 0;
  std::string index;
  std::uint32_t attempts = 0;
  std::string source;  // topic/partition/offset; offset -1: it never got one
  std::string config_hash;
  UnixNanos first_failed_at = 0;
  UnixNanos failed_at = 0;
  std::string pipeline;
};

std::vector<Header> dead_letter_headers(const DeadLetterHead& head);

// As far as `headers` can be read. `problem`: what of them is missing or malformed, for a person; empty:
// nothing.
struct ReadDeadLetterHead {
  DeadLetterHead head;
  std::string problem;
};
ReadDeadLetterHead read_dead_letter_headers(std::span<const Header> headers);

// "topic/partition/offset". kInvalidArgument.
struct RecordPosition {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;  // -1: it never got one
};
Result<RecordPosition> parse_record_position(std::string_view text);

}  // namespace naru::bus
