#include "alerting/failover/effects.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <simdjson.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "alerting/http_call.h"
#include "core/base/clock.h"
#include "core/spool/file_system.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

constexpr std::string_view kComponent = "failover";
constexpr std::chrono::milliseconds kPauseMin{200};
constexpr std::chrono::milliseconds kPauseMax{10'000};
constexpr std::chrono::milliseconds kCommandLook{10};
constexpr std::size_t kRouteFileMax = 1u << 20;

std::optional<Version> version_in(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  Version out;
  if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS ||
      object["epoch"].get(out.epoch) != simdjson::SUCCESS ||
      object["sequence"].get(out.sequence) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  return out;
}

}  // namespace

Result<void> write_route_file(const std::string& path, const RouteTold& told) {
  spool::FileSystem& files = spool::posix_file_system();
  if (const auto there = spool::read_file(files, path, kRouteFileMax)) {
    const std::optional<Version> version = version_in(*there);
    if (version && *version > told.version) {
      return fail(ErrorCode::kConflict,
                  fmt::format("{} holds version {}.{}, newer than {}.{}; it stays", path, version->epoch,
                              version->sequence, told.version.epoch, told.version.sequence));
    }
  }
  const std::filesystem::path where(path);
  const std::string directory = where.has_parent_path() ? where.parent_path().string() : std::string(".");
  return spool::replace_file(files, directory, where.filename().string(), told.json + "\n");
}

Result<void> run_command(const std::vector<std::string>& argv, const RouteTold& told,
                         std::chrono::milliseconds timeout) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("NARU_")) {
      environment.emplace_back(*entry);
    }
  }
  const auto add = [&](std::string_view name, std::string_view value) {
    std::string text(value);
    std::erase(text, '\0');
    environment.push_back(fmt::format("{}={}", name, text));
  };
  add("NARU_TARGET", told.target);
  add("NARU_ROUTE", told.to);
  add("NARU_URL", told.url);
  add("NARU_FROM", told.from);
  add("NARU_REASON", told.reason);
  add("NARU_EPOCH", std::to_string(told.version.epoch));
  add("NARU_SEQUENCE", std::to_string(told.version.sequence));
  std::vector<char*> arguments, variables;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  for (std::string& variable : environment) {
    variables.push_back(variable.data());
  }
  arguments.push_back(nullptr);
  variables.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // so that its children end with it
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return fail(ErrorCode::kIo, fmt::format("{} cannot be started: {}", argv[0], std::strerror(error)));
  }
  const std::uint64_t deadline = monotonic_now() + to_nanos(timeout);
  int status = 0;
  for (;;) {
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) {
      break;
    }
    if (monotonic_now() >= deadline) {
      ::kill(-pid, SIGKILL);
      ::waitpid(pid, &status, 0);
      return fail(ErrorCode::kTimeout,
                  fmt::format("{} had not ended after {} ms and was killed", argv[0], timeout.count()));
    }
    std::this_thread::sleep_for(kCommandLook);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return {};
  }
  return fail(ErrorCode::kIo, WIFEXITED(status)
                                  ? fmt::format("{} ended with code {}", argv[0], WEXITSTATUS(status))
                                  : fmt::format("{} was ended by signal {}", argv[0], WTERMSIG(status)));
}

Effect::Effect(std::string kind, std::string target, Run run, std::function<bool()> may_run,
               telemetry::Registry& registry)
    : kind_(std::move(kind)),
      target_(std::move(target)),
      run_(std::move(run)),
      may_run_(std::move(may_run)),
      done_(registry.counter("naru_failover_effects_total", "Effects of route changes that succeeded.",
                             {{"target", target_}, {"kind", kind_}})),
      failed_(registry.counter("naru_failover_effects_failed_total", "Tries of effects that failed.",
                               {{"target", target_}, {"kind", kind_}})),
      thread_([this] { work(); }) {}

Effect::~Effect() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Effect::tell(RouteTold told) {
  {
    const std::lock_guard lock(mutex_);
    if (next_ && next_->version > told.version) {
      return;
    }
    next_ = std::move(told);
  }
  wake_.notify_all();
}

void Effect::work() {
  std::unique_lock lock(mutex_);
  std::chrono::milliseconds pause = kPauseMin;
  while (!stop_) {
    if (!next_) {
      wake_.wait(lock, [this] { return stop_ || next_.has_value(); });
      continue;
    }
    RouteTold task = *std::exchange(next_, std::nullopt);
    lock.unlock();
    const bool may = may_run_();
    const Result<void> ran = may ? run_(task) : Result<void>();
    lock.lock();
    if (!may) {
      continue;
    }
    if (ran) {
      done_.add();
      pause = kPauseMin;
      telemetry::log_info(kComponent, "{}: {} for route {} ({}.{})", target_, kind_, task.to,
                          task.version.epoch, task.version.sequence);
      continue;
    }
    if (ran.error().code() == ErrorCode::kConflict) {
      telemetry::log_warn(kComponent, "{}: {}", target_, ran.error().message());
      continue;
    }
    failed_.add();
    telemetry::log_error(kComponent, "{}: {} for route {} failed, trying again in {} ms: {}", target_, kind_,
                         task.to, pause.count(), ran.error().message());
    wake_.wait_for(lock, pause, [this] { return stop_ || next_.has_value(); });
    pause = std::min(2 * pause, kPauseMax);
    if (!next_) {
      next_ = std::move(task);
    }
  }
}

std::vector<std::unique_ptr<Effect>> make_effects(const TargetConfig& target, std::function<bool()> may_run,
                                                  std::function<bool(const std::string&)> permits,
                                                  telemetry::Registry& registry) {
  std::vector<std::unique_ptr<Effect>> out;
  const EffectConfig& config = target.effects;
  const auto add = [&](const char* kind, Effect::Run run) {
    out.push_back(std::make_unique<Effect>(kind, target.name, std::move(run), may_run, registry));
  };
  if (!config.file.empty()) {
    add("file", [path = config.file](const RouteTold& told) { return write_route_file(path, told); });
  }
  if (!config.command.empty()) {
    add("command", [config](const RouteTold& told) {
      return told.from.empty() ? Result<void>() : run_command(config.command, told, config.timeout);
    });
  }
  if (!config.webhook.empty()) {
    add("webhook", [config, permits](const RouteTold& told) -> Result<void> {
      if (!config.webhook_limit.empty() && !permits(config.webhook_limit)) {
        return fail(ErrorCode::kOverloaded, "limit " + config.webhook_limit + " has no permit now");
      }
      NARU_TRY(const net::HttpResponse response,
               call_url(config.webhook, "application/json", told.json, config.timeout));
      if (response.status / 100 != 2) {
        return fail(ErrorCode::kUnavailable,
                    fmt::format("{} answered {}", redacted_url(config.webhook), response.status));
      }
      return {};
    });
  }
  return out;
}

}  // namespace naru::alerting
