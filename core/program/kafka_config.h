// Configuration of the Kafka bus, the same keys in every program that speaks to Kafka.
#pragma once

#include "core/bus/kafka/kafka_bus.h"
#include "core/config/config.h"

namespace naru::bus {

void describe(config::Schema<KafkaBusConfig>& schema);
void validate(const KafkaBusConfig& config, config::Errors& errors);

}  // namespace naru::bus
