// HTTP messages and the two seams around them: a handler (server side) and a transport (client side).
//
// Programs are joined through these two only, so `naru up` can hand a handler straight to a client
// (LocalTransport) and no stage knows whether the other side is a process away.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"

namespace naru::net {

// Header fields in the order sent. Names compare without case.
class Headers {
 public:
  // The first value of `name`, or an empty view.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  void set(std::string_view name, std::string value);  // replaces every field of that name
  void add(std::string_view name, std::string value);
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Who sent a request.
struct Peer {
  std::string address;       // "127.0.0.1:51234"; "in-process" for LocalTransport
  bool loopback = false;     // the address is 127.0.0.0/8 or ::1, or the peer is this process
  bool tls = false;          // the connection is encrypted
  std::string tls_identity;  // subject alternative name (else common name) of a verified client certificate
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query as sent
  Headers headers;
  std::string body;  // after Content-Encoding was undone by the server
  Peer peer;         // set by the server

  std::string_view path() const;                             // target up to '?'
  std::string_view query() const;                            // behind '?', or empty
  std::string query_parameter(std::string_view name) const;  // decoded; empty if absent
  bool has_query_parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  Headers headers;
  std::string body;
};

// RFC 3986: what may stand in one part of a path, or in a query's value.
std::string percent_encoded(std::string_view text);
// A '%' without two hexadecimal digits stays as it is.
std::string percent_decoded(std::string_view text);

// A response with Content-Type set.
HttpResponse text_response(int status, std::string body);
HttpResponse json_response(int status, std::string body);

// Answers one request exactly once, from any thread, now or later. Dropping it unanswered answers 500.
class Responder {
 public:
  using Send = std::move_only_function<void(HttpResponse)>;
  explicit Responder(Send send) : send_(std::move(send)) {}
  Responder(Responder&& other) noexcept : send_(std::move(other.send_)) { other.send_ = nullptr; }
  Responder& operator=(Responder&&) = delete;
  ~Responder();
  void operator()(HttpResponse response);

 private:
  Send send_;
};

// Called on a server thread; must not block longer than a few milliseconds (hand work to own threads).
using HttpHandler = std::function<void(HttpRequest, Responder)>;

// One logical connection to a peer, used by one thread at a time. Blocking.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  // kUnavailable: not connected, nothing was sent. kTimeout, kIo: the outcome is unknown (resend with the
  // same identities). kTooLarge: the response is over the client's limit. A response of any status is a
  // success here.
  virtual Result<HttpResponse> exchange(HttpRequest request, std::chrono::milliseconds deadline) = 0;
  // From any thread: the exchange that runs, and all later ones, end soon, as if their deadline had passed. A
  // transport that never waits long needs none.
  virtual void cancel() {}
};

using HttpTransportFactory = std::function<std::unique_ptr<HttpTransport>()>;

// Calls a handler of this process; the peer is "in-process" and loopback. Ends with kTimeout after
// `deadline`.
class LocalTransport : public HttpTransport {
 public:
  explicit LocalTransport(HttpHandler handler) : handler_(std::move(handler)) {}
  Result<HttpResponse> exchange(HttpRequest request, std::chrono::milliseconds deadline) override;

 private:
  HttpHandler handler_;
};

}  // namespace naru::net
