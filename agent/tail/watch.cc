#include "agent/tail/watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace naru::agent {
namespace {

constexpr unsigned kNames = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

}  // namespace

Result<Watch> Watch::make() {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    return fail(ErrorCode::kIo, fmt::format("inotify is not available: {}", std::strerror(errno)));
  }
  return Watch(fd);
}

Watch::Watch(Watch&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      by_descriptor_(std::move(other.by_descriptor_)),
      by_path_(std::move(other.by_path_)) {}

Watch::~Watch() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

bool Watch::add(const std::string& path, unsigned mask, bool directory) {
  if (by_path_.contains(path)) {
    return true;
  }
  const int descriptor = ::inotify_add_watch(fd_, path.c_str(), mask);
  if (descriptor < 0) {
    return false;
  }
  by_descriptor_[descriptor] = {path, directory};
  by_path_[path] = descriptor;
  return true;
}

bool Watch::add_directory(const std::string& path) {
  return add(path, kNames | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR, true);
}

bool Watch::add_file(const std::string& path) {
  return add(path, IN_MODIFY | IN_DELETE_SELF, false);
}

Watch::Changes Watch::take() {
  Changes changes;
  alignas(inotify_event) char buffer[1 << 16];
  ssize_t n = 0;
  while ((n = ::read(fd_, buffer, sizeof buffer)) > 0) {
    for (const char* at = buffer; at < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        changes.overflow = true;
        continue;
      }
      const auto watched = by_descriptor_.find(event->wd);
      if (watched == by_descriptor_.end()) {
        continue;
      }
      if ((event->mask & (kNames | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        changes.names = true;
      }
      if ((event->mask & IN_MODIFY) != 0) {
        std::string path = watched->second.path;
        if (event->len > 0) {
          path.append("/").append(event->name);
        }
        if (changes.modified.empty() || changes.modified.back() != path) {
          changes.modified.push_back(std::move(path));
        }
      }
      if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        ::inotify_rm_watch(fd_, event->wd);
      }
      if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) {
        by_path_.erase(watched->second.path);
        by_descriptor_.erase(watched);
      }
    }
  }
  return changes;
}

}  // namespace naru::agent
