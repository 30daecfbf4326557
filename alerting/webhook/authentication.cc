#include "alerting/webhook/authentication.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <charconv>

#include "core/base/bytes.h"

namespace naru::alerting {
namespace {

// In a time that does not tell where they differ.
bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::unexpected<Error> refuse(std::string sentence) {
  return fail(ErrorCode::kUnauthenticated, std::move(sentence));
}

Result<void> check_hmac(const WebhookAuth& auth, const net::HttpRequest& request, UnixNanos now) {
  const std::string_view signature = request.headers.get(auth.hmac_header);
  const std::string_view stamp = request.headers.get(auth.hmac_timestamp_header);
  if (stamp.empty()) {
    return refuse(
        fmt::format("the call is signed but has no time in {}; set the timestamp header at the "
                    "sender's contact point",
                    auth.hmac_timestamp_header));
  }
  std::uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(stamp.data(), stamp.data() + stamp.size(), seconds);
  if (error != std::errc() || end != stamp.data() + stamp.size()) {
    return refuse(fmt::format("{} is no number of seconds", auth.hmac_timestamp_header));
  }
  const std::string expected = hmac_sha256_hex(auth.hmac_secret, fmt::format("{}:{}", stamp, request.body));
  std::string given(signature);
  std::ranges::transform(given, given.begin(),
                         [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (!same(given, expected)) {
    return refuse("the signature is not that of this body; check the secret on both sides");
  }
  const std::uint64_t here = now / kNanosPerSecond;
  const std::uint64_t apart = here > seconds ? here - seconds : seconds - here;
  if (apart > static_cast<std::uint64_t>(auth.hmac_skew_max.count())) {
    return refuse(
        fmt::format("the call was signed {} s from now, more than {} s; it is a repeat, or a clock "
                    "is wrong",
                    apart, auth.hmac_skew_max.count()));
  }
  return {};
}

}  // namespace

std::string hmac_sha256_hex(std::string_view secret, std::string_view message) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), out, &size);
  return to_hex({reinterpret_cast<const char*>(out), size});
}

Result<void> authenticate(const WebhookAuth& auth, const net::HttpRequest& request, UnixNanos now) {
  if (auth.empty()) {
    return request.peer.loopback
               ? Result<void>()
               : fail(ErrorCode::kPermissionDenied,
                      "webhooks are open to this machine only; configure webhooks.auth to let others in");
  }
  if (!auth.tls_identities.empty() && !request.peer.tls_identity.empty() &&
      std::ranges::find(auth.tls_identities, request.peer.tls_identity) != auth.tls_identities.end()) {
    return {};
  }
  const std::string_view authorization = request.headers.get("Authorization");
  if (!auth.bearer_token.empty() && same(authorization, "Bearer " + auth.bearer_token)) {
    return {};
  }
  if (!auth.basic_user.empty() &&
      same(authorization, "Basic " + to_base64(auth.basic_user + ":" + auth.basic_password))) {
    return {};
  }
  if (!auth.hmac_secret.empty() && request.headers.has(auth.hmac_header)) {
    return check_hmac(auth, request, now);
  }
  return refuse(authorization.empty() ? "the call carries no credentials" : "the credentials do not fit");
}

}  // namespace naru::alerting
