// The configuration file of naru-collector: the collector's own settings at the top, listeners and Kafka.
#pragma once

#include <cstddef>
#include <string>

#include "collector/config.h"
#include "collector/receive/syslog_listener.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/net/grpc_server.h"
#include "core/net/tls.h"
#include "core/own_metrics/own_metrics.h"
#include "core/program/clusters.h"
#include "core/program/net_config.h"

namespace naru::collector {

// A listener whose peers are authenticated by `authentication`.
struct OtlpListenerConfig {
  std::string address;  // empty: not opened
  net::TlsServerConfig tls;
  bool insecure = false;
  std::size_t request_bytes_max = 64u << 20;  // after decompression
  std::size_t threads = 1;                    // HTTP only
};

struct SyslogConfig {
  std::string address = "127.0.0.1:5514";  // empty: not opened
  bool insecure = false;
  std::size_t message_bytes_max = 256u << 10;
  std::size_t connections_max = 256;
};

struct ProgramConfig : CollectorConfig {
  OtlpListenerConfig otlp_grpc{.address = "127.0.0.1:4317", .tls = {}};
  OtlpListenerConfig otlp_http{.address = "127.0.0.1:4318", .tls = {}};
  SyslogConfig syslog;
  bus::KafkaBusConfig kafka;
  program::ClustersConfig clusters;
  program::ListenerConfig admin{.address = "127.0.0.1:8081", .tls = {}, .insecure = false};
  own_metrics::OwnMetricsConfig own_metrics;

  net::HttpServerConfig http_server() const;
  net::GrpcServerConfig grpc_server() const;
  SyslogListenerConfig syslog_listener() const;
};

void describe(config::Schema<OtlpListenerConfig>& schema);
void describe(config::Schema<SyslogConfig>& schema);
void describe(config::Schema<ProgramConfig>& schema);
void validate(const ProgramConfig& config, config::Errors& errors);

}  // namespace naru::collector
