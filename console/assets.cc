#include "console/assets.h"

#include <algorithm>
#include <string>

#include "console/embedded.h"

namespace naru::console {
namespace {

// Documents are shown as text only; should that ever fail, this keeps a script in one from running.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string_view content_type(std::string_view path) {
  if (path.ends_with(".html")) {
    return "text/html; charset=utf-8";
  }
  if (path.ends_with(".css")) {
    return "text/css; charset=utf-8";
  }
  return path.ends_with(".svg") ? "image/svg+xml" : "text/javascript; charset=utf-8";
}

}  // namespace

std::optional<net::HttpResponse> serve(std::string_view path) {
  if (path == "/") {
    path = "/index.html";
  }
  const auto files = embedded_files();
  const auto file = std::ranges::find(files, path, &EmbeddedFile::path);
  if (file == files.end()) {
    return std::nullopt;
  }
  net::HttpResponse response;
  response.headers.add("Content-Type", std::string(content_type(path)));
  response.headers.add("ETag", std::string(file->etag));
  response.headers.add("Cache-Control", "no-cache");  // ask each time: 304 unless the program was replaced
  response.headers.add("Content-Security-Policy", std::string(kContentSecurityPolicy));
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.headers.add("Referrer-Policy", "no-referrer");
  response.headers.add("Cross-Origin-Resource-Policy", "same-origin");
  response.body = file->bytes;
  return response;
}

}  // namespace naru::console
