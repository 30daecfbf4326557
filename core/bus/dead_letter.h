// The headers of a dead letter (contracts.md 4), the same from every stage that writes one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/clock.h"
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

inline std::vector<Header> dead_letter_headers(const DeadLetterHead& head) {
  return {{"naru.dl.kind", head.kind},
          {"naru.dl.type", head.type},
          {"naru.dl.reason", head.reason},
          {"naru.dl.status", std::to_string(head.status)},
          {"naru.dl.index", head.index},
          {"naru.dl.attempts", std::to_string(head.attempts)},
          {"naru.dl.source", head.source},
          {"naru.dl.config_hash", head.config_hash},
          {"naru.dl.first_failed_at", format_rfc3339(head.first_failed_at)},
          {"naru.dl.failed_at", format_rfc3339(head.failed_at)},
          {"naru.dl.pipeline", head.pipeline}};
}

}  // namespace naru::bus
