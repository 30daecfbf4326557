// What every service program does round its own work (contracts.md 6): flags, configuration, the admin
// listener, `listening` lines, `ready`, drain on a signal, exit codes.
//
//   int main(int argc, char** argv) { return program::run_service<Config>(argc, argv, kInfo, start); }
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"
#include "core/net/http.h"
#include "core/net/http_server.h"
#include "core/telemetry/health.h"
#include "core/telemetry/metrics.h"

namespace naru::program {

inline constexpr std::chrono::milliseconds kDrainLimit{30'000};

// Exit codes of every program.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

struct ServiceInfo {
  const char* name;         // naru-agent
  const char* description;  // one sentence for --help
};

// A running service.
class Service {
 public:
  virtual ~Service() = default;
  // Stops intake, finishes what is in flight within `drain`, and says in one sentence what is left.
  virtual std::string stop(std::chrono::milliseconds drain) = 0;
};

// What run_service gives to the start function and keeps alive until after stop().
struct ServiceContext {
  telemetry::Registry registry;
  telemetry::Health health{registry};
  // Set by the start function: endpoints of its own on the admin listener, asked first; 404 from it falls
  // through to /metrics, /livez and /readyz.
  std::function<bool(net::HttpRequest&, net::Responder&)> admin_extra;
  // Prints `listening <what> <endpoint>`.
  void listening(std::string_view what, const std::string& endpoint) const;
};

// kExitUsage for what a person wrote wrong, kExitFailure for the rest.
int exit_code(const Error& error);

using Start = std::function<Result<std::unique_ptr<Service>>(ServiceContext&)>;

// The untyped part. `load` reads the file and returns the admin listener's settings with the start function.
struct Loaded {
  net::HttpServerConfig admin;
  Start start;
};
using Load = std::function<Result<Loaded>(const std::string& config_file)>;
int run_service(int argc, char** argv, const ServiceInfo& info, const Load& load);

// `Config` has a field `admin` with `to_server()`-like conversion done by the caller in `admin_of`.
template <class Config>
int run_service(int argc, char** argv, const ServiceInfo& info,
                std::function<net::HttpServerConfig(const Config&)> admin_of,
                std::function<Result<std::unique_ptr<Service>>(const Config&, ServiceContext&)> start) {
  return run_service(argc, argv, info, [&](const std::string& file) -> Result<Loaded> {
    NARU_TRY(auto loaded, config::load_file<Config>(file));
    auto shared = std::make_shared<Config>(std::move(loaded));
    Loaded out;
    out.admin = admin_of(*shared);
    out.start = [shared, start](ServiceContext& context) { return start(*shared, context); };
    return out;
  });
}

}  // namespace naru::program
