#include "collector/admit/authenticator.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "core/base/bytes.h"

namespace naru::collector {
namespace {

constexpr std::string_view kInProcess = "in-process";

// Takes the same time wherever two texts of one length differ.
bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) {
    return false;
  }
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

// The credentials of `authorization` if it is of this scheme.
std::optional<std::string_view> credentials(std::string_view authorization, std::string_view scheme) {
  if (authorization.size() <= scheme.size() || authorization[scheme.size()] != ' ' ||
      !std::ranges::equal(authorization.substr(0, scheme.size()), scheme, [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
      })) {
    return std::nullopt;
  }
  const std::string_view rest = authorization.substr(scheme.size());
  const auto begin = rest.find_first_not_of(' ');
  return begin == std::string_view::npos ? std::string_view{} : rest.substr(begin);
}

}  // namespace

Result<Role> Authenticator::role_of(const net::Peer& peer, std::string_view authorization) const {
  if (peer.address == kInProcess) {
    return Role::kAgent;
  }
  if (!config_.configured()) {
    return peer.loopback ? Role::kAgent : Role::kClient;
  }
  if (!peer.tls_identity.empty()) {
    for (const CertificateConfig& known : config_.certificates) {
      if (known.identity == "*" || known.identity == peer.tls_identity) {
        return known.role;
      }
    }
  }
  if (const auto token = credentials(authorization, "Bearer")) {
    for (const TokenConfig& known : config_.tokens) {
      if (same_secret(known.token, *token)) {
        return known.role;
      }
    }
  } else if (const auto encoded = credentials(authorization, "Basic")) {
    const std::optional<std::string> pair = from_base64(*encoded);
    for (const BasicConfig& known : config_.basic) {
      if (pair && same_secret(known.user + ":" + known.password, *pair)) {
        return known.role;
      }
    }
  } else if (authorization.empty()) {
    return fail(
        ErrorCode::kUnauthenticated,
        "this collector wants credentials: send an Authorization header (Bearer or Basic) or a client "
        "certificate that it knows");
  }
  return fail(ErrorCode::kUnauthenticated, "these credentials are not known to this collector");
}

}  // namespace naru::collector
