#include "core/base/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace naru {
namespace {

std::unexpected<Error> bad_address(std::string_view text, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" {}; write host:port, such as 127.0.0.1:8080 or [::1]:8080", text, why));
}

}  // namespace

bool Address::loopback() const {
  if (host == "localhost") {
    return true;
  }
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string Address::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<Address> parse_address(std::string_view text) {
  std::string_view host;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return bad_address(text, "has no closing bracket");
    }
    host = text.substr(1, close - 1);
    in6_addr v6{};
    if (inet_pton(AF_INET6, std::string(host).c_str(), &v6) != 1) {
      return bad_address(text, "has no IPv6 address between its brackets");
    }
    if (close + 1 >= text.size() || text[close + 1] != ':') {
      return bad_address(text, "has no port");
    }
    port = text.substr(close + 2);
  } else {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
      return bad_address(text, "has no port");
    }
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return bad_address(text, "has more than one colon (an IPv6 address needs brackets)");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (host.empty()) {
    return bad_address(text, "has no host");
  }
  if (host.find_first_of(" /@?#") != std::string_view::npos) {
    return bad_address(text, "has a character in its host that no host name has");
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (port.empty() || error != std::errc() || end != port.data() + port.size() || number > 65535) {
    return bad_address(text, "has no port between 0 and 65535");
  }
  return Address{std::string(host), static_cast<std::uint16_t>(number)};
}

bool is_ip(std::string_view text) {
  char copy[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof(copy)) {
    return false;
  }
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  unsigned char address[16];
  return inet_pton(AF_INET, copy, address) == 1 || inet_pton(AF_INET6, copy, address) == 1;
}

}  // namespace naru
