// naru-agent: wires the agent to its configuration file, an HTTP client and the admin listener.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "agent/agent.h"
#include "agent/program_config.h"
#include "core/base/check.h"
#include "core/net/http_client.h"
#include "core/program/service.h"

namespace naru::agent {
namespace {

class AgentService final : public program::Service {
 public:
  AgentService(const ProgramConfig& config, net::HttpTransportFactory transports,
               program::ServiceContext& context)
      : request_timeout_(config.ship.request_timeout),
        agent_(config, std::move(transports), context.registry, context.health) {}

  Result<void> start(const ProgramConfig& config, telemetry::Registry& registry) {
    NARU_TRY_VOID(agent_.start());
    NARU_TRY(own_metrics_, own_metrics::OwnMetrics::start(config.own_metrics, "naru-agent", registry));
    return {};
  }

  std::string stop(std::chrono::milliseconds drain) override {
    // A request under way is waited for beyond the drain.
    agent_.stop(std::max(std::chrono::milliseconds(0), drain - request_timeout_));
    const Progress progress = agent_.progress();
    return fmt::format("{} records acknowledged, {} in flight are sent again at the next start",
                       progress.records_acked, progress.records_in_flight);
  }

 private:
  const std::chrono::milliseconds request_timeout_;
  Agent agent_;
  std::unique_ptr<own_metrics::OwnMetrics> own_metrics_;
};

Result<std::unique_ptr<program::Service>> start(const ProgramConfig& config,
                                                program::ServiceContext& context) {
  const net::HttpClientConfig client = config.collector.client();
  if (auto tried = net::make_http_client(client); !tried) {
    return fail(tried.error().with_context("collector"));
  }
  const auto transports = [client] {
    auto transport = net::make_http_client(client);
    NARU_CHECK(transport.has_value(), "the same settings made a client a moment ago");
    return std::move(*transport);
  };
  auto service = std::make_unique<AgentService>(config, transports, context);
  NARU_TRY_VOID(service->start(config, context.registry));
  return service;
}

// Followed files stay open, so take what the system allows.
void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace
}  // namespace naru::agent

int main(int argc, char** argv) {
  naru::agent::raise_open_files();
  return naru::program::run_service<naru::agent::ProgramConfig>(
      argc, argv, {"naru-agent", "Follows log files and the journal and ships them to a Naru collector."},
      [](const naru::agent::ProgramConfig& config) { return config.admin.server(); }, naru::agent::start);
}
