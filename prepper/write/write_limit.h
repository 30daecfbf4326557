// Keeps documents within a shared limit of naru-alerting (/v1/limits), which all writers and other programs
// keep together and whose rate is changed at run time.
//
// Thread-safe; who waits is served in turn. Says by configuration what is done while nobody answers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/net/http.h"
#include "core/telemetry/metrics.h"

namespace naru::prepper {

struct WriteLimitConfig {
  std::string name;                   // empty: no limit is kept
  std::vector<std::string> alerting;  // URLs of the instances of naru-alerting
  std::string token;
  bool fail_open = true;  // while nobody answers: write; false: wait
};
void describe(config::Schema<WriteLimitConfig>& schema);
void validate(const WriteLimitConfig& config, config::Errors& errors);

class WriteLimit {
 public:
  // kInvalidArgument: an address. nullptr: no limit is configured.
  static Result<std::unique_ptr<WriteLimit>> connect(const WriteLimitConfig& config,
                                                     telemetry::Registry& registry);
  // `instances`: one transport for each instance of naru-alerting.
  WriteLimit(WriteLimitConfig config, std::vector<std::unique_ptr<net::HttpTransport>> instances,
             telemetry::Registry& registry);

  // Waits until so many documents may be written. False: stop() was called.
  bool acquire(std::uint64_t documents);
  // Ends every wait, now and later.
  void stop();

 private:
  // Permits that were granted; 0: none in time. kUnavailable: nobody leads or answers. kNotFound: there is no
  // such limit.
  Result<std::uint64_t> ask(std::uint64_t permits);
  void complain(const Error& error);

  const WriteLimitConfig config_;
  std::mutex turn_;
  const std::vector<std::unique_ptr<net::HttpTransport>> instances_;
  std::size_t next_ = 0;
  std::uint64_t complain_at_ = 0;
  std::atomic<bool> stopping_{false};
  telemetry::Counter waits_, unanswered_;
};

}  // namespace naru::prepper
