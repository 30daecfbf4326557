// The configuration file of the program naru-alerting: the rules, and what they run on.
#pragma once

#include <vector>

#include "alerting/config.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/program/net_config.h"

namespace naru::alerting {

struct ProgramConfig {
  program::ListenerConfig admin{.address = "127.0.0.1:8083", .tls = {}};
  bus::KafkaBusConfig kafka;
  std::vector<RuleConfig> rules;
  CountingConfig counting;
  StatusConfig status;

  AlertingConfig alerting() const { return {rules, counting, status}; }
};

void describe(config::Schema<ProgramConfig>& schema);
void validate(const ProgramConfig& program, config::Errors& errors);

}  // namespace naru::alerting
