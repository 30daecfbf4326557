// Listener and peer addresses "host:port". Pure: resolves no names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace naru {

struct Address {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;

  // 127.0.0.0/8, ::1 or "localhost".
  bool loopback() const;
  // "host:port", with brackets around an IPv6 address.
  std::string text() const;
};

// "127.0.0.1:8080", "[::1]:8080", "collector.example:4318". The host is not looked up. Port 0 is allowed: a
// listener then takes a free one. kInvalidArgument says what is missing or wrong.
Result<Address> parse_address(std::string_view text);

// Whether the text is an IPv4 or IPv6 address alone, without port, brackets or zone.
bool is_ip(std::string_view text);

}  // namespace naru
