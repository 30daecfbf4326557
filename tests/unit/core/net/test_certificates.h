// Throw-away certificates: a CA, and leaves of it, as PEM files in a directory of their own.
#pragma once

#include <openssl/types.h>

#include <string>

#include "tests/unit/temp_dir.h"

namespace naru::net::testing {

class CertificateAuthority {
 public:
  CertificateAuthority();  // makes a temporary directory
  ~CertificateAuthority();
  CertificateAuthority(const CertificateAuthority&) = delete;

  struct Pair {
    std::string certificate_file;
    std::string key_file;
  };
  // `alternative_names` in OpenSSL's notation, as in "DNS:localhost,IP:127.0.0.1"; empty for none.
  Pair issue(const std::string& common_name, const std::string& alternative_names);

  std::string ca_file() const { return directory_ / "ca.pem"; }
  const std::string& directory() const { return directory_.path(); }

 private:
  test::TempDir directory_;
  EVP_PKEY* key_;
  X509* certificate_;
  int serial_ = 1;
};

}  // namespace naru::net::testing
