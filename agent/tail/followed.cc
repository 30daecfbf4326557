#include "agent/tail/followed.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

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

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
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
}

Result<File::Facts> File::facts() const {
  struct stat status{};
  if (::fstat(fd_, &status) != 0) {
    return fail(ErrorCode::kIo, fmt::format("cannot look at an open file: {}", std::strerror(errno)));
  }
  return Facts{
      {status.st_dev, status.st_ino}, static_cast<std::uint64_t>(status.st_size), status.st_nlink == 0};
}

Result<std::size_t> File::read(std::uint64_t offset, std::size_t size, char* out) const {
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
