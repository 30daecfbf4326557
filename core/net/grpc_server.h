// gRPC server for unary calls of any method, on the library's own threads: TLS, gzip, limits, drain.
//
// Knows no service and no protobuf: the handler gets the method's path and the message's bytes. A message
// that begins with 1f 8b is taken as gzip, which no protobuf message can begin with (wire type 7 does not
// exist). Streaming calls are not served: of several messages the first counts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/net/http.h"
#include "core/net/tls.h"

namespace naru::net {

// Status codes of gRPC (doc/statuscodes.md of the protocol).
enum class GrpcCode : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

struct GrpcStatus {
  GrpcCode code = GrpcCode::kInternal;
  std::string text;  // for a person; cut at 1,024 bytes, because it travels in a header
  // Sent as google.rpc.RetryInfo: when the sender may come back.
  std::optional<std::chrono::milliseconds> retry_delay;
};

struct GrpcCall {
  std::string method;   // "/package.Service/Method"
  Headers metadata;     // names in lower case; grpc's own fields are left out
  std::string message;  // decompressed
  Peer peer;
};

// Answers one call exactly once, from any thread. Dropping it unanswered answers INTERNAL. An answer to a
// call that the peer has cancelled goes nowhere.
class GrpcResponder {
 public:
  using Answer = std::expected<std::string, GrpcStatus>;
  using Send = std::move_only_function<void(Answer)>;
  explicit GrpcResponder(Send send) : send_(std::move(send)) {}
  GrpcResponder(GrpcResponder&& other) noexcept : send_(std::move(other.send_)) { other.send_ = nullptr; }
  GrpcResponder& operator=(GrpcResponder&&) = delete;
  ~GrpcResponder();

  void message(std::string bytes);  // status OK
  void status(GrpcStatus status);   // any code but kOk

 private:
  void answer(Answer answer);
  Send send_;
};

// Called on a thread of the gRPC library; must not block longer than a few milliseconds. Answers
// GrpcCode::kUnimplemented to methods that it does not know.
using GrpcHandler = std::function<void(GrpcCall, GrpcResponder)>;

struct GrpcServerConfig {
  std::string address = "127.0.0.1:0";  // host:port, port 0 picks a free one
  TlsServerConfig tls;
  std::size_t message_bytes_max = 64u << 20;             // after decompression; over it RESOURCE_EXHAUSTED
  std::size_t calls_max = 1024;                          // at once; over it UNAVAILABLE + RetryInfo
  std::size_t message_bytes_in_flight_max = 256u << 20;  // of all calls; over it UNAVAILABLE + RetryInfo
  std::chrono::milliseconds retry_delay{1'000};          // what RetryInfo asks for then
  std::chrono::milliseconds connection_idle_timeout{600'000};
};

// What the server holds now, and what its limits refused since the start.
struct GrpcServerStats {
  std::size_t calls = 0;
  std::size_t message_bytes_in_flight = 0;
  std::uint64_t calls_handled = 0;     // handed to the handler
  std::uint64_t calls_overloaded = 0;  // calls_max, message_bytes_in_flight_max
  std::uint64_t calls_too_large = 0;   // message_bytes_max
  std::uint64_t calls_malformed = 0;   // no message, or damaged gzip
};

class GrpcServer {
 public:
  // kUnavailable: address in use, naming it; kInvalidArgument: address, certificate or key unusable.
  // Silences the library's own log for the whole process unless GRPC_VERBOSITY is set in the environment.
  static Result<std::unique_ptr<GrpcServer>> start(GrpcServerConfig config, GrpcHandler handler);
  ~GrpcServer();  // stop(0)

  // host:port that was bound.
  const std::string& endpoint() const;

  GrpcServerStats stats() const;

  // Stops accepting, lets running calls end (at most `drain`), then cancels them. Idempotent. Not from a
  // handler.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace naru::net
