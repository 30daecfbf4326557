// What the agent remembers over a restart, and its bytes: docs/formats/agent-checkpoint.md. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/tail/identity.h"
#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::agent {

using Source = std::array<unsigned char, 16>;
using SourceKey = std::uint32_t;  // names a source inside one state directory
using BatchNumber = std::uint64_t;

// One generation of a file.
struct FileCheckpoint {
  SourceKey key = 0;
  Source source{};
  KnownFile known;
  std::uint64_t position = 0;  // of the record that begins at known.offset
  UnixNanos last_seen = 0;
  // By the clock of the file system: files that had its name behind it and lost it by then are all known.
  UnixNanos names_known_at = 0;
  std::string path;  // where it was first met; goes into its resource
};

// Records of one file in one batch: they have the positions position, position + 1, ... and the observed
// times observed, observed + 1 ns, ..., so that lines that were read together still sort in their order.
struct Range {
  SourceKey key = 0;
  std::uint64_t begin = 0, end = 0;
  std::uint64_t position = 0;
  std::uint32_t count = 0;
  UnixNanos observed = 0;
  std::uint32_t line_bytes_max = 0;
  Fingerprint prefix;  // of the file
  Fingerprint window;  // of the bytes that end at `end`
};

struct JournalCheckpoint {
  SourceKey key = 0;
  Source source{};
  std::uint64_t position = 0;
  std::string cursor;  // of the last record taken; empty before the first
  std::string directory;
};

struct JournalRange {
  SourceKey key = 0;
  std::uint64_t position = 0;
  std::uint32_t count = 0;
  UnixNanos observed = 0;
  std::string first_cursor, last_cursor;
};

// A batch that left, or may have left, and is not acknowledged: of files or of a journal.
struct Batch {
  BatchNumber number = 0;
  std::vector<Range> files;
  std::vector<JournalRange> journal;  // at most one
  std::uint64_t records() const;
};

// What became of the records of a batch, each counted where it happened.
struct Outcomes {
  std::uint64_t delivered = 0, rejected = 0, lost = 0;
};

struct Totals {
  std::uint64_t accepted = 0, delivered = 0, rejected = 0, lost = 0;
};

struct State {
  std::map<SourceKey, FileCheckpoint> files;
  std::map<SourceKey, JournalCheckpoint> journals;
  std::map<BatchNumber, Batch> in_flight;
  Totals totals;
  BatchNumber next_batch = 1;
  SourceKey next_key = 1;
  bool started = false;  // the very first start is over
  std::uint64_t in_flight_records() const;
};

// Payloads of frames.
std::string encode(const FileCheckpoint& file);
std::string encode(const JournalCheckpoint& journal);
std::string encode(const Batch& batch);
std::string encode_done(BatchNumber number, const Outcomes& outcomes);
std::string encode_forget(SourceKey key);
std::string encode_names(SourceKey key, UnixNanos known_at);
std::string encode_totals(const State& state);

// Applies one payload. kCorrupt: not of this format; the state is unchanged.
Result<void> apply_entry(State& state, std::string_view payload);

inline constexpr std::size_t kFrameBytesMax = 16u << 20;
inline constexpr std::size_t kFrameHeaderSize = 8;
inline constexpr std::size_t kHeaderSize = 16;
void append_frame(std::string& out, std::string_view payload);
std::string log_header();
// Header and frames that lead to `state`.
std::string snapshot(const State& state);

// Applies a whole log and returns the bytes that were good; what follows them is torn or damaged.
// kUnsupported, kCorrupt: not a log of this version.
Result<std::size_t> read_log(std::string_view bytes, State& state);

}  // namespace naru::agent
