// A new directory for a test. With everything in it it is removed at the end: declare it before what has
// files open there.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

namespace naru::test {

class TempDir {
 public:
  TempDir() : path_((std::filesystem::temp_directory_path() / "naru-test-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {  // which fills in the six letters
      throw std::system_error(errno, std::generic_category(), path_);
    }
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace naru::test
