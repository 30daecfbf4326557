#include "alerting/program_config.h"

#include <fmt/format.h>

#include "core/program/kafka_config.h"

namespace naru::alerting {

void describe(config::Schema<ProgramConfig>& s) {
  s.field("admin", &ProgramConfig::admin,
          "Listener of /metrics, /livez and /readyz, of the webhooks and of /v1/status, /v1/routes and "
          "/v1/limits.");
  s.field("own_metrics", &ProgramConfig::own_metrics, "This process's own metrics, sent to a collector.");
  s.field("kafka", &ProgramConfig::kafka, "The Kafka cluster with the counts and the status events.");
  s.field("clusters", &ProgramConfig::clusters,
          "Further Kafka clusters: decisions go to all that answer, and the counts of all are read, so that "
          "the loss of one stops nothing.");
  describe_decisions(s);
}

void validate(const ProgramConfig& program, config::Errors& errors) {
  validate(static_cast<const AlertingConfig&>(program), errors);
  if (program.control.quorum > program.clusters.more.size() + 1) {
    errors.add("control.quorum", fmt::format("{} clusters cannot be held: there are {}",
                                             program.control.quorum, program.clusters.more.size() + 1));
  }
}

}  // namespace naru::alerting
