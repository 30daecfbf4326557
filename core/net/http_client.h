// A blocking HTTP/1.1 client on one keep-alive connection, reconnecting when the peer closed it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/net/http.h"
#include "core/net/tls.h"

namespace naru::net {

struct HttpClientConfig {
  std::string url;         // http(s)://host:port[/prefix]; the prefix goes before every target
  TlsClientConfig tls;     // switched on by https
  std::string basic_user;  // with basic_password: Authorization: Basic
  std::string basic_password;
  std::string bearer_token;  // Authorization: Bearer
  std::size_t response_bytes_max = 64u << 20;
  std::chrono::milliseconds connect_timeout{5'000};
};

// kInvalidArgument: url or TLS files unusable. Does not connect yet.
Result<std::unique_ptr<HttpTransport>> make_http_client(const HttpClientConfig& config);
// Whether it would, with nothing but a URL.
Result<void> check_http_url(const std::string& url);

}  // namespace naru::net
