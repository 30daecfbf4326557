#include "core/base/host.h"

#include <unistd.h>

#include <climits>

namespace naru {

std::string host_name(const std::string& otherwise) {
  char name[HOST_NAME_MAX + 1] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : otherwise;
}

}  // namespace naru
