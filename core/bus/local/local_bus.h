// The bus of one process: topics as partitioned logs on disk (docs/formats/local-bus.md), with the same
// partitions, offsets, groups and acknowledgement as Kafka.
//
// Does not replicate and does not serve other processes: one process holds the directory's lock. Producers
// and consumers share the bus's state and may outlive the bus object; sends are then answered with
// kCancelled.
//
// Retention never deletes what a known group has not finished, unless `drop_unfinished_at_limit` says so. A
// group is known to a topic when it has committed there or has a consumer of it now.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/spool/file_system.h"
#include "core/telemetry/metrics.h"

namespace naru::bus {

struct LocalBusConfig {
  std::string directory;
  // Least time between two fsyncs of a partition under load; an idle partition syncs at once.
  std::chrono::microseconds fsync_interval{2000};
  std::size_t fsync_bytes = 4u << 20;  // so many waiting bytes are synced without that pause
  std::uint64_t segment_bytes = 64u << 20;
  std::uint32_t record_bytes_max = 8u << 20;  // key, headers and value of one record; kTooLarge beyond
  std::size_t pending_bytes_max = 64u << 20;  // per partition, waiting for the disk; kOverloaded beyond

  // What every known group has finished is deleted when it is older than this, or when the partition holds
  // more than this many bytes.
  std::chrono::seconds retention_age{24 * 3600};
  std::uint64_t retention_bytes = 512u << 20;
  // A partition never grows beyond this (0: until the disk is full): sends are refused (kOverloaded), or, if
  // so declared, the oldest records are deleted although a group has not finished them, and counted as lost.
  std::uint64_t partition_bytes_max = 16ull << 30;
  bool drop_unfinished_at_limit = false;

  std::uint64_t compacted_segment_bytes = 4u << 20;  // of compacted topics
  std::size_t compaction_keys_max = 1'000'000;       // a partition with more keys is not compacted
  std::chrono::seconds tombstone_age{24 * 3600};     // a deleted key is forgotten after this

  std::chrono::milliseconds housekeeping_interval{1000};  // 0: only by housekeep()
  // A consumer that does not poll for so long loses its partitions to the others of its group.
  std::chrono::milliseconds poll_interval_max{60'000};

  telemetry::Registry* metrics = nullptr;  // optional; must outlive the bus and all that it makes
};
Result<void> validate(const LocalBusConfig& config);

class LocalBus : public Bus {
 public:
  // Deletes what retention allows, compacts, shortens the log of commits. Runs by itself every
  // `housekeeping_interval`. Errors go to the log and metrics; the next run tries again.
  virtual void housekeep(UnixNanos now) = 0;
  // Why the disk refuses records now; nullopt while it takes them.
  virtual std::optional<Error> failure() const = 0;
};

// kConflict: the directory is in use by another naru. kCorrupt, kUnsupported: its contents are not this
// program's; the message names the file.
Result<std::unique_ptr<LocalBus>> open_local_bus(const LocalBusConfig& config,
                                                 spool::FileSystem& files = spool::posix_file_system());

// Which partition a key goes to: the same as Kafka producers with the `fnv1a` partitioner (32-bit FNV-1a,
// absolute value, modulo).
std::int32_t partition_of_key(std::string_view key, std::int32_t partitions);

}  // namespace naru::bus
