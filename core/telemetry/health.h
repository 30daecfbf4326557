// Whether this process makes progress (design.md invariant 9): named checks behind /readyz.
//
// A check is set by its owner when something changes, or asked at each look. Red means "do not send me work
// now"; it never stops anything by itself. Thread-safe. Checks that are asked run under the health's lock:
// they must be quick and must not call back into it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/telemetry/metrics.h"

namespace naru::telemetry {

class Health {
 public:
  struct Check {
    std::string name;
    bool ok = false;
    std::string reason;  // for a person; empty when ok
  };

  // `registry` must outlive this.
  explicit Health(Registry& registry);
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // Makes or replaces the named check. `reason` is kept for a red check only.
  void set(const std::string& name, bool ok, const std::string& reason = {});

  // set() for a service that this one needs, with its gauge naru_dependency_up{name}.
  void set_dependency(const std::string& name, bool up, const std::string& reason = {});

  // Asked at each look: nullopt is green, a text is red with that reason. Dropping the token removes the
  // check.
  [[nodiscard]] std::shared_ptr<void> add_check(const std::string& name,
                                                std::function<std::optional<std::string>()> check);

  // Red while the oldest unfinished piece of work is older than `limit_seconds`. `age` gives its age in
  // seconds, nullopt when nothing is unfinished.
  [[nodiscard]] std::shared_ptr<void> watch_age(const std::string& name, double limit_seconds,
                                                std::function<std::optional<double>()> age);

  // Every check, ordered by name.
  std::vector<Check> checks() const;
  // No check is red.
  bool ready() const;

 private:
  using Asked = std::function<std::optional<std::string>()>;
  struct State {
    std::mutex mutex;
    std::map<std::string, Check> set;
    std::map<std::uint64_t, std::pair<std::string, Asked>> asked;
    std::uint64_t next_id = 0;
  };

  Registry& registry_;
  std::shared_ptr<State> state_;  // tokens hold it weakly and may outlive this
};

}  // namespace naru::telemetry
