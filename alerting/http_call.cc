#include "alerting/http_call.h"

#include <algorithm>

#include "core/net/http_client.h"

namespace naru::alerting {
namespace {

constexpr std::size_t kResponseBytesMax = 64u << 10;

// Where the path begins.
std::size_t path_at(std::string_view url) {
  const std::size_t scheme = url.find("://");
  return std::min(url.find('/', scheme == std::string_view::npos ? 0 : scheme + 3), url.size());
}

}  // namespace

Result<net::HttpResponse> call_url(const std::string& url, std::string_view content_type, std::string body,
                                   std::chrono::milliseconds timeout) {
  const std::size_t path = path_at(url);
  net::HttpClientConfig config;
  config.url = url.substr(0, path);
  config.connect_timeout = timeout;
  config.response_bytes_max = kResponseBytesMax;
  NARU_TRY(const auto client, net::make_http_client(config));
  net::HttpRequest request;
  request.target = path < url.size() ? url.substr(path) : "/";
  if (!content_type.empty()) {
    request.method = "POST";
    request.headers.set("Content-Type", std::string(content_type));
    request.body = std::move(body);
  }
  return client->exchange(std::move(request), timeout);
}

std::string redacted_url(std::string_view url) {
  return std::string(url.substr(0, path_at(url)));
}

Result<void> check_url(const std::string& url) {
  return net::check_http_url(url.substr(0, path_at(url)));
}

}  // namespace naru::alerting
