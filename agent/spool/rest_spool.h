// Copies of what is not acknowledged of files that lost their names (docs/formats/agent-checkpoint.md,
// "Copies"), so that it outlives the file and this process. One segment log holds them all.
//
// Does not decide what is copied or when it is no longer needed: the tailer does. Takes at most `bytes_max`
// of the disk; over it nothing is copied. Not thread-safe; copies must not outlive it.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/checkpoint/state.h"
#include "core/base/result.h"
#include "core/spool/segment_log.h"

namespace naru::agent {

class RestSpool;

// The first bytes of one generation and its bytes begin()..end().
class RestCopy {
 public:
  // As it stood when the copy was begun: its offset is the first byte that was not acknowledged.
  const FileCheckpoint& file() const { return file_; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }
  // Of the file, when the last bytes were copied. More than end(): the rest was not copied yet.
  std::uint64_t file_size() const { return std::max(file_size_, end_); }
  // At most `size` bytes at `offset` to `out`; fewer only at the end. kIo: not in the copy; kCorrupt.
  Result<std::size_t> read(std::uint64_t offset, std::size_t size, char* out);

 private:
  friend class RestSpool;
  struct Piece {
    std::uint64_t begin = 0;
    std::uint64_t entry = 0;  // of the log
  };
  Result<void> load(std::size_t piece);

  RestSpool* spool_ = nullptr;
  FileCheckpoint file_;
  std::string head_;
  std::uint64_t begin_ = 0, end_ = 0, file_size_ = 0;
  std::uint64_t first_entry_ = 0;
  std::vector<Piece> pieces_;
  std::optional<std::size_t> loaded_;  // piece that bytes_ holds
  std::string bytes_;
};

class RestSpool {
 public:
  // A copy grows by at most so many bytes a call.
  static constexpr std::size_t kPieceBytes = 256u << 10;

  RestSpool(spool::FileSystem& files, std::string directory, std::uint64_t bytes_max);
  RestSpool(const RestSpool&) = delete;
  RestSpool& operator=(const RestSpool&) = delete;

  // Finds the copies of earlier starts. Errors as spool::SegmentLog::open(); may be called again.
  Result<void> open(UnixNanos now);
  bool is_open() const { return log_ != nullptr; }

  std::shared_ptr<RestCopy> find(const Source& source) const;
  const std::map<Source, std::shared_ptr<RestCopy>>& copies() const { return copies_; }

  // Begins a copy at byte `begin`; `head` are the first bytes of the file. Durable with its first append().
  // kOverloaded: the limit; kNoSpace, kIo.
  Result<std::shared_ptr<RestCopy>> begin(const FileCheckpoint& file, std::string_view head,
                                          std::uint64_t begin, UnixNanos now);
  // Adds the bytes at its end; durable on return. `file_size`: as now seen. Errors as begin().
  Result<void> append(RestCopy& copy, std::string_view bytes, std::uint64_t file_size, UnixNanos now);
  // Forgets the copy and gives its space back.
  void release(const Source& source, UnixNanos now);

  // On disk.
  std::uint64_t bytes() const { return log_ != nullptr ? log_->stats().bytes : 0; }
  std::uint64_t damaged_places() const { return damaged_places_; }
  std::uint64_t damaged_bytes() const { return damaged_bytes_; }

 private:
  friend class RestCopy;
  Result<std::uint64_t> write(std::string_view head, std::string_view body, UnixNanos now);
  void take(std::string_view payload, std::uint64_t entry);
  void note_damage(std::uint64_t bytes);
  void trim(UnixNanos now);

  spool::FileSystem& files_;
  const std::string directory_;
  const std::uint64_t bytes_max_;
  std::unique_ptr<spool::SegmentLog> log_;
  std::map<Source, std::shared_ptr<RestCopy>> copies_;
  std::vector<Source> to_end_;  // released, but the log could not be told yet
  std::uint64_t damaged_places_ = 0;
  std::uint64_t damaged_bytes_ = 0;
};

}  // namespace naru::agent
