// Faults below a program, loaded with LD_PRELOAD by tests/fault: a disk that is full or broken under one
// directory, and a wall clock that is set. What is wrong right now stands in a small file that the campaign
// writes and all programs map (environment variable NARU_TEST_FAULTS): layout `Control`, little-endian, kept
// in step with tests/fault/shim.py.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

struct Control {
  int32_t disk;  // 0 healthy, 1 full (ENOSPC on what grows), 2 broken (EIO on writes and syncs)
  int32_t reserved;
  int64_t clock_offset;  // nanoseconds added to CLOCK_REALTIME
  char directory[1024];  // absolute, without a slash at the end; the disk faults concern what lies under it
};

const volatile Control* control() {
  static const volatile Control* const mapped = []() -> const volatile Control* {
    const char* path = ::getenv("NARU_TEST_FAULTS");
    // Straight to the kernel: our own open() asks for the control file.
    const int fd =
        path == nullptr ? -1 : static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) {
      return nullptr;
    }
    void* map = ::mmap(nullptr, sizeof(Control), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    return map == MAP_FAILED ? nullptr : static_cast<const volatile Control*>(map);
  }
  ();
  return mapped;
}

template <typename Function>
Function* real(const char* name, Function*) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool under_directory(const char* path) {
  const char* directory = const_cast<const char*>(control()->directory);
  const size_t length = ::strlen(directory);
  return length != 0 && ::strncmp(path, directory, length) == 0 &&
         (path[length] == '/' || path[length] == '\0');
}

// The errno of a disk fault for this descriptor, or 0.
int fault_of(int fd, bool only_broken = false) {
  const volatile Control* now = control();
  if (now == nullptr || now->disk == 0 || (only_broken && now->disk != 2)) {
    return 0;
  }
  char link[64];
  char path[4096];
  ::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, sizeof(path) - 1);
  if (length <= 0) {
    return 0;
  }
  path[length] = '\0';
  if (!under_directory(path)) {
    return 0;
  }
  return now->disk == 2 ? EIO : ENOSPC;
}

bool refuse(int fd, bool only_broken = false) {
  const int fault = fault_of(fd, only_broken);
  if (fault != 0) {
    errno = fault;
  }
  return fault != 0;
}

bool refuse_creation(const char* path, int flags) {
  const volatile Control* now = control();
  if (now == nullptr || now->disk == 0 || (flags & O_CREAT) == 0 || !under_directory(path) ||
      ::access(path, F_OK) == 0) {
    return false;
  }
  errno = now->disk == 2 ? EIO : ENOSPC;
  return true;
}

}  // namespace

EXPORTED ssize_t write(int fd, const void* data, size_t size) {
  static const auto next = real("write", &::write);
  return refuse(fd) ? -1 : next(fd, data, size);
}
EXPORTED ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto next = real("writev", &::writev);
  return refuse(fd) ? -1 : next(fd, parts, count);
}
EXPORTED ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  static const auto next = real("pwrite", &::pwrite);
  return refuse(fd) ? -1 : next(fd, data, size, offset);
}
EXPORTED ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  static const auto next = real("pwrite64", &::pwrite64);
  return refuse(fd) ? -1 : next(fd, data, size, offset);
}
EXPORTED ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  static const auto next = real("pwritev", &::pwritev);
  return refuse(fd) ? -1 : next(fd, parts, count, offset);
}
EXPORTED int fallocate(int fd, int mode, off_t offset, off_t length) {
  static const auto next = real("fallocate", &::fallocate);
  return refuse(fd) ? -1 : next(fd, mode, offset, length);
}
EXPORTED int posix_fallocate(int fd, off_t offset, off_t length) {
  static const auto next = real("posix_fallocate", &::posix_fallocate);
  const int fault = fault_of(fd);
  return fault != 0 ? fault : next(fd, offset, length);
}
EXPORTED int fsync(int fd) {
  static const auto next = real("fsync", &::fsync);
  return refuse(fd, true) ? -1 : next(fd);
}
EXPORTED int fdatasync(int fd) {
  static const auto next = real("fdatasync", &::fdatasync);
  return refuse(fd, true) ? -1 : next(fd);
}

EXPORTED int open(const char* path, int flags, ...) {
  static const auto next = real("open", &::open);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return refuse_creation(path, flags) ? -1 : next(path, flags, mode);
}
EXPORTED int open64(const char* path, int flags, ...) {
  static const auto next = real("open64", &::open64);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return refuse_creation(path, flags) ? -1 : next(path, flags, mode);
}
EXPORTED int openat(int directory, const char* path, int flags, ...) {
  static const auto next = real("openat", &::openat);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return refuse_creation(path, flags) ? -1 : next(directory, path, flags, mode);
}

namespace {

void shift(timespec& time, int64_t nanos) {
  const int64_t sum = static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec + nanos;
  time.tv_sec = sum / 1'000'000'000;
  time.tv_nsec = sum % 1'000'000'000;
}

}  // namespace

EXPORTED int clock_gettime(clockid_t clock, timespec* out) {
  static const auto next = real("clock_gettime", &::clock_gettime);
  const int result = next(clock, out);
  if (result == 0 && clock == CLOCK_REALTIME && control() != nullptr) {
    shift(*out, control()->clock_offset);
  }
  return result;
}
// A wait for a time of the set clock: the kernel does not know that clock. Below gRPC every timer waits so,
// by the system call; without this its threads would spin for as long as the clock is ahead.
EXPORTED long syscall(long number, ...) noexcept {
  static const auto next = real("syscall", &::syscall);
  long arguments[6];
  va_list given;
  va_start(given, number);
  for (long& argument : arguments) {
    argument = va_arg(given, long);
  }
  va_end(given);
  timespec until;
  constexpr long kUntil = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
  if (number == SYS_futex && (arguments[1] & ~FUTEX_PRIVATE_FLAG) == kUntil && arguments[3] != 0 &&
      control() != nullptr) {
    until = *reinterpret_cast<const timespec*>(arguments[3]);
    shift(until, -control()->clock_offset);
    arguments[3] = reinterpret_cast<long>(&until);
  }
  return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}
EXPORTED int gettimeofday(timeval* __restrict out, void* __restrict) noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
EXPORTED time_t time(time_t* out) noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) {
    *out = now.tv_sec;
  }
  return now.tv_sec;
}
