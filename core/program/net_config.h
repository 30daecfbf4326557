// Configuration of listeners and clients, the same keys in every program.
#pragma once

#include <string>

#include "core/config/config.h"
#include "core/net/http_client.h"
#include "core/net/http_server.h"
#include "core/net/tls.h"

namespace naru::net {

void describe(config::Schema<TlsServerConfig>& schema);
void validate(const TlsServerConfig& config, config::Errors& errors);
void describe(config::Schema<TlsClientConfig>& schema);
void validate(const TlsClientConfig& config, config::Errors& errors);

}  // namespace naru::net

namespace naru::program {

// `admin: {address: 127.0.0.1:8081}`: a listener that knows no users of its own. Beyond loopback it needs TLS
// with client certificates, or `insecure: true`.
struct ListenerConfig {
  std::string address;
  net::TlsServerConfig tls;
  bool insecure = false;

  net::HttpServerConfig server() const;
};
void describe(config::Schema<ListenerConfig>& schema);
void validate(const ListenerConfig& config, config::Errors& errors);

// `collector: {url: http://127.0.0.1:4318}`: a peer that this program calls.
struct ClientConfig {
  std::string url;
  net::TlsClientConfig tls;
  std::string user;
  std::string password;  // or password_file
  std::string token;     // or token_file; goes as Authorization: Bearer

  net::HttpClientConfig client() const;
};
void describe(config::Schema<ClientConfig>& schema);
void validate(const ClientConfig& config, config::Errors& errors);

}  // namespace naru::program
