// TLS settings of a listener or a client. Certificates and keys are PEM files.
#pragma once

#include <string>

namespace naru::net {

struct TlsServerConfig {
  bool enabled = false;
  std::string certificate_file;  // chain, leaf first
  std::string key_file;
  std::string client_ca_file;  // set: clients must show a certificate of this CA (mTLS)
};

// Host names are always verified when enabled.
struct TlsClientConfig {
  bool enabled = false;
  std::string ca_file;           // empty: the system's store
  std::string certificate_file;  // with key_file: client certificate
  std::string key_file;
};

}  // namespace naru::net
