#include "naru/up/platform.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "agent/agent.h"
#include "alerting/alerting.h"
#include "collector/collector.h"
#include "collector/receive/syslog_listener.h"
#include "console/console.h"
#include "core/base/clock.h"
#include "core/bus/local/local_bus.h"
#include "core/net/grpc_server.h"
#include "core/net/http_server.h"
#include "core/own_metrics/own_metrics.h"
#include "core/telemetry/admin.h"
#include "core/telemetry/ledger_watch.h"
#include "naru/up/builtin_rules.h"
#include "prepper/bootstrap/bootstrap.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/prepper.h"
#include "prepper/processors/enrichment.h"
#include "store/api.h"
#include "store/store.h"

namespace naru {
namespace {

// Creates the directory and proves that it can be written, before anything else starts.
Result<void> make_data_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return fail(ErrorCode::kIo,
                fmt::format("the data directory {} cannot be made: {}; choose another with --data", path,
                            error.message()));
  }
  const std::string probe = path + "/.writable";
  const int fd = ::open(probe.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) {
    return fail(
        ErrorCode::kPermissionDenied,
        fmt::format(
            "the data directory {} cannot be written: {}; mend its rights or choose another with --data",
            path, std::strerror(errno)));
  }
  ::close(fd);
  ::unlink(probe.c_str());
  return {};
}

bool journal_is_there() {
  std::error_code ignored;
  return std::filesystem::is_directory("/var/log/journal", ignored) ||
         std::filesystem::is_directory("/run/log/journal", ignored);
}

agent::AgentConfig agent_config(const UpOptions& options) {
  agent::AgentConfig config;
  config.state_dir = options.data + "/agent";
  agent::FileInputConfig files;
  files.include = options.files.empty() ? machine_log_patterns() : options.files;
  files.from_start = options.from_start;
  config.files = {files};
  config.journald.enabled = options.files.empty() && journal_is_there();
  config.journald.from_start = options.from_start;
  return config;
}

Result<alerting::AlertingConfig> alerting_config(const UpOptions& options) {
  alerting::AlertingConfig config;
  if (!options.alerting.empty()) {
    NARU_TRY(config, config::load_file<alerting::AlertingConfig>(options.alerting));
  }
  if (config.rules.directory.empty()) {
    config.rules.directory = options.rules;
  }
  if (config.rules.directory.empty()) {
    NARU_TRY(config.rules.builtin, rules::RuleSet::compile(builtin_rule_files()));
  }
  return config;
}

}  // namespace

// In the order of construction; destroyed in reverse, so no part outlives what it refers to.
struct Platform::Parts {
  explicit Parts(const UpOptions& options_in) : options(options_in) {}

  Result<void> open();
  Result<void> listen();
  net::HttpTransportFactory to_store();
  net::HttpTransportFactory to_collector();
  Result<void> add_server(std::unique_ptr<net::HttpServer>& server, const char* what,
                          const std::string& address, net::HttpHandler handler, std::size_t threads = 1);

  const UpOptions options;
  telemetry::Registry registry;
  telemetry::Health health{registry};
  std::unique_ptr<bus::LocalBus> bus;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::StoreApi> store_api;
  std::unique_ptr<prepper::Prepper> prepper;
  std::unique_ptr<alerting::Alerting> alerting;
  std::unique_ptr<collector::Collector> collector;
  std::unique_ptr<agent::Agent> agent;
  std::unique_ptr<net::HttpServer> admin_server, console_server, store_server, otlp_http_server;
  std::unique_ptr<net::GrpcServer> otlp_grpc_server;
  std::unique_ptr<collector::SyslogListener> syslog;
  std::unique_ptr<own_metrics::OwnMetrics> own_metrics;
  telemetry::LedgerWatch ledger_watch{registry};
  std::vector<Endpoint> endpoints;
  bool stopped = false;
};

net::HttpTransportFactory Platform::Parts::to_store() {
  return [this] { return std::make_unique<net::LocalTransport>(store_api->handler()); };
}

net::HttpTransportFactory Platform::Parts::to_collector() {
  return [this] { return std::make_unique<net::LocalTransport>(collector->http_handler()); };
}

Result<void> Platform::Parts::add_server(std::unique_ptr<net::HttpServer>& server, const char* what,
                                         const std::string& address, net::HttpHandler handler,
                                         std::size_t threads) {
  net::HttpServerConfig config;
  config.address = address;
  config.threads = threads;
  NARU_TRY(server, net::HttpServer::start(config, std::move(handler)));
  endpoints.push_back({what, server->endpoint()});
  return {};
}

Result<void> Platform::Parts::open() {
  bus::LocalBusConfig bus_config;
  bus_config.directory = options.data + "/bus";
  bus_config.metrics = &registry;
  NARU_TRY(bus, bus::open_local_bus(bus_config));
  store::StoreConfig store_config;
  store_config.directory = options.data + "/store";
  NARU_TRY(store, store::Store::open(store_config, registry));
  store_api = std::make_unique<store::StoreApi>(*store, registry);

  prepper::PrepperConfig prepper_config;
  prepper_config.pipelines.directory = options.pipelines;
  prepper_config.datasets.lifecycle.driver = prepper::LifecycleBy::kOff;  // the store keeps its own retention
  NARU_TRY(const alerting::AlertingConfig decisions, alerting_config(options));
  prepper_config.count.rules = decisions.rules.directory;
  prepper_config.count.builtin = decisions.rules.builtin;
  prepper_config.count.instance = "up";
  const auto bootstrap_transport = to_store()();
  const prepper::BootstrapTargets targets{.opensearch = bootstrap_transport.get(), .bus = bus.get()};
  NARU_TRY(const auto changes, prepper::apply(prepper_config, targets, wall_now()));
  prepper = std::make_unique<prepper::Prepper>(prepper_config, *bus, to_store(), registry, health);
  NARU_TRY_VOID(prepper->start());
  alerting = std::make_unique<alerting::Alerting>(decisions, alerting::only_cluster("embedded", *bus),
                                                  registry, health);
  NARU_TRY_VOID(alerting->start());
  collector::CollectorConfig collector_config;
  collector_config.spill.directory = options.data + "/spill";
  collector = std::make_unique<collector::Collector>(collector_config, *bus, registry, health);
  NARU_TRY_VOID(collector->start());
  agent = std::make_unique<agent::Agent>(agent_config(options), to_collector(), registry, health);
  if (options.own_metrics) {
    own_metrics = std::make_unique<own_metrics::OwnMetrics>(own_metrics::OwnMetricsConfig{}, "naru-up",
                                                            to_collector()(), registry);
  }
  return {};
}

Result<void> Platform::Parts::listen() {
  console::ConsoleConfig console_config;
  console_config.any_host = options.insecure;  // whoever opens it to others reaches it by name
  console_config.alerting = [this] {
    return std::make_unique<net::LocalTransport>([this](net::HttpRequest request, net::Responder respond) {
      if (!alerting->answer(request, respond)) {
        respond(net::text_response(404, ""));
      }
    });
  };
  NARU_TRY_VOID(add_server(console_server, "console", options.http,
                           console::make_console_handler(to_store(), console_config), 2));
  NARU_TRY_VOID(add_server(store_server, "store", options.store, store_api->handler()));
  net::GrpcServerConfig grpc;
  grpc.address = options.otlp_grpc;
  NARU_TRY(otlp_grpc_server, net::GrpcServer::start(grpc, collector->grpc_handler()));
  endpoints.push_back({"otlp-grpc", otlp_grpc_server->endpoint()});
  NARU_TRY_VOID(add_server(otlp_http_server, "otlp-http", options.otlp_http, collector->http_handler()));
  collector::SyslogListenerConfig syslog_config;
  syslog_config.address = options.syslog;
  NARU_TRY(syslog, collector::SyslogListener::start(syslog_config, collector->syslog_handler(), registry));
  endpoints.push_back({"syslog-udp", syslog->endpoint()});
  endpoints.push_back({"syslog-tcp", syslog->endpoint()});
  NARU_TRY_VOID(add_server(admin_server, "admin", options.admin,
                           [this, own = telemetry::admin_handler(registry, health)](net::HttpRequest request,
                                                                                    net::Responder respond) {
                             if (!prepper->answer(request, respond) && !alerting->answer(request, respond)) {
                               own(std::move(request), std::move(respond));
                             }
                           }));
  return write_endpoints(endpoints_path(options.data), endpoints);
}

Result<std::unique_ptr<Platform>> Platform::start(const UpOptions& options) {
  NARU_TRY_VOID(agent::validate(agent_config(options)));
  if (!options.pipelines.empty()) {
    // Before anything is made; the prepper loads them itself.
    NARU_TRY_VOID(
        prepper::PipelineSet::load(options.pipelines, std::make_shared<prepper::EnrichmentStore>()));
  }
  NARU_TRY(const auto checked, alerting_config(options));
  NARU_TRY_VOID(make_data_directory(options.data));
  auto parts = std::make_unique<Parts>(options);
  NARU_TRY_VOID(parts->open());
  NARU_TRY_VOID(parts->listen());
  NARU_TRY_VOID(parts->agent->start());
  return std::unique_ptr<Platform>(new Platform(std::move(parts)));
}

Platform::Platform(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Platform::~Platform() {
  stop(std::chrono::milliseconds{0});
}

const std::vector<Endpoint>& Platform::endpoints() const {
  return parts_->endpoints;
}

ProgressSample Platform::progress() const {
  const agent::Progress read = parts_->agent->progress();
  const auto prepped = parts_->prepper->progress();
  ProgressSample sample;
  sample.at = monotonic_now();
  sample.read = parts_->collector->progress().records_delivered + read.records_in_flight;
  sample.stored = prepped.created + prepped.duplicates;
  sample.lag = prepped.in_flight;
  sample.waiting = static_cast<std::uint64_t>(std::max<std::int64_t>(prepped.lag, 0));
  sample.lag_bytes = read.lag_bytes;
  return sample;
}

std::string Platform::stop(std::chrono::milliseconds drain) {
  if (parts_->stopped) {
    return "already stopped";
  }
  parts_->stopped = true;
  const std::uint64_t deadline = monotonic_now() + static_cast<std::uint64_t>(drain.count()) * kNanosPerMilli;
  const auto left = [deadline] {
    const std::uint64_t now = monotonic_now();
    return std::chrono::milliseconds{now < deadline ? (deadline - now) / kNanosPerMilli : 0};
  };
  // Intake first, then stage by stage in the direction of the records.
  parts_->own_metrics.reset();
  parts_->agent->stop(left());
  if (parts_->syslog) {
    parts_->syslog->stop(left());
  }
  if (parts_->otlp_http_server) {
    parts_->otlp_http_server->stop(left());
  }
  if (parts_->otlp_grpc_server) {
    parts_->otlp_grpc_server->stop(left());
  }
  parts_->collector->stop(left());
  parts_->store->give_up_on_a_full_disk();
  // What the prepper did not take yet stays on the bus, and what it took and did not finish is taken again.
  std::uint64_t on_the_bus = progress().waiting;
  on_the_bus += parts_->prepper->stop(left());
  parts_->alerting->stop();
  const ProgressSample end = progress();
  for (auto* server : {&parts_->console_server, &parts_->store_server, &parts_->admin_server}) {
    if (*server) {
      (*server)->stop(std::chrono::milliseconds{0});
    }
  }
  const agent::Progress agent = parts_->agent->progress();
  if (on_the_bus == 0 && agent.records_in_flight == 0) {
    return fmt::format("nothing is in flight; {} records stored since the start", with_thousands(end.stored));
  }
  return fmt::format(
      "{} records stored since the start; {} requests are on the bus and not yet in the store, {} records "
      "in flight from files; all of them are on disk and the next start goes on there",
      with_thousands(end.stored), with_thousands(on_the_bus), with_thousands(agent.records_in_flight));
}

}  // namespace naru
