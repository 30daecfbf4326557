// All file access of the durable parts goes through this interface, so that tests can fail any call, fill the
// disk and cut the power. It hides nothing: callers say when to sync which file and which directory.
//
// Does not cache, retry or log. Paths are used as given. Errors: kNoSpace (ENOSPC, EDQUOT), kNotFound,
// kAlreadyExists, kPermissionDenied (EACCES, EPERM, EROFS), kConflict (lock), kIo (all others).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace naru::spool {

// An open file; the destructor closes it without syncing. Reads are safe from any thread, also beside one
// thread that writes.
class File {
 public:
  virtual ~File() = default;
  // Reads up to `size` bytes; fewer only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t position, char* out, std::size_t size) = 0;
  // Writes all pieces one behind the other. After an error an unknown part of them was written.
  virtual Result<void> write_at(std::uint64_t position, std::span<const std::string_view> pieces) = 0;
  // Contents and size are durable on return (fdatasync). After an error nothing written since the last
  // success may be trusted, not even after a later success.
  virtual Result<void> sync() = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size() = 0;
};

enum class OpenMode {
  kRead,       // kNotFound
  kReadWrite,  // kNotFound
  kCreate,     // an existing file is emptied
};

// Held as long as the object lives; the system releases it when the process dies.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  // Replaces `to`. Durable after sync_directory().
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  // Names of all entries but "." and "..", sorted.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  // Creates missing parts of the path, each durable in its parent. No error when it exists.
  virtual Result<void> create_directories(const std::string& path) = 0;
  virtual Result<void> sync_directory(const std::string& path) = 0;
  // kConflict: another process, or another part of this one, holds it.
  virtual Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& path) = 0;
};

// The real one. Stateless; lives as long as the process.
FileSystem& posix_file_system();

// "directory/name".
std::string join_path(std::string_view directory, std::string_view name);

// The whole file. kTooLarge: over `bytes_max`.
Result<std::string> read_file(FileSystem& files, const std::string& path, std::size_t bytes_max);

// Temp file, fsync, rename, directory fsync: after a crash the old contents or the new, never a mixture.
Result<void> replace_file(FileSystem& files, const std::string& directory, const std::string& name,
                          std::string_view contents);

}  // namespace naru::spool
