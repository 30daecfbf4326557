// Who may post to a webhook: HMAC as Grafana signs, a bearer token, a password, or a client certificate.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/net/http.h"

namespace naru::alerting {

// All that are configured are ways in; one that fits is enough. None: only this machine itself.
struct WebhookAuth {
  std::string hmac_secret;
  std::string hmac_header = "X-Grafana-Alerting-Signature";
  // With a secret it must be named: without a time in what is signed, whoever saw one call could repeat it.
  std::string hmac_timestamp_header;
  std::chrono::seconds hmac_skew_max{300};
  std::string bearer_token;
  std::string basic_user;
  std::string basic_password;
  std::vector<std::string> tls_identities;  // of verified client certificates

  bool empty() const {
    return hmac_secret.empty() && bearer_token.empty() && basic_user.empty() && tls_identities.empty();
  }
};

// kUnauthenticated: nothing that fits, and why not. kPermissionDenied: not from here.
Result<void> authenticate(const WebhookAuth& auth, const net::HttpRequest& request, UnixNanos now);

// hex(HMAC-SHA256(secret, message)).
std::string hmac_sha256_hex(std::string_view secret, std::string_view message);

}  // namespace naru::alerting
