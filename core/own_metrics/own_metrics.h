// Sends the metrics of this process to a collector, so that rules on the stream see them
// (config/rules/naru.yaml) and the console searches them. /metrics is there with or without.
//
// A request that was not answered is sent again, with the same bytes, until it is; what happens meanwhile is
// in the next one. Nothing waits for it, and when the process ends what was not sent is not. On a thread of
// its own.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/base/periodic.h"
#include "core/config/config.h"
#include "core/net/http.h"
#include "core/net/http_client.h"
#include "core/own_metrics/delta_encoder.h"
#include "core/program/net_config.h"
#include "core/telemetry/metrics.h"

namespace naru::own_metrics {

struct OwnMetricsConfig {
  std::string collector;  // URL; empty: nobody is told
  net::TlsClientConfig tls;
  std::string token;
  std::chrono::milliseconds every{10'000};
  std::string dataset = "naru";
  std::string instance;  // service.instance.id; empty: the name of the host
};
void describe(config::Schema<OwnMetricsConfig>& schema);
void validate(const OwnMetricsConfig& config, config::Errors& errors);

class OwnMetrics {
 public:
  // nullptr: no collector is configured. kInvalidArgument: its address or TLS files.
  static Result<std::unique_ptr<OwnMetrics>> start(const OwnMetricsConfig& config, const std::string& program,
                                                   telemetry::Registry& registry);
  // By a transport that there is, whatever the configuration says of a collector.
  OwnMetrics(const OwnMetricsConfig& config, const std::string& program,
             std::unique_ptr<net::HttpTransport> transport, telemetry::Registry& registry);

 private:
  void round();
  // Sends what there is; false: it is to be sent again.
  bool send();

  const OwnMetricsConfig config_;
  const std::unique_ptr<net::HttpTransport> transport_;
  telemetry::Registry& registry_;
  telemetry::Counter sent_, failed_;
  DeltaEncoder encoder_;
  std::string pending_;  // the request that was not answered yet
  bool complained_ = false;
  std::optional<Periodic> sender_;
};

}  // namespace naru::own_metrics
