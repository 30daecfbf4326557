// This machine.
#pragma once

#include <string>

namespace naru {

// As the system calls it; `otherwise` when it does not say.
std::string host_name(const std::string& otherwise);

}  // namespace naru
