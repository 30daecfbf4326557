#include "agent/tail/followed.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/spool/rest_spool.h"
#include "core/base/clock.h"

namespace naru::agent {
namespace {

std::unexpected<Error> file_error(const std::string& path, int number) {
  const ErrorCode code = number == ENOENT || number == ENOTDIR ? ErrorCode::kNotFound
                         : number == EACCES || number == EPERM ? ErrorCode::kPermissionDenied
                                                               : ErrorCode::kIo;
  return fail(code, fmt::format("cannot open {}: {}", path, std::strerror(number)));
}

}  // namespace

Result<File> File::open(const std::string& path) {
  // O_NONBLOCK: a pipe under a pattern must not stop the agent.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return file_error(path, errno);
  }
  File file;
  file.fd_ = fd;
  struct stat status{};
  if (::fstat(fd, &status) != 0) {
    return file_error(path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} is not a regular file", path));
  }
  return file;
}

File File::of(std::shared_ptr<RestCopy> copy, const Inode& inode) {
  File file;
  file.copy_ = std::move(copy);
  file.copy_inode_ = inode;
  return file;
}

Result<File> File::again() const {
  File file;
  if (copy_ != nullptr) {
    file.copy_ = copy_;
    file.copy_inode_ = copy_inode_;
    return file;
  }
  file.fd_ = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (file.fd_ < 0) {
    return file_error("a file a second time", errno);
  }
  return file;
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), copy_(std::move(other.copy_)), copy_inode_(other.copy_inode_) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    copy_ = std::move(other.copy_);
    copy_inode_ = other.copy_inode_;
  }
  return *this;
}

File::~File() {
  close();
}

void File::close() {
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
  copy_.reset();
}

Result<File::Facts> File::facts() const {
  Facts facts;
  if (copy_ != nullptr) {
    facts.inode = copy_inode_;
    facts.size = copy_->end();
    facts.unlinked = true;
    return facts;
  }
  struct statx status{};
  if (::statx(fd_, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) != 0) {
    return fail(ErrorCode::kIo, fmt::format("cannot look at an open file: {}", std::strerror(errno)));
  }
  const auto nanos = [](const struct statx_timestamp& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * kNanosPerSecond + time.tv_nsec;
  };
  facts.inode = {makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino};
  facts.born = (status.stx_mask & STATX_BTIME) != 0 ? nanos(status.stx_btime) : 0;
  facts.size = status.stx_size;
  facts.modified = nanos(status.stx_mtime);
  facts.unlinked = status.stx_nlink == 0;
  return facts;
}

Result<std::size_t> File::read(std::uint64_t offset, std::size_t size, char* out) const {
  if (copy_ != nullptr) {
    return copy_->read(offset, size, out);
  }
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = ::pread(fd_, out + have, size - have, static_cast<off_t>(offset + have));
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail(ErrorCode::kIo, fmt::format("cannot read: {}", std::strerror(errno)));
    }
    if (n == 0) {
      break;
    }
    have += static_cast<std::size_t>(n);
  }
  return have;
}

Result<std::string> File::read(std::uint64_t offset, std::size_t size) const {
  std::string bytes(size, '\0');
  NARU_TRY(const std::size_t have, read(offset, size, bytes.data()));
  bytes.resize(have);
  return bytes;
}

Result<Look> look_at(const File& file, const KnownFile& known) {
  Look look;
  NARU_TRY(look.facts, file.facts());
  NARU_TRY(look.head, file.read(0, kFingerprintBytesMax));
  if (known.window.size > 0 && look.facts.size >= known.offset) {
    NARU_TRY(look.before, file.read(known.offset - known.window.size, known.window.size));
  }
  return look;
}

}  // namespace naru::agent
