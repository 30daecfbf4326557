// `naru status`, `naru route` and `naru limit`: what people see and say, over the HTTP API of naru-alerting.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace naru {

struct ControlOptions {
  std::vector<std::string> admins;  // host:port or URL of the instances; the one that leads answers
  std::string token_file;
  std::string by;  // who says so; empty: the user's name
  std::string reason;
  std::string target;      // or the limit's name
  std::string value;       // status, route or rate
  unsigned percent = 100;  // of a planned move
  bool lock = false, unlock = false;
  enum class Action {
    kNone,
    kStatusGet,
    kStatusSet,
    kRouteGet,
    kRouteSet,
    kRouteShift,
    kLimitGet,
    kLimitSet
  } action = Action::kNone;
};
void add_status_flags(CLI::App& app, ControlOptions& options);
void add_route_flags(CLI::App& app, ControlOptions& options);
// Of `naru kafka switch`; `options` serve nothing else then.
void add_shift_flags(CLI::App& app, ControlOptions& options);
void add_limit_flags(CLI::App& app, ControlOptions& options);

// 0 done; 1: nobody leads, or no answer; 2: refused for what was asked.
int run_control(const ControlOptions& options);

}  // namespace naru
