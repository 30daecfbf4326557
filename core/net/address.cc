#include "core/net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

namespace naru::net {

Result<Address> parse_address(std::string_view text) {
  auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not a host:port address: {}", text, why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return refuse("the port is missing (0 picks a free one)");
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || port.empty()) {
    return refuse("the port must be a number from 0 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refuse("write an IPv6 address in brackets, as in [::1]:4318");
  }
  if (host.empty()) {
    return refuse("the host is missing");
  }
  return Address{std::string(host), number};
}

std::string format_address(const Address& address) {
  return address.host.find(':') == std::string::npos ? fmt::format("{}:{}", address.host, address.port)
                                                     : fmt::format("[{}]:{}", address.host, address.port);
}

bool is_loopback_host(std::string_view host) {
  if (host == "localhost" || host == "::1") {
    return true;
  }
  in_addr number{};
  return inet_pton(AF_INET, std::string(host).c_str(), &number) == 1 && (ntohl(number.s_addr) >> 24) == 127;
}

}  // namespace naru::net
