// Checks of addresses in configurations, and the rule about binds beyond this machine.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace naru::config {

// That a field is host:port; kInvalidArgument says what is missing or wrong.
Result<void> check_address(const std::string& text);

// What protects a listener.
struct BindProtection {
  bool tls = false;
  bool authentication = false;
  bool insecure = false;  // the operator accepts an open listener
};

// contracts.md 6: a bind beyond loopback needs TLS and authentication, or `insecure: true` beside it.
// kInvalidArgument, also for an address that cannot be parsed.
Result<void> check_bind(std::string_view address, const BindProtection& protection);

}  // namespace naru::config
