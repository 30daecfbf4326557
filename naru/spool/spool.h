// `naru spool`: looks into the segment logs (docs/formats/segment-log.md) below a directory: agent spool,
// collector spill, embedded bus, dead letters. Changes nothing, takes no lock: safe beside a running naru.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace CLI {
class App;
}

namespace naru {

struct SpoolOptions {
  enum class Action : std::uint8_t { kNone, kInspect, kVerify, kExport };
  Action action = Action::kNone;
  std::string directory;
  std::string format = "json";  // of an export: json or raw
  std::uint64_t from = 0;       // first offset of an export
};
void add_flags(CLI::App& app, SpoolOptions& options);

// `directory` itself, and every directory below it, that holds segments; sorted. kInvalidArgument: there is
// none, or it cannot be read.
Result<std::vector<std::string>> logs_below(const std::string& directory);

// 0: done, nothing damaged. 1: damage (verify, export: each place on stderr or stdout), or a read or write
// failed. 2: usage, and a directory without a log.
int run_spool(const SpoolOptions& options);

}  // namespace naru
