// The configuration file of naru-agent: the agent's own settings at the top, and the program's connections.
#pragma once

#include "agent/config.h"
#include "core/own_metrics/own_metrics.h"
#include "core/program/net_config.h"

namespace naru::agent {

struct ProgramConfig : AgentConfig {
  program::ClientConfig collector{
      .url = "http://127.0.0.1:4318", .tls = {}, .user = {}, .password = {}, .token = {}};
  program::ListenerConfig admin{.address = "127.0.0.1:8084", .tls = {}, .insecure = false};
  own_metrics::OwnMetricsConfig own_metrics;
};

void describe(config::Schema<ProgramConfig>& schema);
void validate(const ProgramConfig& config, config::Errors& errors);

}  // namespace naru::agent
