#include "core/telemetry/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace naru::telemetry {

Health::Health(Registry& registry) : registry_(registry), state_(std::make_shared<State>()) {}

void Health::set(const std::string& name, bool ok, const std::string& reason) {
  const std::lock_guard lock(state_->mutex);
  state_->set.insert_or_assign(name, Check{name, ok, ok ? std::string() : reason});
}

void Health::set_dependency(const std::string& name, bool up, const std::string& reason) {
  registry_
      .gauge("naru_dependency_up", "1 while a service that this process needs answers, else 0.",
             {{"name", name}})
      .set(up ? 1 : 0);
  set(name, up, reason);
}

std::shared_ptr<void> Health::add_check(const std::string& name, Asked check) {
  const std::lock_guard lock(state_->mutex);
  const std::uint64_t id = state_->next_id++;
  state_->asked.emplace(id, std::pair(name, std::move(check)));
  return std::shared_ptr<void>(state_.get(), [weak = std::weak_ptr<State>(state_), id](void*) {
    if (const auto state = weak.lock()) {
      const std::lock_guard removal(state->mutex);
      state->asked.erase(id);
    }
  });
}

std::shared_ptr<void> Health::watch_age(const std::string& name, double limit_seconds,
                                        std::function<std::optional<double>()> age) {
  return add_check(name, [limit_seconds, age = std::move(age)]() -> std::optional<std::string> {
    const std::optional<double> oldest = age();
    if (!oldest || *oldest <= limit_seconds) {
      return std::nullopt;
    }
    return fmt::format("the oldest unfinished record is {:.1f} s old, over the limit of {:.1f} s", *oldest,
                       limit_seconds);
  });
}

std::vector<Health::Check> Health::checks() const {
  std::vector<Check> all;
  {
    const std::lock_guard lock(state_->mutex);
    all.reserve(state_->set.size() + state_->asked.size());
    for (const auto& [name, check] : state_->set) {
      all.push_back(check);
    }
    for (const auto& [id, named] : state_->asked) {
      std::optional<std::string> reason = named.second();
      all.push_back({named.first, !reason, std::move(reason).value_or("")});
    }
  }
  std::ranges::sort(all, {}, &Check::name);
  return all;
}

bool Health::ready() const {
  return std::ranges::all_of(checks(), &Check::ok);
}

}  // namespace naru::telemetry
