// host:port texts of listeners and peers. Pure: resolves no names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace naru::net {

struct Address {
  std::string host;  // name or number; an IPv6 number without its brackets
  std::uint16_t port = 0;
};

// "127.0.0.1:4318", "localhost:0", "[::1]:9200". kInvalidArgument: no port, a port over 65535, an empty host,
// or an IPv6 number without brackets.
Result<Address> parse_address(std::string_view text);

// The reverse of parse_address.
std::string format_address(const Address& address);

// `host` is localhost, ::1 or a number in 127.0.0.0/8: nobody outside this machine can reach it.
bool is_loopback_host(std::string_view host);

}  // namespace naru::net
