// One generation of a file that is being read: its descriptor, how far it was read, and reading on.
//
// Keeps no bytes: a line without its end is read again from its beginning. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/checkpoint/state.h"
#include "agent/tail/identity.h"
#include "core/base/result.h"

namespace naru::agent {

class RestCopy;

// An open file, or a copy of its rest in the agent's spool, read at given offsets.
class File {
 public:
  File() = default;
  // kNotFound, kPermissionDenied, kIo, kInvalidArgument (not a regular file).
  static Result<File> open(const std::string& path);
  // The generation is known under an inode that no file has.
  static File of(std::shared_ptr<RestCopy> copy, const Inode& inode);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  // Another handle on the same file, whatever its name is by now. kIo.
  Result<File> again() const;

  bool is_open() const { return fd_ >= 0 || copy_ != nullptr; }
  bool is_copy() const { return copy_ != nullptr; }
  void close();
  struct Facts {
    Inode inode;
    std::uint64_t born = 0;  // as KnownFile::born
    std::uint64_t size = 0;
    std::uint64_t modified = 0;  // ns
    bool unlinked = false;
  };
  Result<Facts> facts() const;
  // At most `size` bytes at `offset` to `out`; fewer only at the end of the file.
  Result<std::size_t> read(std::uint64_t offset, std::size_t size, char* out) const;
  // The same as a string.
  Result<std::string> read(std::uint64_t offset, std::size_t size) const;

 private:
  int fd_ = -1;
  std::shared_ptr<RestCopy> copy_;
  Inode copy_inode_;
};

struct Followed {
  SourceKey key = 0;
  Source source{};
  KnownFile known;               // as read; the checkpoint follows when a batch is noted
  std::uint64_t position = 0;    // of the next record
  UnixNanos names_known_at = 0;  // as FileCheckpoint::names_known_at
  UnixNanos observed_next = 0;   // least observed time of the next record: lines keep their order in time
  std::string path;              // where it is now
  std::string first_path;        // where it was first met, as its resource says
  std::string resource;          // encoded
  std::string head;              // directory and first bytes: what a copy of it would share
  std::size_t input = 0;
  bool named = true;    // a pattern names it; otherwise it was renamed away, unlinked or is a copy
  bool watched = true;  // inotify tells of it
  bool ready = false;   // stands in line to be read
  bool finish = false;  // its rest becomes a record at once: nothing will follow
  File file;
  std::uint64_t size = 0;        // as last seen
  std::uint64_t scanned = 0;     // no line feed in known.offset..scanned
  std::uint64_t changed_at = 0;  // monotonic, of the last growth

  std::uint64_t lag() const { return size > known.offset ? size - known.offset : 0; }
};

// What compare() needs to see of an open file.
struct Look {
  File::Facts facts;
  std::string head;
  std::string before;
  SeenFile seen() const { return {facts.inode, facts.born, facts.size, head, before}; }
};
Result<Look> look_at(const File& file, const KnownFile& known);

}  // namespace naru::agent
