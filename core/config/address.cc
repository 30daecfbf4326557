#include "core/config/address.h"

#include <fmt/format.h>

#include "core/base/address.h"

namespace naru::config {

Result<void> check_address(const std::string& text) {
  const Result<Address> parsed = parse_address(text);
  if (!parsed) {
    return fail(parsed.error());
  }
  return {};
}

Result<void> check_bind(std::string_view address, const BindProtection& protection) {
  NARU_TRY(const Address parsed, parse_address(address));
  if (parsed.loopback() || protection.insecure || (protection.tls && protection.authentication)) {
    return {};
  }
  const std::string_view missing = protection.tls              ? "authentication"
                                   : protection.authentication ? "TLS"
                                                               : "TLS and authentication";
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("{} can be reached from other machines but has no {}: configure it, bind 127.0.0.1, "
                  "or accept the risk with `insecure: true` beside it",
                  address, missing));
}

}  // namespace naru::config
