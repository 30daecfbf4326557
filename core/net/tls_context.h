// OpenSSL contexts from tls.h settings, and names out of certificates. For the .cc files of this module.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/net/tls.h"

namespace naru::net {

struct SslContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextFree>;

// TLS 1.2 or newer. kInvalidArgument: a file is missing, unreadable, not PEM, or the key belongs to another
// certificate; the message names the file.
Result<SslContext> make_server_context(const TlsServerConfig& config);
Result<SslContext> make_client_context(const TlsClientConfig& config);

// Subject alternative name (DNS, else URI, else e-mail), else common name, of the peer's verified
// certificate; empty without one.
std::string peer_identity(const SSL* ssl);

}  // namespace naru::net
