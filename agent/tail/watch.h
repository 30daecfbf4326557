// Changes in directories and files, from inotify. Only hints: what they name is looked at afresh.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace naru::agent {

class Watch {
 public:
  struct Changes {
    std::vector<std::string> modified;  // paths whose content may have grown or shrunk
    bool names = false;                 // files came, went or moved
    bool overflow = false;              // some events are missing: look at everything
  };

  static Result<Watch> make();
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&&) = delete;
  ~Watch();

  // Readable when there are changes.
  int fd() const { return fd_; }
  // Watching the same path again changes nothing. False: the kernel's limit (fs.inotify.max_user_watches) is
  // reached, or the path is gone; periodic looks find its changes then.
  bool add_directory(const std::string& path);
  bool add_file(const std::string& path);  // for a link's target, which its directory does not tell of
  Changes take();

 private:
  explicit Watch(int fd) : fd_(fd) {}
  bool add(const std::string& path, unsigned mask, bool directory);
  struct Watched {
    std::string path;
    bool directory = false;
  };
  int fd_ = -1;
  std::map<int, Watched> by_descriptor_;
  std::map<std::string, int> by_path_;
};

}  // namespace naru::agent
