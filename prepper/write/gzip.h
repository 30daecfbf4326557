// gzip (RFC 1952) at the fastest level, for request bodies that leave the host.
#pragma once

#include <string>
#include <string_view>

namespace naru::prepper {

std::string gzip(std::string_view bytes);

}  // namespace naru::prepper
