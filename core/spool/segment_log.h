// A log of entries with growing offsets in a directory of segment files (docs/formats/segment-log.md).
//
// Does not run threads, retry or group commits: GroupCommitLog does. Does not know what an entry means or who
// has read it: owners keep positions and say what may be deleted.
//
// Threading: one thread at a time appends, syncs, rolls and advances; any thread may trim, replace, ask and
// read (one LogReader per thread), also at the same time as the writer. Readers see synced entries only.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/spool/file_system.h"
#include "core/spool/segment_format.h"

namespace naru::spool {

struct SegmentLogConfig {
  std::string directory{};                    // created when missing
  std::uint64_t segment_bytes = 64u << 20;    // a segment is closed before it would grow beyond
  std::uint64_t bytes_max = 0;                // of all segments together; 0: the disk is the limit
  std::uint32_t entry_bytes_max = 32u << 20;  // at most kPayloadBytesMax
  std::uint64_t first_offset = 0;             // of a log that is created
};
Result<void> validate(const SegmentLogConfig& config);

// An entry to append: its payload is `head` and `body`, one behind the other. The caller keeps both alive.
struct EntryParts {
  std::string_view head{};
  std::string_view body{};
  std::uint32_t crc = 0;  // payload_crc(head, body)
  std::uint8_t flags = 0;
};
std::uint32_t payload_crc(std::string_view head, std::string_view body);

// Entries that one read returned. The views live as long as any copy of `owner`.
struct ReadBatch {
  std::vector<EntryView> entries;
  std::vector<Damage> damage;  // met on the way, each reported once per reader
  std::shared_ptr<const void> owner;
  std::uint64_t skipped_frames = 0;  // of types that this reader does not know
  std::uint64_t next_offset = 0;     // where the next read goes on
};

struct LogStats {
  std::uint64_t bytes = 0;  // of all segment files
  std::uint64_t segments = 0;
  std::uint64_t first_offset = 0;  // oldest entry that may be read
  std::uint64_t next_offset = 0;   // end of what is durable
  std::uint64_t torn_bytes = 0;    // cut off the tail when the log was opened
};

struct SegmentInfo {
  std::uint64_t first_offset = 0;
  std::uint64_t end_offset = 0;  // first offset of the next segment, or the durable end
  std::uint64_t bytes = 0;
  UnixNanos created = 0;
  bool sparse = false;
  bool active = false;
};

class LogReader;

class SegmentLog {
 public:
  // Takes the directory's lock, cuts off a torn tail, makes what it found durable. kConflict: in use by
  // another naru. kUnsupported: written by a newer one. kCorrupt: a segment of another log lies there.
  static Result<std::unique_ptr<SegmentLog>> open(FileSystem& files, SegmentLogConfig config, UnixNanos now);
  ~SegmentLog();
  SegmentLog(const SegmentLog&) = delete;
  SegmentLog& operator=(const SegmentLog&) = delete;

  // Writes the entries, stamped `now`, behind each other and returns the offset of the first. Neither durable
  // nor visible before sync(). After an error none of them counts as appended, except that entries of a group
  // that crossed into a new segment may stay (and are seen): the caller sends the group again, identities
  // remove the double. kTooLarge; kOverloaded: `bytes_max`; kNoSpace, kIo: the next append tries again.
  Result<std::uint64_t> append(std::span<const EntryParts> entries, UnixNanos now);
  // Makes everything appended durable and visible. After an error everything since the last success is
  // taken back and has to be appended again.
  Result<void> sync();
  // Closes the active segment (synced) and begins a new one, unless it is empty. Errors as sync().
  Result<void> roll(UnixNanos now);
  // Makes `offset` the next one when it is higher: offsets that somebody has seen are never given again.
  Result<void> advance_to(std::uint64_t offset, UnixNanos now);

  // Deletes from the front the closed segments that only hold offsets below `offset`. Returns their bytes.
  Result<std::uint64_t> trim_before(std::uint64_t offset);

  // Compaction: puts `entries` (rising offsets) in place of the closed segments from `first` to `last`
  // (first offsets). Crash-safe. Positions of readers stay valid. kNotFound: no such closed segments.
  Result<void> replace(std::uint64_t first, std::uint64_t last, std::span<const EntryView> entries);

  LogStats stats() const;
  std::vector<SegmentInfo> segments() const;
  std::uint64_t next_offset() const { return durable_next_.load(std::memory_order_acquire); }
  const LogId& log_id() const { return log_id_; }
  const std::string& directory() const { return config_.directory; }
  const SegmentLogConfig& config() const { return config_; }

 private:
  friend class LogReader;
  struct Segment;
  class BufferPool;

  SegmentLog(FileSystem& files, SegmentLogConfig config);

  Result<void> recover(UnixNanos now);
  Result<void> load_segments();
  Result<void> adopt_log_id();
  Result<void> recover_tail(UnixNanos now);
  Result<void> create_segment(std::uint64_t first_offset, UnixNanos now);
  Result<void> write_run(std::span<const EntryParts> entries, UnixNanos now);
  Result<void> repair_tail(UnixNanos now);
  std::string path_of(std::uint64_t first_offset) const;

  FileSystem& files_;
  const SegmentLogConfig config_;
  LogId log_id_{};
  std::uint32_t tag_ = 0;
  std::unique_ptr<DirectoryLock> lock_;
  std::uint64_t torn_bytes_ = 0;

  // The writer's own.
  std::shared_ptr<File> active_file_;
  std::uint64_t write_position_ = 0;  // in the active segment
  std::uint64_t next_offset_ = 0;     // of the next append
  bool tail_broken_ = false;          // what lies behind the durable end may not be trusted
  std::string staging_;
  std::vector<std::string_view> pieces_;

  std::atomic<std::uint64_t> durable_next_{0};
  std::atomic<std::uint64_t> closed_bytes_{0};
  std::mutex maintenance_;                         // one trim or replace at a time; taken before mutex_
  mutable std::mutex mutex_;                       // guards segments_ and what the Segment comment says
  std::deque<std::shared_ptr<Segment>> segments_;  // never empty once open; the last one is active
};

// A position in a log. Used by one thread; must not outlive the log, but what it returned may.
class LogReader {
 public:
  LogReader(SegmentLog& log, std::uint64_t offset) : log_(log), offset_(offset) {}

  // Returns entries from the position on, about `bytes_max` of them, at least one if there is any. No
  // entries and no damage: everything durable was read. Bytes are copied once, from the page cache.
  Result<ReadBatch> read(std::size_t bytes_max);
  std::uint64_t offset() const { return offset_; }
  void seek(std::uint64_t offset);

 private:
  struct Window;
  Result<Window> next_window(std::vector<Damage>& damage);

  SegmentLog& log_;
  std::uint64_t offset_;
  std::shared_ptr<SegmentLog::Segment> segment_;  // where position_ lies; null: not located
  std::shared_ptr<File> file_;
  std::uint64_t position_ = 0;
};

}  // namespace naru::spool
