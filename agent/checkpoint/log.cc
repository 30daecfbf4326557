#include "agent/checkpoint/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/check.h"

namespace naru::agent {
namespace {

constexpr std::size_t kCompactBytesMin = 1u << 20;
constexpr std::size_t kCompactFactor = 4;

std::unexpected<Error> system_error(std::string_view action, const std::string& path, int number) {
  const ErrorCode code = number == ENOSPC || number == EDQUOT  ? ErrorCode::kNoSpace
                         : number == EACCES || number == EROFS ? ErrorCode::kPermissionDenied
                                                               : ErrorCode::kIo;
  return fail(code, fmt::format("cannot {} {}: {}", action, path, std::strerror(number)));
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return system_error("write", path, errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return system_error("open", directory, errno);
  }
  const bool ok = ::fsync(fd) == 0;
  const int number = errno;
  ::close(fd);
  if (!ok) {
    return system_error("sync", directory, number);
  }
  return {};
}

// Empty when the file does not exist.
Result<std::string> read_whole(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) {
      return std::string();
    }
    return system_error("open", path, errno);
  }
  std::string bytes;
  struct stat status{};
  if (::fstat(fd, &status) == 0) {
    bytes.reserve(static_cast<std::size_t>(status.st_size));
  }
  char buffer[1 << 16];
  ssize_t n = 0;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
    bytes.append(buffer, static_cast<std::size_t>(n > 0 ? n : 0));
  }
  const int number = errno;
  ::close(fd);
  if (n < 0) {
    return system_error("read", path, number);
  }
  return bytes;
}

}  // namespace

CheckpointLog::CheckpointLog(std::string directory) : directory_(std::move(directory)) {}

CheckpointLog::~CheckpointLog() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  if (lock_fd_ >= 0) {
    ::close(lock_fd_);
  }
}

Result<std::unique_ptr<CheckpointLog>> CheckpointLog::open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return system_error("make the state directory", directory, error.value());
  }
  std::unique_ptr<CheckpointLog> log(new CheckpointLog(directory));
  const std::string lock_path = directory + "/lock";
  log->lock_fd_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (log->lock_fd_ < 0) {
    return system_error("open", lock_path, errno);
  }
  if (::flock(log->lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::kConflict,
                fmt::format("another agent uses the state directory {}: stop it, or give this one a "
                            "directory of its own",
                            directory));
  }
  const std::string path = directory + "/agent.state";
  NARU_TRY(const std::string bytes, read_whole(path));
  if (!bytes.empty()) {
    Result<std::size_t> good = read_log(bytes, log->state_);
    if (!good) {
      return fail(good.error().with_context(
          fmt::format("the agent's state {} cannot be read (move it away to begin with new sources)", path)));
    }
    log->damaged_bytes_ = bytes.size() - *good;
  }
  if (log->damaged_bytes_ > 0) {
    const std::string kept = path + ".damaged";
    const int fd = ::open(kept.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
      return system_error("open", kept, errno);
    }
    auto written = write_all(fd, std::string_view(bytes).substr(bytes.size() - log->damaged_bytes_), kept);
    ::close(fd);
    NARU_TRY_VOID(written);
  }
  NARU_TRY_VOID(log->rewrite());
  return log;
}

Result<void> CheckpointLog::rewrite() {
  const std::string path = directory_ + "/agent.state";
  const std::string fresh = path + ".new";
  const std::string bytes = snapshot(state_);
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) {
    return system_error("open", fresh, errno);
  }
  Result<void> done = write_all(fd, bytes, fresh);
  if (done && ::fsync(fd) != 0) {
    done = system_error("sync", fresh, errno);
  }
  if (done && ::rename(fresh.c_str(), path.c_str()) != 0) {
    done = system_error("rename", fresh, errno);
  }
  if (done) {
    done = sync_directory(directory_);
  }
  if (!done) {
    ::close(fd);
    broken_ = true;
    return done;
  }
  if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = fd;
  broken_ = false;
  size_ = snapshot_size_ = bytes.size();
  return {};
}

Result<void> CheckpointLog::append(const std::vector<std::string>& payloads, Sync sync) {
  if (payloads.empty()) {
    return {};
  }
  const std::lock_guard lock(mutex_);
  if (broken_ || (size_ >= kCompactBytesMin && size_ >= kCompactFactor * snapshot_size_)) {
    NARU_TRY_VOID(rewrite());
  }
  std::string bytes;
  for (const std::string& payload : payloads) {
    append_frame(bytes, payload);
  }
  Result<void> done = write_all(fd_, bytes, directory_ + "/agent.state");
  if (done && sync == Sync::kYes && ::fdatasync(fd_) != 0) {
    done = system_error("sync", directory_ + "/agent.state", errno);
  }
  if (!done) {
    broken_ = true;
    return done;
  }
  size_ += bytes.size();
  for (const std::string& payload : payloads) {
    NARU_CHECK(apply_entry(state_, payload).has_value(), "the agent wrote an entry that it cannot read");
  }
  return {};
}

void CheckpointLog::read(const std::function<void(const State&)>& look) const {
  const std::lock_guard lock(mutex_);
  look(state_);
}

BatchNumber CheckpointLog::draw_batch() {
  const std::lock_guard lock(mutex_);
  return state_.next_batch++;
}

SourceKey CheckpointLog::draw_key() {
  const std::lock_guard lock(mutex_);
  return state_.next_key++;
}

}  // namespace naru::agent
