#include "core/base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "core/base/check.h"

namespace naru {

void fill_random(void* out, std::size_t size) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = getrandom(at, size, 0);
    if (got < 0) {
      NARU_CHECK(errno == EINTR, "getrandom fails only when interrupted");
      continue;
    }
    at += got;
    size -= static_cast<std::size_t>(got);
  }
}

std::array<unsigned char, 16> random_16() {
  std::array<unsigned char, 16> out;
  fill_random(out.data(), out.size());
  return out;
}

}  // namespace naru
