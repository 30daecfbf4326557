#include "alerting/program_config.h"

#include "core/program/kafka_config.h"

namespace naru::alerting {

void describe(config::Schema<ProgramConfig>& s) {
  s.field("admin", &ProgramConfig::admin,
          "Listener of /metrics, /livez and /readyz, of the webhooks and of /v1/status, /v1/routes and "
          "/v1/limits.");
  s.field("kafka", &ProgramConfig::kafka, "The Kafka cluster with the counts and the status events.");
  describe_decisions(s);
}

void validate(const ProgramConfig& program, config::Errors& errors) {
  validate(static_cast<const AlertingConfig&>(program), errors);
}

}  // namespace naru::alerting
