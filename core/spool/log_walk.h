// Reads a log's directory from outside: no lock, no change, also while a process writes it.
//
// For tools that look at a log. Owners read with LogReader, which shows only what is durable; a walk shows
// what the files hold now, so the youngest records of a live log may still be taken back. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/spool/file_system.h"
#include "core/spool/segment_format.h"

namespace naru::spool {

// One segment, after the walk passed it.
struct SegmentReport {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::optional<std::uint64_t> first_offset{};  // of the records in it; none: it holds none
  std::optional<std::uint64_t> last_offset{};
  UnixNanos first_time = 0;  // of these two
  UnixNanos last_time = 0;
  bool sparse = false;
  std::uint64_t skipped_frames = 0;  // of types that this reader does not know
  // Behind the last good frame of the youngest segment: being written, or torn. The next start cuts it off.
  std::uint64_t tail_bytes = 0;
  std::vector<Damage> damage{};
};

struct LogVisitor {
  // Every good record in order; the view lives during the call. An error ends the walk and is returned.
  std::function<Result<void>(const EntryView&)> entry{};
  std::function<Result<void>(const SegmentReport&)> segment{};
};

// Segments that are deleted during the walk are passed over. kNotFound: no such directory, or no segment in
// it. kUnsupported: written by a newer naru. kCorrupt: segments of two logs.
Result<void> walk_log(FileSystem& files, const std::string& directory, const LogVisitor& visitor);

}  // namespace naru::spool
