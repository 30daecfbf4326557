#include "store/patient_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "core/telemetry/log.h"

namespace naru::store {
namespace {

constexpr auto kTryAgain = std::chrono::milliseconds(100);

bool no_room(int error) {
  return error == ENOSPC || error == EDQUOT;
}

rocksdb::IOStatus status_of(int error, const char* what, const std::string& path) {
  if (error == 0) {
    return rocksdb::IOStatus::OK();
  }
  const std::string context = std::string("while ") + what + " " + path;
  return no_room(error) ? rocksdb::IOStatus::NoSpace(context, std::strerror(error))
                        : rocksdb::IOStatus::IOError(context, std::strerror(error));
}

}  // namespace

PatientFiles::PatientFiles(std::shared_ptr<rocksdb::FileSystem> below) : rocksdb::FileSystemWrapper(below) {}

template <class Attempt>
int PatientFiles::patiently(const std::string& path, Attempt attempt) {
  int error = attempt();
  if (!no_room(error)) {
    return error;
  }
  if (waiters_.fetch_add(1, std::memory_order_relaxed) == 0) {
    telemetry::log_error(
        "store", "the disk of {} is full: the store waits for room; free some, or delete indices", path);
  }
  while (no_room(error) && !impatient_.load(std::memory_order_relaxed)) {
    std::this_thread::sleep_for(kTryAgain);
    error = attempt();
  }
  if (waiters_.fetch_sub(1, std::memory_order_relaxed) == 1 && error == 0) {
    telemetry::log_info("store", "the disk of {} has room again", path);
  }
  return error;
}

// Appends at an offset of its own, so that what a full disk cut off is continued and not repeated.
class PatientFile : public rocksdb::FSWritableFile {
 public:
  PatientFile(PatientFiles& files, std::string path, int fd)
      : files_(files), path_(std::move(path)), fd_(fd) {}
  ~PatientFile() override {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }

  using rocksdb::FSWritableFile::Append;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions&,
                           rocksdb::IODebugContext*) override {
    std::size_t done = 0;
    const int error = files_.patiently(path_, [&] {
      while (done < data.size()) {
        const ssize_t written =
            ::pwrite(fd_, data.data() + done, data.size() - done, static_cast<off_t>(size_ + done));
        if (written < 0 && errno != EINTR) {
          return errno;
        }
        done += written > 0 ? static_cast<std::size_t>(written) : 0;
      }
      return 0;
    });
    if (error == 0) {
      size_ += data.size();
    }
    return status_of(error, "writing", path_);
  }
  rocksdb::IOStatus Truncate(std::uint64_t size, const rocksdb::IOOptions&,
                             rocksdb::IODebugContext*) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
      return status_of(errno, "truncating", path_);
    }
    size_ = size;
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    const int fd = std::exchange(fd_, -1);
    return status_of(fd >= 0 && ::close(fd) != 0 ? errno : 0, "closing", path_);
  }
  rocksdb::IOStatus Flush(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return status_of(::fdatasync(fd_) != 0 ? errno : 0, "syncing", path_);
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return status_of(::fsync(fd_) != 0 ? errno : 0, "syncing", path_);
  }
  rocksdb::IOStatus RangeSync(std::uint64_t offset, std::uint64_t size, const rocksdb::IOOptions&,
                              rocksdb::IODebugContext*) override {
    const int result =
        ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE);
    return status_of(result != 0 && errno != ENOSYS ? errno : 0, "writing back", path_);
  }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override { return size_; }

 private:
  PatientFiles& files_;
  std::string path_;
  int fd_;
  std::uint64_t size_ = 0;
};

rocksdb::IOStatus PatientFiles::NewWritableFile(const std::string& path, const rocksdb::FileOptions&,
                                                std::unique_ptr<rocksdb::FSWritableFile>* result,
                                                rocksdb::IODebugContext*) {
  int fd = -1;
  const int error = patiently(path, [&] {
    fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    return fd < 0 ? errno : 0;
  });
  if (error == 0) {
    *result = std::make_unique<PatientFile>(*this, path, fd);
  }
  return status_of(error, "making", path);
}

rocksdb::IOStatus PatientFiles::CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                                   rocksdb::IODebugContext* context) {
  rocksdb::IOStatus status;
  patiently(path, [&] {
    status = target()->CreateDirIfMissing(path, options, context);
    return status.IsNoSpace() ? ENOSPC : 0;
  });
  return status;
}

rocksdb::IOStatus PatientFiles::RenameFile(const std::string& from, const std::string& to,
                                           const rocksdb::IOOptions& options,
                                           rocksdb::IODebugContext* context) {
  rocksdb::IOStatus status;
  patiently(to, [&] {
    status = target()->RenameFile(from, to, options, context);
    return status.IsNoSpace() ? ENOSPC : 0;
  });
  return status;
}

}  // namespace naru::store
