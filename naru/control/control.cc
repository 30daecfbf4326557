#include "naru/control/control.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>

#include "core/base/address.h"
#include "core/base/json_text.h"
#include "core/config/config.h"
#include "core/net/http_client.h"
#include "core/program/service.h"

namespace naru {
namespace {

using Action = ControlOptions::Action;

constexpr std::chrono::milliseconds kAnswerTimeout{10'000};
// Of naru-alerting, and of `naru up`.
const std::vector<std::string> kDefaultAdmins = {"127.0.0.1:8083", "127.0.0.1:8081"};

// The first instance that leads. kUnavailable: none does.
Result<std::string> ask(const ControlOptions& options, const net::HttpRequest& request) {
  std::string token;
  if (!options.token_file.empty()) {
    NARU_TRY(token, config::read_config_file(options.token_file));
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) {
      token.pop_back();
    }
  }
  std::string tried;
  for (const std::string& admin : options.admins.empty() ? kDefaultAdmins : options.admins) {
    net::HttpClientConfig config;
    config.url = admin;
    if (admin.find("://") == std::string::npos) {
      NARU_TRY(const Address address, parse_address(admin));
      config.url = "http://" + address.text();
    }
    config.bearer_token = token;
    config.connect_timeout = kAnswerTimeout;
    NARU_TRY(const auto client, net::make_http_client(config));
    const Result<net::HttpResponse> answer = client->exchange(request, kAnswerTimeout);
    if (!answer) {
      tried += fmt::format("\n  {}: {}", admin, answer.error().message());
      continue;
    }
    if (answer->status == 200) {
      return answer->body;
    }
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view why;
    const bool told = parser.parse(answer->body).get(root) == simdjson::SUCCESS &&
                      root["error"].get(why) == simdjson::SUCCESS;
    if (answer->status == 503 || !told) {
      tried += fmt::format("\n  {}: {}", admin,
                           told ? std::string(why) : fmt::format("answered {}", answer->status));
      continue;
    }
    return fail(answer->status == 404 ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument, std::string(why));
  }
  return fail(ErrorCode::kUnavailable,
              "no instance of naru-alerting answered; name them with --admin:" + tried);
}

std::string body_of(const ControlOptions& options) {
  std::string by = options.by;
  if (const char* user = std::getenv("USER"); by.empty() && user != nullptr) {
    by = user;
  }
  std::string out = "{\"reason\":";
  append_json_string(out, options.reason);
  out += ",\"by\":";
  append_json_string(out, by);
  switch (options.action) {
    case Action::kStatusSet:
      out += ",\"status\":";
      append_json_string(out, options.value);
      break;
    case Action::kRouteSet:
      if (!options.value.empty()) {
        out += ",\"route\":";
        append_json_string(out, options.value);
      }
      if (options.lock || options.unlock) {
        out += options.lock ? ",\"lock\":true" : ",\"lock\":false";
      }
      break;
    case Action::kRouteShift:
      out += ",\"route\":";
      append_json_string(out, options.value);
      out += fmt::format(",\"percent\":{}", options.percent);
      break;
    case Action::kLimitSet: out += ",\"perSecond\":" + options.value; break;
    default: break;
  }
  return out + "}";
}

Result<net::HttpRequest> request_of(const ControlOptions& options) {
  net::HttpRequest request;
  const bool routes = options.action == Action::kRouteGet || options.action == Action::kRouteSet ||
                      options.action == Action::kRouteShift;
  const bool sets = options.action == Action::kStatusSet || options.action == Action::kRouteSet ||
                    options.action == Action::kRouteShift || options.action == Action::kLimitSet;
  const char* const base = options.action == Action::kStatusGet || options.action == Action::kStatusSet
                               ? "/v1/status"
                           : routes ? "/v1/routes"
                                    : "/v1/limits";
  request.target =
      options.target.empty() ? base : fmt::format("{}/{}", base, net::percent_encoded(options.target));
  if (!sets) {
    return request;
  }
  if (options.action == Action::kLimitSet) {
    double rate = 0;
    const char* const end = options.value.data() + options.value.size();
    if (std::from_chars(options.value.data(), end, rate).ptr != end || !(rate >= 0)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is no rate; give permits a second", options.value));
    }
  }
  if (options.action == Action::kRouteSet && options.value.empty() && !options.lock && !options.unlock) {
    return fail(ErrorCode::kInvalidArgument, "give a route, --lock or --unlock");
  }
  request.method = "PUT";
  request.headers.set("Content-Type", "application/json");
  request.body = body_of(options);
  return request;
}

void add_common(CLI::App& app, ControlOptions& options, bool changes) {
  app.add_option(
      "--admin", options.admins,
      "admin listeners of naru-alerting or `naru up` (default: 127.0.0.1:8083, then 127.0.0.1:8081)");
  app.add_option("--token-file", options.token_file, "file with the api_token, from another machine");
  if (changes) {
    app.add_option("--by", options.by, "who says so (default: $USER)");
  }
}

CLI::App* add_verb(CLI::App& app, ControlOptions& options, const char* name, const char* what,
                   Action action) {
  CLI::App* verb = app.add_subcommand(name, what);
  verb->callback([&options, action] { options.action = action; });
  return verb;
}

}  // namespace

void add_status_flags(CLI::App& app, ControlOptions& options) {
  app.require_subcommand(1);
  CLI::App* get = add_verb(app, options, "get", "the status of all targets, or of one", Action::kStatusGet);
  get->add_option("target", options.target, "a target");
  add_common(*get, options, false);
  CLI::App* set = add_verb(app, options, "set", "say what the status of a target is", Action::kStatusSet);
  set->add_option("target", options.target, "a target")->required();
  set->add_option("status", options.value, "HEALTHY, CAUTION or CRITICAL")
      ->required()
      ->check(CLI::IsMember({"HEALTHY", "CAUTION", "CRITICAL"}));
  set->add_option("--reason", options.reason, "why, for all who read it")->required();
  add_common(*set, options, true);
}

void add_route_flags(CLI::App& app, ControlOptions& options) {
  app.require_subcommand(1);
  CLI::App* get = add_verb(app, options, "get", "the routes of a target", Action::kRouteGet);
  get->add_option("target", options.target, "a target with routes")->required();
  add_common(*get, options, false);
  CLI::App* set =
      add_verb(app, options, "set", "switch a target to a route, lock or unlock it", Action::kRouteSet);
  set->add_option("target", options.target, "a target with routes")->required();
  set->add_option("route", options.value, "one of its routes");
  CLI::Option* lock = set->add_flag("--lock", options.lock, "nothing but people switches it from now on");
  set->add_flag("--unlock", options.unlock, "it may switch by itself again")->excludes(lock);
  set->add_option("--reason", options.reason, "why, for all who read it")->required();
  add_common(*set, options, true);
}

void add_shift_flags(CLI::App& app, ControlOptions& options) {
  app.add_option("--to", options.value, "route to move to, such as the name of a cluster")->required();
  app.add_option(
         "--percent", options.percent,
         "so much of the partitions of each topic, in whole partitions; 0 takes it back, 100 makes it "
         "the active route")
      ->required()
      ->check(CLI::Range(0, 100));
  options.target = "kafka";
  app.add_option("--target", options.target, "the target whose route the collectors follow (default: kafka)");
  app.add_option("--reason", options.reason, "why, for all who read it")->required();
  options.action = Action::kRouteShift;
  add_common(app, options, true);
}

void add_limit_flags(CLI::App& app, ControlOptions& options) {
  app.require_subcommand(1);
  CLI::App* get = add_verb(app, options, "get", "the rates of all limits, or of one", Action::kLimitGet);
  get->add_option("name", options.target, "a limit");
  add_common(*get, options, false);
  CLI::App* set = add_verb(app, options, "set", "change a rate now, without a restart", Action::kLimitSet);
  set->add_option("name", options.target, "a limit; one that is not there is made")->required();
  set->add_option("rate", options.value, "permits in any one second")->required();
  add_common(*set, options, true);
}

int run_control(const ControlOptions& options) {
  const auto answered = [&]() -> Result<std::string> {
    NARU_TRY(const net::HttpRequest request, request_of(options));
    return ask(options, request);
  }();
  if (!answered) {
    fmt::print(stderr, "naru: {}\n", answered.error().message());
    return answered.error().code() == ErrorCode::kNotFound ? program::kExitUsage
                                                           : program::exit_code(answered.error());
  }
  fmt::print("{}", *answered);
  return program::kExitDone;
}

}  // namespace naru
