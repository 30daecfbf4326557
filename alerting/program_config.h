// The configuration file of naru-alerting: what it decides by at the top, and the program's connections.
#pragma once

#include "alerting/config.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/own_metrics/own_metrics.h"
#include "core/program/clusters.h"
#include "core/program/net_config.h"

namespace naru::alerting {

struct ProgramConfig : AlertingConfig {
  program::ListenerConfig admin{.address = "127.0.0.1:8083", .tls = {}};
  own_metrics::OwnMetricsConfig own_metrics;
  bus::KafkaBusConfig kafka;
  program::ClusterList clusters;
};

void describe(config::Schema<ProgramConfig>& schema);
void validate(const ProgramConfig& program, config::Errors& errors);

}  // namespace naru::alerting
