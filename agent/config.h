// Configuration of the agent. Defaults are those of the documentation; docs/formats/agent-checkpoint.md says
// what of it may change between two starts without a record changing its identity.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"

namespace naru::agent {

// Largest encoded request that a collector carries without splitting it (contracts.md 3).
inline constexpr std::size_t kRequestBytesMax = 900'000;

// A group of files. Patterns are absolute paths with *, ?, [] inside a name and ** for any depth.
struct FileInputConfig {
  std::vector<std::string> include;
  // Compressed or binary files that sit beside logs. A name matches with or without its directory.
  std::vector<std::string> exclude = {"*.gz", "*.xz", "*.bz2",   "*.zst",   "*.journal",
                                      "wtmp", "btmp", "lastlog", "faillog", "*.journal~"};
  bool from_start = false;  // files present at the very first start are read from 0, not from near their end
  std::string service_name;
  std::map<std::string, std::string> attributes;  // resource attributes
};

struct TailConfig {
  std::size_t line_bytes_max = 256u << 10;         // longer lines are cut and marked
  std::uint64_t first_start_bytes_max = 1u << 20;  // of a file present at the very first start
  std::size_t files_max = 20'000;                  // known files; over it new ones wait and are counted
  std::size_t open_files_max = 4'096;              // descriptors; over it idle files are closed
  // A line without its line feed is sent after this long without growth, and cut there. 0: only at rotation.
  std::chrono::milliseconds partial_line_after{5'000};
  std::chrono::milliseconds look_every{1'000};     // sizes of known files, beside inotify
  std::chrono::milliseconds rescan_every{10'000};  // directories, beside inotify
  std::chrono::milliseconds unnamed_wait{
      30'000};  // a file no pattern names any more is read until this quiet
  std::chrono::milliseconds copy_grace{
      10'000};                          // a file that begins like another is watched for being its copy
  std::chrono::hours forget_after{24};  // checkpoints of files that are gone
};

// Copies of unsent bytes of files that lost their names.
struct SpoolConfig {
  std::uint64_t bytes_max = 1u << 30;  // over it such files are only kept open
};

struct JournaldConfig {
  bool enabled = false;
  std::string directory;                      // empty: the machine's journal
  bool from_start = false;                    // at the very first start read everything
  std::uint64_t first_start_entries = 1'000;  // otherwise this many from the end
  std::uint64_t field_bytes_max = 256u << 10;
  std::map<std::string, std::string> attributes;  // resource attributes
};

struct ShipConfig {
  std::size_t batch_bytes = 780'000;           // a batch is closed at this encoded size
  std::size_t request_bytes_max = 3u << 20;    // batches that wait for a connection go together up to this
  std::size_t in_flight_bytes_max = 8u << 20;  // encoded and not acknowledged; over it files wait
  std::size_t connections = 2;                 // each file keeps to one of them, so its order stands
  std::chrono::milliseconds linger{100};       // least time between two requests that are not full
  std::chrono::milliseconds request_timeout{15'000};
  std::chrono::milliseconds retry_initial{250};
  std::chrono::milliseconds retry_max{30'000};
  std::chrono::milliseconds held_retry{30'000};     // a record that the collector refuses is offered again
  std::chrono::milliseconds stalled_after{60'000};  // oldest unacknowledged batch: /readyz turns red
};

struct AgentConfig {
  std::string state_dir;
  std::string host_name;                          // empty: of the system
  std::map<std::string, std::string> attributes;  // resource attributes of everything
  std::vector<FileInputConfig> files;
  TailConfig tail;
  SpoolConfig spool;
  JournaldConfig journald;
  ShipConfig ship;
};

// A problem that can be seen before anything starts.
struct Problem {
  std::string key;       // dotted, as in the configuration file
  std::string sentence;  // what is wrong and what to do
};
// All of them: limits that contradict each other, patterns that are not absolute, and directories of patterns
// that do not exist.
std::vector<Problem> find_problems(const AgentConfig& config);
// The same as one error, a line each. kInvalidArgument.
Result<void> validate(const AgentConfig& config);

void describe(config::Schema<FileInputConfig>& schema);
void describe(config::Schema<TailConfig>& schema);
void describe(config::Schema<SpoolConfig>& schema);
void describe(config::Schema<JournaldConfig>& schema);
void describe(config::Schema<ShipConfig>& schema);

}  // namespace naru::agent
