// What every receiver gives its requests to.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "collector/config.h"
#include "core/base/result.h"
#include "core/net/http.h"
#include "core/otlp/otlp.h"

namespace naru::collector {

class Intake {
 public:
  virtual ~Intake() = default;
  // kUnauthenticated.
  virtual Result<Role> admit(const net::Peer& peer, std::string_view authorization) const = 0;
  // Takes an export request in protobuf. `done` is called exactly once, from any thread, maybe before this
  // returns. Success: durable. kInvalidArgument, kTooLarge: the request's own fault; every other error: not
  // durable, send it again.
  using Completion = std::move_only_function<void(Result<void>)>;
  virtual void take(otlp::Signal signal, Role role, std::string request, Completion done) = 0;
  // When a sender that has to wait may come back.
  virtual std::chrono::milliseconds retry_after() const = 0;
};

// How an outcome is told to a peer: code of google.rpc.Status, HTTP status, and whether to come back.
struct Refusal {
  int http_status = 503;
  std::int32_t grpc_code = 14;
  bool retry = true;
};
Refusal refusal_of(ErrorCode code);

}  // namespace naru::collector
