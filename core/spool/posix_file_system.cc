#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <system_error>
#include <utility>

#include "core/spool/file_system.h"

namespace naru::spool {
namespace {

ErrorCode code_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return ErrorCode::kNoSpace;
    case ENOENT: return ErrorCode::kNotFound;
    case EEXIST: return ErrorCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS: return ErrorCode::kPermissionDenied;
    default: return ErrorCode::kIo;
  }
}

std::unexpected<Error> fail_errno(std::string_view action, const std::string& path) {
  const int error = errno;
  const ErrorCode code = code_of(error);
  if (code == ErrorCode::kNoSpace) {
    return fail(code, fmt::format("cannot {} '{}': the {}: free space there, then it goes on by itself",
                                  action, path, error == EDQUOT ? "disk quota is used up" : "disk is full"));
  }
  return fail(code, fmt::format("cannot {} '{}': {}", action, path, std::generic_category().message(error)));
}

// A descriptor and its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

int open_retrying(const std::string& path, int flags) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t position, char* out, std::size_t size) override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(fd_.get(), out + done, size - done, static_cast<off_t>(position + done));
      if (n < 0) {
        if (errno == EINTR) {
          continue;
        }
        return fail_errno("read", path_);
      }
      if (n == 0) {
        break;
      }
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Result<void> write_at(std::uint64_t position, std::span<const std::string_view> pieces) override {
    constexpr std::size_t kVectorMax = std::min<std::size_t>(IOV_MAX, 512);
    iovec vector[kVectorMax];
    std::size_t piece = 0;
    std::size_t skipped = 0;  // bytes of pieces[piece] that are written already
    while (piece < pieces.size()) {
      std::size_t count = 0;
      for (std::size_t i = piece; i < pieces.size() && count < kVectorMax; ++i) {
        const std::string_view bytes = i == piece ? pieces[i].substr(skipped) : pieces[i];
        vector[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
      }
      const ssize_t n = ::pwritev(fd_.get(), vector, static_cast<int>(count), static_cast<off_t>(position));
      if (n < 0) {
        if (errno == EINTR) {
          continue;
        }
        return fail_errno("write", path_);
      }
      position += static_cast<std::uint64_t>(n);
      auto left = static_cast<std::size_t>(n);
      while (piece < pieces.size() && left >= pieces[piece].size() - skipped) {
        left -= pieces[piece].size() - skipped;
        skipped = 0;
        ++piece;
      }
      skipped += left;
    }
    return {};
  }

  Result<void> sync() override {
    if (::fdatasync(fd_.get()) != 0) {
      return fail_errno("sync", path_);
    }
    return {};
  }

  Result<void> truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      return fail_errno("truncate", path_);
    }
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat status{};
    if (::fstat(fd_.get(), &status) != 0) {
      return fail_errno("stat", path_);
    }
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixLock final : public DirectoryLock {
 public:
  explicit PosixLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  Descriptor fd_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    const int flags = mode == OpenMode::kRead        ? O_RDONLY
                      : mode == OpenMode::kReadWrite ? O_RDWR
                                                     : O_RDWR | O_CREAT | O_TRUNC;
    const int fd = open_retrying(path, flags);
    if (fd < 0) {
      return fail_errno("open", path);
    }
    return std::make_unique<PosixFile>(Descriptor(fd), path);
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return fail_errno(fmt::format("rename '{}' to", from), to);
    }
    return {};
  }

  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) {
      return fail_errno("delete", path);
    }
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* handle = ::opendir(directory.c_str());
    if (handle == nullptr) {
      return fail_errno("list", directory);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(handle)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") {
        names.emplace_back(name);
      }
      errno = 0;
    }
    const int error = errno;
    ::closedir(handle);
    if (error != 0) {
      errno = error;
      return fail_errno("list", directory);
    }
    std::ranges::sort(names);
    return names;
  }

  Result<void> create_directories(const std::string& path) override {
    // From the first component down, so that each new one can be synced in the parent that holds it.
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      if (::mkdir(part.c_str(), 0750) == 0) {
        const std::size_t slash = part.rfind('/');
        const std::string parent = slash == std::string::npos ? "."
                                   : slash == 0               ? "/"
                                                              : part.substr(0, slash);
        NARU_TRY_VOID(sync_directory(parent));
      } else if (errno != EEXIST) {
        return fail_errno("create directory", part);
      }
      if (end == std::string::npos) {
        break;
      }
    }
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
      return fail_errno("open directory", path);
    }
    if (!S_ISDIR(status.st_mode)) {
      return fail(ErrorCode::kIo, fmt::format("'{}' is no directory: move that file away", path));
    }
    return {};
  }

  Result<void> sync_directory(const std::string& path) override {
    const Descriptor fd(open_retrying(path, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) {
      return fail_errno("open directory", path);
    }
    if (::fsync(fd.get()) != 0) {
      return fail_errno("sync directory", path);
    }
    return {};
  }

  Result<std::unique_ptr<DirectoryLock>> lock_directory(const std::string& path) override {
    Descriptor fd(open_retrying(path, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) {
      return fail_errno("open directory", path);
    }
    int status;
    do {
      status = ::flock(fd.get(), LOCK_EX | LOCK_NB);
    } while (status != 0 && errno == EINTR);
    if (status != 0) {
      if (errno == EWOULDBLOCK) {
        return fail(ErrorCode::kConflict,
                    fmt::format("'{}' is in use by another naru: stop that one, or give this one a directory "
                                "of its own",
                                path));
      }
      return fail_errno("lock", path);
    }
    return std::make_unique<PosixLock>(std::move(fd));
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem files;
  return files;
}

}  // namespace naru::spool
