// The collector: receives OTLP and syslog, gives records their identity, and answers when they are durable.
//
// Does not listen for HTTP or gRPC: the program puts http_handler() and grpc_handler() behind listeners, and
// `naru up` hands them straight to an agent. Knows the bus only as bus::Bus.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "collector/admit/authenticator.h"
#include "collector/buffer/buffer.h"
#include "collector/config.h"
#include "collector/receive/intake.h"
#include "collector/receive/syslog_listener.h"
#include "core/bus/bus.h"
#include "core/net/grpc_server.h"
#include "core/net/http.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::collector {

// Thread-safe. start() first, stop() last; listeners are closed before stop().
class Collector final : public Intake {
 public:
  // The references must outlive this.
  Collector(CollectorConfig config, bus::Bus& bus, telemetry::Registry& registry, telemetry::Health& health,
            spool::FileSystem& files = spool::posix_file_system());
  ~Collector() override;

  // A bus that is away is no error. kConflict, kIo, kNoSpace, kPermissionDenied...: the spill's directory.
  Result<void> start();
  // Waits at most `drain` until all that was taken is answered.
  void stop(std::chrono::milliseconds drain);

  net::HttpHandler http_handler();
  net::GrpcHandler grpc_handler();
  SyslogHandler syslog_handler();

  using Progress = Buffer::Progress;
  Progress progress() const { return buffer_.progress(); }

  // Intake
  Result<Role> admit(const net::Peer& peer, std::string_view authorization) const override;
  void take(otlp::Signal signal, Role role, std::string request, Completion done) override;
  std::chrono::milliseconds retry_after() const override { return config_.retry_after; }

 private:
  void take_as(otlp::Signal signal, Role role, bool trusted, std::string request, Completion done);

  struct Counters {
    telemetry::Counter requests, bytes, malformed, overloaded;
  };
  const CollectorConfig config_;
  const Authenticator authenticator_;
  std::vector<Counters> counters_;  // by signal
  telemetry::Counter unauthenticated_, stamped_, stripped_;
  std::atomic<std::size_t> bytes_in_flight_{0};
  std::shared_ptr<void> bytes_gauge_;
  Buffer buffer_;
};

}  // namespace naru::collector
