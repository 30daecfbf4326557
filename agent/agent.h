// The agent: follows files and the journal and ships their records over OTLP/HTTP.
//
// Owns its threads; does not own the registry and the health, which must outlive it. Does not listen
// anywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "agent/config.h"
#include "core/base/result.h"
#include "core/net/http.h"
#include "core/spool/file_system.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::agent {

// A snapshot for people. Counts are since the start of this process.
struct Progress {
  std::uint64_t files = 0;
  std::uint64_t bytes_read = 0;     // of files
  std::uint64_t records_sent = 0;   // without repeats
  std::uint64_t records_acked = 0;  // durable on the other side
  std::uint64_t records_in_flight = 0;
  std::uint64_t lag_bytes = 0;  // of files, not read yet
};

class Agent {
 public:
  // `transports` makes one connection to the collector per call; requests go to /v1/logs.
  // Its state goes through `files`, which must outlive it too.
  Agent(AgentConfig config, net::HttpTransportFactory transports, telemetry::Registry& registry,
        telemetry::Health& health, spool::FileSystem& files = spool::posix_file_system());
  ~Agent();  // stop(0)
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Opens the state, sends again what was in flight, then follows. kInvalidArgument: configuration;
  // kConflict, kIo, kNoSpace, kPermissionDenied: the state directory. Once.
  Result<void> start();
  // Stops reading, waits at most `drain` (and for requests under way, at most ship.request_timeout each) for
  // what is in flight. What is then unanswered stands in the checkpoint. Idempotent.
  void stop(std::chrono::milliseconds drain);
  // From any thread.
  Progress progress() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace naru::agent
