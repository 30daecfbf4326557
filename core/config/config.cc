#include "core/config/config.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace naru::config {
namespace {

constexpr std::size_t kFileBytesMax = 8u << 20;

}  // namespace

Result<std::string> read_config_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr) {
    return errno == ENOENT
               ? fail(ErrorCode::kNotFound, fmt::format("{} does not exist; check the path", path))
               : fail(ErrorCode::kIo,
                      fmt::format("{} cannot be opened: {}; check its rights", path, std::strerror(errno)));
  }
  std::string content;
  char buffer[64 << 10];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    content.append(buffer, n);
    if (content.size() > kFileBytesMax) {
      return fail(ErrorCode::kTooLarge,
                  fmt::format("{} is larger than 8 MiB, which no configuration is", path));
    }
  }
  if (std::ferror(file.get()) != 0) {
    return fail(ErrorCode::kIo, fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
  }
  return content;
}

}  // namespace naru::config
