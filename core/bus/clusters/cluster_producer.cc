#include "core/bus/clusters/cluster_producer.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/bus/resent.h"
#include "core/telemetry/log.h"

namespace naru::bus {
namespace {

constexpr std::string_view kComponent = "clusters";
constexpr std::chrono::milliseconds kLook{50};

bool own_fault(ErrorCode code) {
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kTooLarge;
}

}  // namespace

struct ClusterProducer::State {
  explicit State(const ClusterChoiceConfig& config) : choice(config), last_acknowledged(config.clusters, 0) {}

  // Taken while records are handed to a cluster, so that a switch comes between two of them. Before `mutex`.
  std::mutex order;
  mutable std::mutex mutex;
  std::condition_variable changed;
  ClusterChoice choice;
  std::list<HeldPtr> outstanding;                // in the order of sending; unanswered ones
  std::vector<std::uint64_t> last_acknowledged;  // by cluster
  bool told = false;                             // something that the thread has not looked at
  bool draining = false;
  std::deque<HeldPtr> waiting;  // while draining
  std::size_t waiting_bytes = 0;
  bool stop = false;
};

ClusterProducer::ClusterProducer(ClusterProducerConfig config,
                                 std::vector<std::unique_ptr<Producer>> clusters, ClusterWatch::Ask ask,
                                 telemetry::Registry& registry)
    : config_(std::move(config)),
      state_(std::make_shared<State>(config_.choice)),
      clusters_(std::move(clusters)),
      switches_(registry.counter("naru_bus_cluster_switches_total", "Switches to another cluster.")),
      resent_(registry.counter(
          "naru_bus_resent_records_total",
          "Bus records sent to another cluster without knowing whether the first took them.")),
      active_gauge_(registry.gauge("naru_bus_active_cluster",
                                   "Position in the list of the cluster that records go to, from 0.")),
      shift_gauge_(registry.gauge("naru_bus_shift_percent",
                                  "Share of the partitions that a planned move sends to another cluster.")),
      draining_gauge_(registry.gauge(
          "naru_bus_draining",
          "Whether new records wait until all on the cluster that is left is acknowledged (1: they do).")) {
  thread_ = std::thread([this] { run(); });
  watch_ = std::make_unique<ClusterWatch>(clusters_.size(), config_.ask_every, std::move(ask),
                                          [this](std::size_t cluster, bool answered) {
                                            const std::lock_guard lock(state_->mutex);
                                            state_->choice.asked(cluster, answered, monotonic_now());
                                          });
}

ClusterProducer::~ClusterProducer() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->changed.notify_all();
  thread_.join();
  watch_.reset();
  std::deque<HeldPtr> waiting;
  {
    const std::lock_guard lock(state_->mutex);
    waiting.swap(state_->waiting);
  }
  for (const HeldPtr& held : waiting) {
    held->done(fail(ErrorCode::kCancelled, "the producer is shut down"));
  }
  clusters_.clear();  // answers what is left
}

std::size_t ClusterProducer::active() const {
  const std::lock_guard lock(state_->mutex);
  return state_->choice.active();
}

std::optional<std::size_t> ClusterProducer::number_of(const std::string& name) const {
  const auto found = std::ranges::find(config_.names, name);
  if (found == config_.names.end()) {
    telemetry::log_warn(kComponent, "told to use cluster '{}', which is not configured here", name);
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - config_.names.begin());
}

std::string ClusterProducer::named(const ClusterPlacement& placement) const {
  std::string out = config_.names[placement.active];
  if (placement.percent > 0) {
    out +=
        fmt::format(", {} % of the partitions to {}", placement.percent, config_.names[placement.shift_to]);
  }
  return out;
}

void ClusterProducer::told(const std::optional<ClusterOrder>& order) {
  std::optional<ClusterPlacement> placement;
  if (order) {
    const auto active = number_of(order->active);
    const auto shift_to = order->percent > 0 ? number_of(order->shift_to) : active;
    if (!active || !shift_to) {
      return;
    }
    placement = {.active = *active, .shift_to = *shift_to, .percent = std::min(order->percent, 100u)};
  }
  const std::lock_guard lock(state_->mutex);
  state_->choice.told(placement);
  state_->told = true;
  state_->changed.notify_all();
}

Result<void> ClusterProducer::send(OutRecord& record, DeliveryCallback done) {
  const std::lock_guard order(state_->order);
  auto held = std::make_shared<Held>();
  held->record = record;  // a copy: it may have to go to another cluster
  held->done = std::move(done);
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->draining) {
      const std::size_t bytes = record.value.size() + record.key.size();
      if (state_->waiting_bytes + bytes > config_.waiting_bytes_max) {
        return fail(ErrorCode::kOverloaded, "records wait for the return to another cluster; send again");
      }
      state_->waiting_bytes += bytes;
      state_->waiting.push_back(std::move(held));
      return {};
    }
  }
  return pass(held, false);
}

// Hands the record to the active cluster. With `order` held.
Result<void> ClusterProducer::pass(const HeldPtr& held, bool resent) {
  ClusterPlacement placement;
  {
    const std::lock_guard lock(state_->mutex);
    placement = state_->choice.placement();
  }
  std::size_t cluster = placement.active;
  if (placement.percent > 0) {
    const std::int32_t partitions = clusters_[cluster]->partition_count(held->record.topic).value_or(1);
    const std::int32_t partition =
        held->record.partition != kPartitionByKey
            ? held->record.partition
            : static_cast<std::int32_t>(static_cast<std::uint32_t>(xxh3_64(held->record.key)) %
                                        static_cast<std::uint32_t>(std::max(partitions, 1)));
    cluster = placement.of(static_cast<std::uint64_t>(partition), static_cast<std::uint64_t>(partitions));
  }
  {
    const std::lock_guard lock(state_->mutex);
    held->cluster = cluster;
    held->sent_at = monotonic_now();
    ++held->unanswered;
    if (!resent) {
      held->place = state_->outstanding.insert(state_->outstanding.end(), held);
    }
  }
  OutRecord copy = held->record;
  copy.returned = nullptr;
  if (resent) {
    copy.headers.push_back({std::string(kResentHeader), "1"});
  }
  // Partitions were chosen by the cluster that was active; another one may have fewer.
  if (const auto count = clusters_[cluster]->partition_count(copy.topic);
      count && copy.partition != kPartitionByKey && copy.partition >= *count) {
    copy.partition %= *count;
  }
  Result<void> taken =
      clusters_[cluster]->send(copy, [state = state_, held, cluster](Result<Position> result) {
        answer(state, held, cluster, std::move(result));
      });
  if (!taken) {
    const std::lock_guard lock(state_->mutex);
    --held->unanswered;
    if (!resent) {
      state_->outstanding.erase(held->place);
    }
  }
  return taken;
}

void ClusterProducer::answer(const std::shared_ptr<State>& state, const HeldPtr& held, std::size_t cluster,
                             Result<Position> result) {
  DeliveryCallback done;
  {
    const std::lock_guard lock(state->mutex);
    --held->unanswered;
    if (result) {
      state->last_acknowledged[cluster] = monotonic_now();
    } else if (held->unanswered > 0 && !own_fault(result.error().code())) {
      return;  // another cluster will answer
    }
    if (held->answered) {
      return;
    }
    held->answered = true;
    state->outstanding.erase(held->place);
    done = std::move(held->done);
    if (!result && own_fault(result.error().code()) && held->record.returned != nullptr) {
      OutRecord* const back = held->record.returned;
      *back = std::move(held->record);
    }
  }
  state->changed.notify_all();
  done(std::move(result));
}

void ClusterProducer::run() {
  std::unique_lock lock(state_->mutex);
  while (!state_->stop) {
    state_->told = false;
    // In the order of sending: the first of each cluster is its oldest.
    std::vector<std::optional<std::uint64_t>> silent_since(clusters_.size());
    const ClusterPlacement& placement = state_->choice.placement();
    std::size_t unseen = placement.percent > 0 ? 2 : 1;
    for (const HeldPtr& held : state_->outstanding) {
      auto& since = silent_since[held->cluster];
      if (!since && placement.uses(held->cluster)) {
        since = std::max(held->sent_at, state_->last_acknowledged[held->cluster]);
        if (--unseen == 0) {
          break;
        }
      }
    }
    if (const auto wanted = state_->choice.step(silent_since, monotonic_now())) {
      lock.unlock();
      move(*wanted);
      lock.lock();
    }
    state_->changed.wait_for(lock, kLook, [this] { return state_->stop || state_->told; });
  }
}

void ClusterProducer::move(const ClusterChoice::Move& move) {
  if (!move.left) {
    std::unique_lock lock(state_->mutex);
    state_->draining = true;
    draining_gauge_.set(1);
    const bool drained = state_->changed.wait_for(
        lock, config_.drain_max, [this] { return state_->stop || state_->outstanding.empty(); });
    if (!drained || state_->stop) {
      const std::size_t left = state_->outstanding.size();
      lock.unlock();
      telemetry::log_warn(kComponent, "no switch to {}: {} records are not acknowledged yet", named(move.to),
                          left);
      release_waiting();
      return;
    }
  }
  ClusterPlacement from;
  {
    const std::lock_guard order(state_->order);
    {
      const std::lock_guard lock(state_->mutex);
      from = state_->choice.placement();
      state_->choice.moved(move.to);
      std::ranges::fill(state_->last_acknowledged, monotonic_now());
    }
    if (move.left) {
      resend_from(*move.left);
    }
  }
  active_gauge_.set(static_cast<double>(move.to.active));
  shift_gauge_.set(move.to.percent);
  switches_.add();
  telemetry::log_warn(kComponent, "records go to {} instead of {}: {}", named(move.to), named(from),
                      move.reason);
  if (!move.left) {
    release_waiting();
  }
}

// With `order` held: nothing newer overtakes them.
void ClusterProducer::resend_from(std::size_t cluster) {
  std::vector<HeldPtr> unanswered;
  {
    const std::lock_guard lock(state_->mutex);
    for (const HeldPtr& held : state_->outstanding) {
      if (held->cluster == cluster && !held->answered) {
        unanswered.push_back(held);
      }
    }
  }
  for (const HeldPtr& held : unanswered) {
    // One that the next cluster does not take now stays with the first, whose answer its owner gets.
    if (pass(held, true)) {
      resent_.add();
    }
  }
}

void ClusterProducer::release_waiting() {
  const std::lock_guard order(state_->order);
  std::deque<HeldPtr> waiting;
  {
    const std::lock_guard lock(state_->mutex);
    state_->draining = false;
    draining_gauge_.set(0);
    state_->waiting_bytes = 0;
    waiting.swap(state_->waiting);
  }
  for (const HeldPtr& held : waiting) {
    if (Result<void> taken = pass(held, false); !taken) {
      held->done(fail(taken.error()));
    }
  }
}

Result<void> ClusterProducer::flush(std::chrono::milliseconds deadline) {
  std::unique_lock lock(state_->mutex);
  const bool done = state_->changed.wait_for(
      lock, deadline, [this] { return state_->outstanding.empty() && state_->waiting.empty(); });
  return done ? Result<void>()
              : fail(ErrorCode::kTimeout,
                     fmt::format("not everything is acknowledged after {} ms", deadline.count()));
}

Result<std::int32_t> ClusterProducer::partition_count(const std::string& topic) {
  return clusters_[active()]->partition_count(topic);
}

}  // namespace naru::bus
