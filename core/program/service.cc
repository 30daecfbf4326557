#include "core/program/service.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "core/program/flags.h"
#include "core/program/stop_signals.h"
#include "core/telemetry/admin.h"
#include "core/telemetry/ledger_watch.h"
#include "core/telemetry/log.h"

namespace naru::program {

void ServiceContext::listening(std::string_view what, const std::string& endpoint) const {
  fmt::print("listening {} {}\n", what, endpoint);
  std::fflush(stdout);
}

int exit_code(const Error& error) {
  return error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kUnsupported
             ? kExitUsage
             : kExitFailure;
}

int run_service(int argc, char** argv, const ServiceInfo& info, const Load& load) {
  const StopSignals signals;
  CLI::App app(info.description, info.name);
  std::string config_file;
  bool check_only = false;
  app.add_option("--config", config_file, "configuration file (YAML)")->required();
  app.add_flag("--check", check_only, "validate the configuration and exit");
  if (const std::optional<int> ended = parse_flags(app, argc, argv)) {
    return *ended;
  }

  const auto fail_with = [&](const Error& error) {
    fmt::print(stderr, "{}: {}\n", info.name, error.message());
    return exit_code(error);
  };
  auto loaded = load(config_file);
  if (!loaded) {
    fmt::print(stderr, "{}\n", loaded.error().message());
    return kExitUsage;
  }
  if (check_only) {
    fmt::print("{}: the configuration is valid\n", config_file);
    return kExitDone;
  }

  ServiceContext context;
  auto service = loaded->start(context);
  if (!service) {
    return fail_with(service.error());
  }
  auto admin =
      net::HttpServer::start(loaded->admin, [&context](net::HttpRequest request, net::Responder respond) {
        if (context.admin_extra && context.admin_extra(request, respond)) {
          return;
        }
        respond(telemetry::answer_admin(request, context.registry, context.health));
      });
  if (!admin) {
    return fail_with(admin.error());
  }
  const telemetry::LedgerWatch ledger(context.registry);
  context.health.set("started", true);
  context.listening("admin", (*admin)->endpoint());
  fmt::print("ready\n");
  std::fflush(stdout);

  while (!signals.wait(std::chrono::hours{1})) {
  }
  signals.exit_on_next();
  context.health.set("started", false, "the service is stopping");
  telemetry::log_info(info.name,
                      "stopping: finishing what is in flight, at most {} s; a second signal ends it at once",
                      kDrainLimit.count() / 1000);
  const std::string left = (*service)->stop(kDrainLimit);
  telemetry::log_info(info.name, "stopped: {}", left);
  (*admin)->stop(std::chrono::milliseconds{0});
  service->reset();
  return kExitDone;
}

}  // namespace naru::program
