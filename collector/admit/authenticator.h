// Who a peer is: an agent, a client, or nobody. Pure.
#pragma once

#include <string_view>

#include "collector/config.h"
#include "core/base/result.h"
#include "core/net/http.h"

namespace naru::collector {

// Thread-safe.
class Authenticator {
 public:
  explicit Authenticator(AuthenticationConfig config) : config_(std::move(config)) {}

  // `authorization`: the Authorization header, may be empty. A verified certificate is asked first.
  // kUnauthenticated. A peer of this process is always an agent.
  Result<Role> role_of(const net::Peer& peer, std::string_view authorization) const;

 private:
  const AuthenticationConfig config_;
};

}  // namespace naru::collector
