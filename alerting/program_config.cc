#include "alerting/program_config.h"

#include "core/program/kafka_config.h"

namespace naru::alerting {

void describe(config::Schema<ProgramConfig>& schema) {
  schema.field("admin", &ProgramConfig::admin, "Listener of /metrics, /livez and /readyz.");
  schema.field("kafka", &ProgramConfig::kafka, "The Kafka cluster with the records and the status events.");
  schema.field("rules", &ProgramConfig::rules, "The counting rules.").max(kRulesMax);
  schema.field("counting", &ProgramConfig::counting, "How records are read and counted.");
  schema.field("status", &ProgramConfig::status, "Where status events go.");
}

void validate(const ProgramConfig& program, config::Errors& errors) {
  validate(program.alerting(), errors);
}

}  // namespace naru::alerting
