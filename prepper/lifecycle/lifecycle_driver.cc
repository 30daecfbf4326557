#include "prepper/lifecycle/lifecycle_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/telemetry/log.h"
#include "prepper/cluster/client.h"
#include "prepper/lifecycle/ism_policy.h"

namespace naru::prepper {
namespace {

constexpr std::string_view kCheck = "prepper lifecycle";
constexpr std::uint64_t kSayAgain = 3600 * kNanosPerSecond;
constexpr std::size_t kSaidMax = 1'000;
// Without a look for so long, or ten times `every`, an operator hears of it.
constexpr std::uint64_t kFailingMin = 10 * 60 * kNanosPerSecond;
constexpr std::chrono::milliseconds kPoll{200};
constexpr std::chrono::milliseconds kJoinAgain{2'000};
constexpr std::array kPhases = {LifecyclePhase::kHot, LifecyclePhase::kMoving, LifecyclePhase::kMerging,
                                LifecyclePhase::kWarm};

}  // namespace

Result<void> carry_out(net::HttpTransport& opensearch, const LifecycleStep& step) {
  NARU_TRY(const net::HttpResponse answer, call(opensearch, step.method, step.target, step.body));
  const bool there_already = step.action == LifecycleAction::kCreate &&
                             answer.body.find("resource_already_exists_exception") != std::string::npos;
  const bool gone_already = step.action == LifecycleAction::kDelete && answer.status == 404;
  if (there_already || gone_already ||
      (answer.status == 200 && step.action != LifecycleAction::kForceMerge)) {
    return {};
  }
  // The merge runs on by itself. A driver that is killed before it could note the task begins it once more.
  simdjson::dom::parser parser;
  if (std::string_view task;
      answer.status == 200 && parser.parse(answer.body)["task"].get(task) == simdjson::SUCCESS) {
    return expect_ok(call(opensearch, "PUT", "/" + step.index + "/_mapping", naru_meta(kMergeTask, task)),
                     "noting the force merge of " + step.index);
  }
  return fail(refused(fmt::format("{} {}", to_string(step.action), step.index), answer));
}

class LifecycleDriver::Leadership : public bus::RebalanceListener {
 public:
  void on_assigned(std::span<bus::Assignment> partitions) override {
    for (const bus::Assignment& one : partitions) {
      leads_ = leads_ || one.partition.partition == 0;
    }
  }
  void on_revoked(std::span<const bus::TopicPartition> partitions, bool) override {
    for (const bus::TopicPartition& one : partitions) {
      leads_ = leads_ && one.partition != 0;
    }
  }
  bool leads() const { return leads_; }

 private:
  bool leads_ = false;
};

LifecycleDriver::LifecycleDriver(Datasets declared, std::string group, bus::Bus& bus,
                                 std::unique_ptr<net::HttpTransport> opensearch,
                                 telemetry::Registry& registry, telemetry::Health& health,
                                 std::function<UnixNanos()> now)
    : declared_(std::move(declared)),
      group_(std::move(group)),
      bus_(bus),
      opensearch_(std::move(opensearch)),
      registry_(registry),
      health_(health),
      now_(std::move(now)),
      leader_(registry.gauge("naru_lifecycle_leader", "1 on the prepper that moves and deletes indices.")),
      blocked_(registry.gauge("naru_lifecycle_blocked",
                              "1 while indices are left alone: a red cluster, or clocks that disagree.")),
      leadership_(std::make_unique<Leadership>()) {
  for (const LifecyclePhase phase : kPhases) {
    phases_.emplace(
        phase, registry.gauge("naru_lifecycle_indices", "Indices by where they stand, as the leader saw.",
                              {{"phase", std::string(to_string(phase))}}));
  }
  // There from the beginning, so that the first of each shows in a rate.
  for (const char* outcome : {"done", "blocked", "failed"}) {
    looks(outcome);
  }
  for (const LifecycleAction action : kLifecycleActions) {
    for (const char* outcome : {"done", "failed"}) {
      steps(action, outcome);
    }
  }
}

LifecycleDriver::~LifecycleDriver() {
  stop();
}

telemetry::Counter LifecycleDriver::looks(const char* outcome) const {
  return registry_.counter("naru_lifecycle_looks_total", "Looks at the cluster: done, blocked or failed.",
                           {{"outcome", outcome}});
}

telemetry::Counter LifecycleDriver::steps(LifecycleAction action, const char* outcome) const {
  return registry_.counter("naru_lifecycle_steps_total", "Steps of the lifecycle: done, failed, or dry_run.",
                           {{"action", std::string(to_string(action))}, {"outcome", outcome}});
}

void LifecycleDriver::start() {
  thread_ = std::thread([this] { run(); });
}

void LifecycleDriver::stop() {
  stopping_ = true;
  opensearch_->cancel();
  if (thread_.joinable()) {
    thread_.join();
  }
}

Result<void> LifecycleDriver::join() {
  bus::TopicConfig topic;
  topic.name = kLeaderTopic;
  topic.partitions = 1;
  topic.replication = declared_.topics.replication;
  NARU_TRY_VOID(bus_.ensure_topics({&topic, 1}));
  bus::ConsumerConfig config;
  config.group = group_;
  config.topics = {std::string(kLeaderTopic)};
  config.fetch_bytes_max = 1u << 20;
  NARU_TRY(consumer_, bus_.consumer(config, *leadership_));
  return {};
}

bool LifecycleDriver::leads(std::chrono::milliseconds wait) {
  std::vector<bus::InRecord> nothing;
  if (const auto polled = consumer_->poll(nothing, 1, wait); !polled) {
    say("waiting for the lifecycle's leader topic: " + polled.error().message());
    std::this_thread::sleep_for(wait);
  }
  leader_.set(leadership_->leads() ? 1 : 0);
  return leadership_->leads() && !stopping_;
}

void LifecycleDriver::run() {
  while (!stopping_ && consumer_ == nullptr) {
    if (const auto joined = join(); !joined) {
      say("the lifecycle waits for the bus: " + joined.error().message());
      std::this_thread::sleep_for(kJoinAgain);
    }
  }
  std::uint64_t due = 0;
  while (!stopping_) {
    if (!leads(kPoll)) {
      due = 0;
      succeeded_at_ = 0;
      health_.set(std::string(kCheck), true);
      continue;
    }
    const std::uint64_t now = monotonic_now();
    if (now < due) {
      continue;
    }
    due = now + to_nanos(declared_.lifecycle.every);
    if (succeeded_at_ == 0) {
      telemetry::log_info("lifecycle", "this prepper leads: it looks after indices every {} s",
                          static_cast<double>(declared_.lifecycle.every.count()) / 1000);
      succeeded_at_ = now;
    }
    look();
    const std::uint64_t silent = monotonic_now() - succeeded_at_;
    const bool working = silent < std::max(kFailingMin, 10 * to_nanos(declared_.lifecycle.every));
    health_.set(std::string(kCheck), working,
                fmt::format("indices were not looked after for {} min; the log says why",
                            silent / kNanosPerSecond / 60));
  }
  if (consumer_ != nullptr) {
    consumer_->close();
  }
}

void LifecycleDriver::look() {
  const Result<ClusterState> cluster =
      read_cluster(*opensearch_, {.zone_attribute = declared_.cluster.zone_attribute});
  if (!cluster) {
    if (!stopping_) {
      say("indices could not be looked at: " + cluster.error().message());
    }
    looks("failed").add();
    return;
  }
  if (cluster->embedded) {
    succeeded_at_ = monotonic_now();  // it looks after its indices itself
    return;
  }
  const LifecyclePlan plan =
      plan_lifecycle(declared_, *cluster, now_(), left_to_ism(declared_.lifecycle, *cluster));
  blocked_.set(plan.blocked.empty() ? 0 : 1);
  for (auto& [phase, gauge] : phases_) {
    gauge.set(static_cast<double>(
        std::ranges::count_if(plan.phases, [&](const auto& entry) { return entry.second == phase; })));
  }
  for (const std::string& warning : plan.warnings) {
    say(warning);
  }
  if (!plan.blocked.empty()) {
    say(plan.blocked);
    looks("blocked").add();
    return;
  }
  succeeded_at_ = monotonic_now();
  looks("done").add();
  for (const LifecycleStep& step : plan.steps) {
    if (!leads(std::chrono::milliseconds(0))) {
      return;
    }
    carry_out_and_count(step);
  }
}

void LifecycleDriver::carry_out_and_count(const LifecycleStep& step) {
  const auto count = [&](const char* outcome) { steps(step.action, outcome).add(); };
  if (declared_.lifecycle.dry_run) {
    say(fmt::format("dry run: would {} {}: {}", to_string(step.action), step.index, step.why));
    count("dry_run");
    return;
  }
  if (const auto done = carry_out(*opensearch_, step); !done) {
    if (!stopping_) {
      say(done.error().message());
    }
    count("failed");
    return;
  }
  telemetry::log_info("lifecycle", "{} {}: {}", to_string(step.action), step.index, step.why);
  count("done");
}

void LifecycleDriver::say(const std::string& warning) {
  const std::uint64_t now = monotonic_now();
  if (said_.size() >= kSaidMax) {
    said_.clear();
  }
  std::uint64_t& at = said_[warning];
  if (at == 0 || now - at >= kSayAgain) {
    at = now;
    telemetry::log_warn("lifecycle", "{}", warning);
  }
}

}  // namespace naru::prepper
