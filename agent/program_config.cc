#include "agent/program_config.h"

namespace naru::agent {

void describe(config::Schema<ProgramConfig>& s) {
  const auto own = []<class M>(M AgentConfig::* member) { return static_cast<M ProgramConfig::*>(member); };
  s.field("state_dir", own(&AgentConfig::state_dir),
          "Directory of the checkpoints; without it files are read again under new identities.")
      .required()
      .example("/var/lib/naru/agent");
  s.field("collector", &ProgramConfig::collector, "Where records go, by OTLP/HTTP.");
  s.field("admin", &ProgramConfig::admin, "Listener of /metrics, /livez and /readyz.");
  s.field("own_metrics", &ProgramConfig::own_metrics, "This process's own metrics, sent to a collector.");
  s.field("files", own(&AgentConfig::files), "Groups of files to follow.");
  s.field("journald", own(&AgentConfig::journald), "The systemd journal.");
  s.field("host_name", own(&AgentConfig::host_name), "Resource attribute host.name; empty: the system's.");
  s.field("attributes", own(&AgentConfig::attributes), "Resource attributes of every record.");
  s.field("tail", own(&AgentConfig::tail), "How files are read.");
  s.field("spool", own(&AgentConfig::spool), "Copies of unsent bytes of files that lost their names.");
  s.field("ship", own(&AgentConfig::ship), "How records are sent.");
}

void validate(const ProgramConfig& config, config::Errors& errors) {
  for (const Problem& problem : find_problems(config)) {
    errors.add(problem.key, problem.sentence);
  }
}

}  // namespace naru::agent
