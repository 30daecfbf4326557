#include "agent/agent.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <system_error>
#include <thread>

#include "agent/checkpoint/log.h"
#include "agent/journald/journal_reader.h"
#include "agent/metrics.h"
#include "agent/ship/shipper.h"
#include "agent/tail/tailer.h"
#include "core/base/host.h"
#include "core/telemetry/log.h"

namespace naru::agent {
namespace {

constexpr std::chrono::milliseconds kSleepMax{1'000};

}  // namespace

namespace {

// 0: not known.
double disk_used_ratio(const std::string& directory) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(directory, error);
  const auto all = static_cast<double>(space.capacity);
  return error || all <= 0 ? 0 : 1 - static_cast<double>(space.available) / all;
}

}  // namespace

struct Agent::Impl {
  Impl(AgentConfig given, net::HttpTransportFactory factory, telemetry::Registry& given_registry,
       telemetry::Health& given_health, spool::FileSystem& given_files)
      : registry(given_registry),
        config(std::move(given)),
        transports(std::move(factory)),
        metrics(given_registry),
        health(given_health),
        files(given_files) {}

  ~Impl() {
    if (wake_fd >= 0) {
      ::close(wake_fd);
    }
  }

  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_fd, &one, sizeof one);
  }

  std::map<std::string, std::string> resource() const {
    std::map<std::string, std::string> attributes = config.attributes;
    attributes.try_emplace("host.name", config.host_name.empty() ? host_name("unknown") : config.host_name);
    attributes.try_emplace("os.type", "linux");
    return attributes;
  }

  void read_files() {
    tailer->begin();
    while (!stopping) {
      const auto sleep = std::min(tailer->step(), kSleepMax);
      if (sleep.count() == 0) {
        continue;
      }
      pollfd waits[2] = {{wake_fd, POLLIN, 0}, {tailer->watch_fd(), POLLIN, 0}};
      ::poll(waits, 2, static_cast<int>(sleep.count()));
      std::uint64_t ignored = 0;
      [[maybe_unused]] const ssize_t n = ::read(wake_fd, &ignored, sizeof ignored);
    }
  }

  telemetry::Registry& registry;
  const AgentConfig config;
  const net::HttpTransportFactory transports;
  Metrics metrics;
  telemetry::Health& health;
  spool::FileSystem& files;
  int wake_fd = -1;
  std::atomic<bool> stopping{false};
  std::unique_ptr<CheckpointLog> log;
  std::shared_ptr<void> state_check, disk_used;
  std::unique_ptr<Shipper> shipper;
  std::unique_ptr<Tailer> tailer;
  std::unique_ptr<JournalReader> journal;  // made before the shipper's threads start
  std::thread reader;
};

Agent::Agent(AgentConfig config, net::HttpTransportFactory transports, telemetry::Registry& registry,
             telemetry::Health& health, spool::FileSystem& files)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(transports), registry, health, files)) {}

Agent::~Agent() {
  stop(std::chrono::milliseconds(0));
}

Result<void> Agent::start() {
  Impl& impl = *impl_;
  NARU_TRY_VOID(validate(impl.config));
  NARU_TRY(impl.log, CheckpointLog::open(impl.files, impl.config.state_dir));
  if (impl.log->damaged_bytes() > 0) {
    telemetry::log_warn("agent",
                        "{} bytes at the end of the state in {} were damaged; they are kept as "
                        "agent.state.damaged, and records may be sent twice",
                        impl.log->damaged_bytes(), impl.config.state_dir);
  }
  impl.log->read([&](const State& state) {
    impl.metrics.ledger.accepted.add(state.totals.accepted);
    impl.metrics.ledger.delivered.add(state.totals.delivered);
    impl.metrics.ledger.lost.add(state.totals.lost);
    impl.metrics.ledger.dropped("rejected_by_collector").add(state.totals.rejected);
  });
  impl.disk_used = impl.registry.sampled_gauge(
      "naru_agent_disk_used_ratio", "Share of the disk with the agent's state that is in use.", {},
      [directory = impl.config.state_dir] { return disk_used_ratio(directory); });
  impl.state_check = impl.health.add_check("agent_state", [log = impl.log.get(),
                                                           directory = impl.config.state_dir] {
    return log->failing()
               ? std::optional("the state in " + directory +
                               " cannot be written, so nothing is sent: see the agent's log for the cause")
               : std::nullopt;
  });
  NARU_TRY(Watch watch, Watch::make());
  impl.wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (impl.wake_fd < 0) {
    return fail(ErrorCode::kIo, "no event descriptor: the process has too many files open (ulimit -n)");
  }
  impl.shipper =
      std::make_unique<Shipper>(impl.config.ship, impl.transports, impl.metrics, impl.health, [&impl] {
        impl.wake();
        if (impl.journal != nullptr) {
          impl.journal->wake();
        }
      });
  impl.log->read([&](const State& state) { impl.shipper->await_rebuild(state.in_flight_records()); });
  impl.tailer = std::make_unique<Tailer>(impl.config, impl.resource(), *impl.log, *impl.shipper, impl.metrics,
                                         impl.files, std::move(watch));
  if (impl.config.journald.enabled) {
    impl.journal = std::make_unique<JournalReader>(impl.config.journald, impl.config.ship, impl.resource(),
                                                   *impl.log, *impl.shipper, impl.metrics);
  }
  impl.shipper->start();
  impl.reader = std::thread([&impl] { impl.read_files(); });
  if (impl.journal != nullptr) {
    impl.journal->start();
  }
  return {};
}

void Agent::stop(std::chrono::milliseconds drain) {
  Impl& impl = *impl_;
  if (impl.stopping.exchange(true) || impl.shipper == nullptr) {
    return;
  }
  impl.wake();
  if (impl.reader.joinable()) {
    impl.reader.join();
  }
  if (impl.journal != nullptr) {
    impl.journal->stop();
  }
  impl.shipper->stop(drain);
  impl.tailer->end();
}

Progress Agent::progress() const {
  Progress progress;
  if (impl_->shipper != nullptr && impl_->tailer != nullptr) {
    const TailProgress tail = impl_->tailer->progress();
    progress.files = tail.files;
    progress.bytes_read = tail.bytes_read;
    progress.lag_bytes = tail.lag_bytes;
    progress.records_sent = impl_->shipper->sent_records();
    progress.records_acked = impl_->shipper->delivered_records();
    progress.records_in_flight = impl_->shipper->in_flight_records();
  }
  return progress;
}

}  // namespace naru::agent
