// HTTP/1.1 server on its own threads: keep-alive, TLS, gzip/zstd request bodies, limits, drain.
//
// Does not route; the handler does. Runs the handler on one of its threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/net/http.h"
#include "core/net/tls.h"

namespace naru::net {

struct HttpServerConfig {
  std::string address = "127.0.0.1:0";  // host:port, port 0 picks a free one
  TlsServerConfig tls;
  std::size_t threads = 1;
  std::size_t header_bytes_max = 64u << 10;  // request line and fields; over it 431
  std::size_t body_bytes_max = 64u << 20;    // after decompression; over it 413 (OTLP's recommended limit)
  std::size_t connections_max = 4096;        // over it a connection is answered 503 and closed
  std::size_t body_bytes_in_flight_max = 256u << 20;  // of all requests; over it 503 + Retry-After: 1
  // A connection is closed when this long passes without a request beginning, before the end of a header, or
  // while fewer than 64 KiB of a body or a response move.
  std::chrono::milliseconds idle_timeout{60'000};
};

// What the server holds now, and what its limits refused since the start.
struct HttpServerStats {
  std::size_t connections = 0;
  std::size_t body_bytes_in_flight = 0;
  std::uint64_t requests = 0;               // handed to the handler
  std::uint64_t connections_refused = 0;    // connections_max
  std::uint64_t requests_overloaded = 0;    // body_bytes_in_flight_max
  std::uint64_t requests_too_large = 0;     // body_bytes_max, header_bytes_max
  std::uint64_t requests_malformed = 0;     // 400
  std::uint64_t connections_timed_out = 0;  // idle_timeout
};

class HttpServer {
 public:
  // kUnavailable: address in use, naming it; kInvalidArgument: address, certificate or key unusable.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerConfig config, HttpHandler handler);
  ~HttpServer();  // stop(0)

  // host:port that was bound.
  const std::string& endpoint() const;

  HttpServerStats stats() const;

  // Stops accepting, lets running requests end (at most `drain`), then closes. Idempotent. Not from a
  // handler.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace naru::net
