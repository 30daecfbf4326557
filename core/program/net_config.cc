#include "core/program/net_config.h"

#include "core/config/address.h"

namespace naru::net {

void describe(config::Schema<TlsServerConfig>& schema) {
  schema.field("enabled", &TlsServerConfig::enabled, "Take TLS connections only.");
  schema.field("certificate_file", &TlsServerConfig::certificate_file,
               "Certificate chain (PEM), leaf first.");
  schema.field("key_file", &TlsServerConfig::key_file, "Private key of the certificate (PEM).");
  schema.field("client_ca_file", &TlsServerConfig::client_ca_file,
               "When set, clients must show a certificate of this authority (mTLS).");
}

void validate(const TlsServerConfig& config, config::Errors& errors) {
  if (config.enabled && (config.certificate_file.empty() || config.key_file.empty())) {
    errors.add("certificate_file", "TLS needs a certificate_file and a key_file");
  }
}

void describe(config::Schema<TlsClientConfig>& schema) {
  schema.field("enabled", &TlsClientConfig::enabled,
               "Use TLS; an https:// address switches it on by itself.");
  schema.field("ca_file", &TlsClientConfig::ca_file,
               "Authority that signed the peer (PEM); empty: the system's store.");
  schema.field("certificate_file", &TlsClientConfig::certificate_file, "Own certificate (PEM), for mTLS.");
  schema.field("key_file", &TlsClientConfig::key_file, "Private key of the own certificate (PEM).");
}

void validate(const TlsClientConfig& config, config::Errors& errors) {
  if (config.certificate_file.empty() != config.key_file.empty()) {
    errors.add("certificate_file", "a client certificate needs both certificate_file and key_file");
  }
}

}  // namespace naru::net

namespace naru::program {

net::HttpServerConfig ListenerConfig::server() const {
  net::HttpServerConfig out;
  out.address = address;
  out.tls = tls;
  return out;
}

void describe(config::Schema<ListenerConfig>& schema) {
  schema.field("address", &ListenerConfig::address, "host:port to listen on; port 0 picks a free one.")
      .check(config::check_address);
  schema.field("tls", &ListenerConfig::tls, "TLS of this listener.");
  schema.field("insecure", &ListenerConfig::insecure,
               "Accept that other machines reach this listener without TLS and authentication.");
}

void validate(const ListenerConfig& config, config::Errors& errors) {
  const config::BindProtection protection{.tls = config.tls.enabled,
                                          .authentication = !config.tls.client_ca_file.empty(),
                                          .insecure = config.insecure};
  if (const auto allowed = config::check_bind(config.address, protection); !allowed) {
    errors.add("address", allowed.error().message());
  }
}

net::HttpClientConfig ClientConfig::client() const {
  net::HttpClientConfig out;
  out.url = url;
  out.tls = tls;
  out.basic_user = user;
  out.basic_password = password;
  out.bearer_token = token;
  return out;
}

void describe(config::Schema<ClientConfig>& schema) {
  schema.field("url", &ClientConfig::url, "http:// or https:// address of the peer.");
  schema.field("tls", &ClientConfig::tls, "TLS towards the peer.");
  schema.field("user", &ClientConfig::user, "User name for basic authentication.");
  schema.secret("password", &ClientConfig::password, "Password for basic authentication.");
  schema.secret("token", &ClientConfig::token, "Bearer token.");
}

void validate(const ClientConfig& config, config::Errors& errors) {
  if (!config.url.starts_with("http://") && !config.url.starts_with("https://")) {
    errors.add("url", "an address such as https://host:9200 is needed, not '" + config.url + "'");
  }
  if (!config.user.empty() && !config.token.empty()) {
    errors.add("token", "give either user and password, or a token");
  }
}

}  // namespace naru::program
