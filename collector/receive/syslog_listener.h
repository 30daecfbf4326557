// Takes syslog over UDP and TCP on one address and hands it on as OTLP log requests with identity.
//
// One thread of its own. A TCP connection is read again only when its last batch was answered, so pressure
// reaches the sender; UDP cannot wait: what does not fit is counted by the kernel and shown as a metric.
// Does not authenticate, and TCP syslog acknowledges nothing: what a sender has in its socket is its own
// risk.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/telemetry/metrics.h"

namespace naru::collector {

struct SyslogListenerConfig {
  std::string address = "127.0.0.1:5514";      // host:port of both, port 0 picks a free one
  std::size_t message_bytes_max = 256u << 10;  // longer messages are cut and counted
  std::size_t connections_max = 256;           // further ones are closed at once
  std::size_t batch_bytes = 512u << 10;        // of messages, at most in one request
  std::size_t batches_in_flight_max = 64;      // over it nothing is read
  std::chrono::milliseconds retry_after{200};  // a refused batch is handed on again
};

// Answers when the batch is durable, or with why it is not; then the same batch comes again. Any thread.
using SyslogDone = std::move_only_function<void(Result<void>)>;
// Takes an encoded logs request of `records` records. Must not block.
using SyslogHandler = std::function<void(std::string request, std::uint64_t records, SyslogDone done)>;

class SyslogListener {
 public:
  // kInvalidArgument: the address; kUnavailable: it is in use, naming it. `registry` must outlive the
  // listener.
  static Result<std::unique_ptr<SyslogListener>> start(SyslogListenerConfig config, SyslogHandler handler,
                                                       telemetry::Registry& registry);
  ~SyslogListener();  // stop(0)
  // host:port of both sockets.
  const std::string& endpoint() const;
  // Stops reading and waits at most `drain` for batches under way. Idempotent.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Impl;
  explicit SyslogListener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace naru::collector
