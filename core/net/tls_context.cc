#include "core/net/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

namespace naru::net {
namespace {

std::string take_openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) {
    return "unknown reason";
  }
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("OpenSSL error {:#x}", code);
}

std::unexpected<Error> refuse(std::string_view what, const std::string& file) {
  errno = 0;
  if (!std::ifstream(file).good()) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("cannot read the {} file '{}': {}", what, file,
                                                         errno != 0 ? std::strerror(errno) : "no such file"));
  }
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("the {} file '{}' cannot be used: {} (PEM is expected)", what, file, take_openssl_error()));
}

Result<void> load_pair(SSL_CTX* context, const std::string& certificate_file, const std::string& key_file) {
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
    return refuse("certificate", certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return refuse("key", key_file);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("the key '{}' does not belong to the certificate '{}'", key_file, certificate_file));
  }
  return {};
}

Result<SslContext> make_context(const SSL_METHOD* method) {
  SslContext context(SSL_CTX_new(method));
  if (context == nullptr) {
    return fail(ErrorCode::kInternal, "OpenSSL gives no context: " + take_openssl_error());
  }
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  return context;
}

std::string to_text(const ASN1_STRING* value) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<std::size_t>(ASN1_STRING_length(value)));
}

std::string alternative_name(const X509* certificate) {
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::string found;
  for (const int wanted : {GEN_DNS, GEN_URI, GEN_EMAIL}) {
    for (int i = 0; found.empty() && i < sk_GENERAL_NAME_num(names); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
      if (name->type == wanted) {
        found = to_text(name->d.ia5);
      }
    }
  }
  GENERAL_NAMES_free(names);
  return found;
}

}  // namespace

Result<SslContext> make_server_context(const TlsServerConfig& config) {
  NARU_TRY(SslContext context, make_context(TLS_server_method()));
  NARU_TRY_VOID(load_pair(context.get(), config.certificate_file, config.key_file));
  // Resumed sessions of clients with certificates are refused without an id of their own context.
  static constexpr unsigned char kSessionContext[] = "naru";
  SSL_CTX_set_session_id_context(context.get(), kSessionContext, sizeof(kSessionContext) - 1);
  if (!config.client_ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context.get(), config.client_ca_file.c_str(), nullptr) != 1) {
      return refuse("client CA", config.client_ca_file);
    }
    SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(config.client_ca_file.c_str()));
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

Result<SslContext> make_client_context(const TlsClientConfig& config) {
  NARU_TRY(SslContext context, make_context(TLS_client_method()));
  if (config.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context.get()) != 1) {
      return fail(ErrorCode::kInvalidArgument,
                  "the system's CA store cannot be read: " + take_openssl_error());
    }
  } else if (SSL_CTX_load_verify_locations(context.get(), config.ca_file.c_str(), nullptr) != 1) {
    return refuse("CA", config.ca_file);
  }
  if (!config.certificate_file.empty() || !config.key_file.empty()) {
    NARU_TRY_VOID(load_pair(context.get(), config.certificate_file, config.key_file));
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return context;
}

std::string peer_identity(const SSL* ssl) {
  X509* certificate = SSL_get1_peer_certificate(ssl);
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) {
    X509_free(certificate);
    return {};
  }
  std::string identity = alternative_name(certificate);
  if (identity.empty()) {
    const X509_NAME* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0) {
      identity = to_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    }
  }
  X509_free(certificate);
  return identity;
}

}  // namespace naru::net
