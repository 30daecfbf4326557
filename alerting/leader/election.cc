#include "alerting/leader/election.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "core/base/clock.h"
#include "core/rules/counts.h"
#include "core/telemetry/log.h"

namespace naru::alerting {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kComponent = "alerting";
constexpr milliseconds kStuckMax{5'000};
constexpr milliseconds kPauseMin{1'000}, kPauseMax{4'000};

}  // namespace

struct Election::Seat final : bus::RebalanceListener {
  ControlCluster cluster;
  bus::ClusterReach reach{.asked = true, .answers = true};
  bool answers = false;
  bool held = false;
  std::uint64_t distrusted_until = 0;
  std::string problem;
  std::unique_ptr<bus::Consumer> consumer;
  std::unique_ptr<bus::Producer> producer;  // of the probe; for numbers of partitions only

  void on_assigned(std::span<bus::Assignment> partitions) override {
    for (const bus::Assignment& assignment : partitions) {
      held = held || assignment.partition.partition == 0;
    }
  }
  void on_revoked(std::span<const bus::TopicPartition> partitions, bool) override {
    for (const bus::TopicPartition& partition : partitions) {
      held = held && partition.partition != 0;
    }
  }
  void leave() {
    if (consumer != nullptr) {
      consumer->close();
      consumer.reset();
    }
    held = false;
  }
};

Election::Election(const ControlConfig& config, std::vector<ControlCluster> clusters)
    : config_(config), random_(std::random_device{}()) {
  for (ControlCluster& cluster : clusters) {
    seats_.push_back(std::make_unique<Seat>());
    seats_.back()->cluster = std::move(cluster);
  }
}

Election::~Election() {
  close();
}

void Election::close() {
  for (const auto& seat : seats_) {
    seat->leave();
    seat->producer.reset();
  }
}

const ControlCluster& Election::cluster(std::size_t number) const {
  return seats_[number]->cluster;
}

bool Election::answers(std::size_t number) const {
  return seats_[number]->answers;
}

bool Election::holds(std::size_t number) const {
  return seats_[number]->answers && seats_[number]->held;
}

bool Election::steady(std::size_t number) const {
  const Seat& seat = *seats_[number];
  const std::uint64_t since = std::max(seat.reach.since, seat.distrusted_until);
  return holds(number) && seat.reach.answers && monotonic_now() >= since + to_nanos(config_.rejoin_after);
}

void Election::distrust(std::size_t number, const std::string& why) {
  Seat& seat = *seats_[number];
  seat.distrusted_until = monotonic_now() + to_nanos(config_.rejoin_after);
  seat.problem = why;
  seat.answers = false;
}

Result<std::int32_t> Election::partition_count(std::size_t number, const std::string& topic) {
  Seat& seat = *seats_[number];
  if (seat.producer == nullptr) {
    NARU_TRY(seat.producer, seat.cluster.probe->producer());
  }
  return seat.producer->partition_count(topic);
}

bool Election::won() const {
  std::size_t held = 0;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (seats_[i]->answers && !seats_[i]->held) {
      return false;
    }
    held += holds(i) ? 1 : 0;
  }
  return all_asked_ && held >= std::max<std::size_t>(config_.quorum, 1);
}

Result<void> Election::step(milliseconds wait, bool leading) {
  const bool alone = seats_.size() == 1;
  const std::uint64_t now = monotonic_now();
  all_asked_ = true;
  for (const auto& seat : seats_) {
    if (seat->cluster.reach) {
      seat->reach = seat->cluster.reach();
    }
    all_asked_ = all_asked_ && seat->reach.asked;
    const bool lost = !seat->reach.answers &&
                      (seat->reach.last == 0 || now > seat->reach.last + to_nanos(config_.lost_after));
    seat->answers = alone || (!lost && now >= seat->distrusted_until);
    if (lost) {
      seat->problem = "it does not answer";
    }
  }
  if (!all_asked_) {
    std::this_thread::sleep_for(std::min(wait, milliseconds(20)));
    return {};
  }
  bool complete = true;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    Seat& seat = *seats_[i];
    // Also where it does not answer: the group gives the partition away when nobody polls.
    const bool in_turn =
        seat.consumer != nullptr || (seat.answers && (leading || complete) && now >= pause_until_);
    if (in_turn) {
      const bool waits = !leading && complete && !seat.held && seat.answers;
      if (Result<void> stepped = step_seat(seat, waits ? wait : milliseconds(0)); !stepped) {
        if (alone) {
          return stepped;
        }
        if (seat.answers) {
          telemetry::log_warn(kComponent, "cluster {} is left out of the election: {}", seat.cluster.name,
                              stepped.error().message());
          distrust(i, stepped.error().message());
        }
      }
    }
    complete = complete && (seat.held || !seat.answers);
  }
  if (std::ranges::none_of(seats_, [](const auto& seat) { return seat->answers; })) {
    std::string problems;
    for (const auto& seat : seats_) {
      problems += fmt::format("{}{}: {}", problems.empty() ? "" : "; ", seat->cluster.name, seat->problem);
    }
    return fail(ErrorCode::kUnavailable, "no cluster of the control topics can be used: " + problems);
  }
  if (!leading) {
    leave_if_stuck();
    if (now < pause_until_) {
      std::this_thread::sleep_for(std::min(wait, milliseconds(20)));
    }
  }
  return {};
}

Result<void> Election::step_seat(Seat& seat, milliseconds wait) {
  if (seat.consumer == nullptr) {
    NARU_TRY_VOID(join(seat));
  }
  std::vector<bus::InRecord> none;
  return seat.consumer->poll(none, 1, wait);
}

Result<void> Election::join(Seat& seat) {
  std::vector<bus::TopicConfig> topics;
  const auto add = [&](const std::string& name, bool compacted) {
    bus::TopicConfig& topic = topics.emplace_back();
    topic.name = name;
    topic.partitions = 1;  // few events; the order of all of them is worth more than their number
    topic.replication = config_.replication;
    topic.compacted = compacted;
  };
  add(config_.leader_topic, false);
  add(config_.status_topic, true);
  add(config_.routes_topic, true);
  add(config_.state_topic, true);
  add(config_.counts_topic, false);
  topics.back().partitions = rules::kCountsPartitions;
  topics.back().settings = {{"retention.ms", std::to_string(rules::kCountsRetention.count())}};
  NARU_TRY_VOID(seat.cluster.bus->ensure_topics(topics));
  NARU_TRY(seat.consumer, seat.cluster.bus->consumer({.group = config_.group,
                                                      .topics = {config_.leader_topic},
                                                      .session_timeout = config_.session_timeout},
                                                     seat));
  return {};
}

void Election::leave_if_stuck() {
  const bool stuck = !won() && std::ranges::any_of(seats_, [](const auto& seat) { return seat->held; });
  if (!stuck) {
    stuck_since_ = 0;
    return;
  }
  const std::uint64_t now = monotonic_now();
  if (stuck_since_ == 0) {
    stuck_since_ = now;
  }
  if (now < stuck_since_ + to_nanos(kStuckMax)) {
    return;
  }
  telemetry::log_info(kComponent, "others hold a part of the seats: leaves the election for a moment");
  for (const auto& seat : seats_) {
    seat->leave();
  }
  stuck_since_ = 0;
  std::uniform_int_distribution<milliseconds::rep> pause(kPauseMin.count(), kPauseMax.count());
  pause_until_ = now + to_nanos(milliseconds(pause(random_)));
}

}  // namespace naru::alerting
