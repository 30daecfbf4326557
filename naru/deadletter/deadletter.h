// `naru deadletter list|show|replay|export`: looks at the records that were refused, and sends them again
// (contracts.md 4). Reads without a lock and commits nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/program/stop_signals.h"

namespace CLI {
class App;
}

namespace naru {

struct DeadLetterOptions {
  enum class Action : std::uint8_t { kNone, kList, kShow, kReplay, kExport };
  Action action = Action::kNone;
  // Where they are: one of these; none: the `naru up` on default_data_directory().
  std::string config;   // of the prepper
  std::string brokers;  // Kafka without TLS and credentials
  std::string data;     // of `naru up`
  std::string topic;    // empty: of the configuration, else naru.deadletter
  std::string filter;
  std::uint64_t limit = 0;        // 0: all
  std::vector<std::string> from;  // PARTITION/OFFSET
  bool raw = false;
  std::string output = "text";  // of list: or json
  std::string position;         // of show: topic/partition/offset
  std::string to;               // of replay: source or a topic; of export: a directory
  double rate = 1'000;          // records a second
  bool dry_run = false;
};
void add_flags(CLI::App& app, DeadLetterOptions& options);

// 0: done. 1: a letter could not be replayed, nothing is at that position, or a read or write failed. 2:
// usage.
int run_deadletter(const DeadLetterOptions& options, const program::StopSignals& signals);

}  // namespace naru
