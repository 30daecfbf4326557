#include "core/bus/local/core.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/random.h"
#include "core/telemetry/log.h"

namespace naru::bus::local {
namespace {

constexpr std::string_view kClusterFile = "cluster-id";
constexpr std::string_view kLogName = "bus";

}  // namespace

void Group::wake_members() {
  for (const auto& member : members) {
    member->notify();
  }
}

Result<std::shared_ptr<Core>> Core::open(const LocalBusConfig& config, spool::FileSystem& files) {
  std::shared_ptr<Core> core(new Core(config, files));
  NARU_TRY_VOID(files.create_directories(config.directory));
  NARU_TRY(core->lock_, files.lock_directory(config.directory));
  NARU_TRY_VOID(core->load_cluster_id());
  NARU_TRY(core->offsets_,
           GroupOffsets::open(files, spool::join_path(config.directory, "groups"), config.fsync_interval));
  if (core->offsets_->damaged_entries() > 0) {
    telemetry::log_error(
        kLogName,
        "{} stored commits in '{}' are damaged: records that were finished may be read again, which "
        "their identities make harmless",
        core->offsets_->damaged_entries(), config.directory);
  }
  NARU_TRY_VOID(core->load_topics());
  NARU_TRY(core->transactions_,
           Transactions::open(*core, files, spool::join_path(config.directory, "transactions")));
  return core;
}

Result<void> Core::load_cluster_id() {
  const std::string path = spool::join_path(config_.directory, kClusterFile);
  auto stored = spool::read_file(files_, path, 2 * kId22Size);
  if (stored) {
    if (stored->size() != kId22Size + 1 || stored->back() != '\n') {
      return fail(
          ErrorCode::kCorrupt,
          fmt::format("'{}' does not hold a cluster id: restore the file, or delete it to get a new id",
                      path));
    }
    stored->pop_back();
    cluster_id_ = std::move(*stored);
    return {};
  }
  if (stored.error().code() != ErrorCode::kNotFound) {
    return fail(std::move(stored).error());
  }
  const auto drawn = random_16();
  unsigned char bytes[16];
  std::ranges::copy(drawn, bytes);
  cluster_id_.resize(kId22Size);
  write_id22(bytes, cluster_id_.data());
  return spool::replace_file(files_, config_.directory, std::string(kClusterFile), cluster_id_ + "\n");
}

Result<void> Core::load_topics() {
  topics_directory_ = spool::join_path(config_.directory, "topics");
  NARU_TRY_VOID(files_.create_directories(topics_directory_));
  NARU_TRY(const auto names, files_.list(topics_directory_));
  for (const auto& name : names) {
    auto topic = open_topic(files_, config_, topics_directory_, name);
    if (!topic && topic.error().code() == ErrorCode::kNotFound) {
      continue;
    }
    if (!topic) {
      return fail(std::move(topic).error());
    }
    for (std::size_t p = 0; p < (*topic)->partitions.size(); ++p) {
      auto& log = (*topic)->partitions[p]->log();
      const auto number = static_cast<std::int32_t>(p);
      if (const auto torn = log.log().stats().torn_bytes; torn > 0) {
        telemetry::log_info(kLogName, "cut {} torn bytes off the end of {}/{}", torn, name, p);
      }
      // Offsets that a group has finished are never given again, or their new records would be stepped over.
      const auto committed = static_cast<std::uint64_t>(offsets_->highest({name, number}));
      if (const std::uint64_t next = log.log().next_offset(); committed > next) {
        count_lost(name, number, 0, 0,
                   fmt::format("offsets {} to {} are gone from the disk", next, committed));
        NARU_TRY_VOID(log.advance_to(committed));
      }
    }
    publish_metrics(*topic);
    topics_.emplace(name, std::move(*topic));
  }
  return {};
}

std::shared_ptr<Topic> Core::find_topic(const std::string& name) const {
  const std::shared_lock lock(topics_mutex_);
  const auto at = topics_.find(name);
  return at == topics_.end() ? nullptr : at->second;
}

std::vector<std::shared_ptr<Topic>> Core::topics() const {
  const std::shared_lock lock(topics_mutex_);
  std::vector<std::shared_ptr<Topic>> out;
  for (const auto& [name, topic] : topics_) {
    out.push_back(topic);
  }
  return out;
}

GroupCoordinator::TopicSizes Core::sizes() const {
  GroupCoordinator::TopicSizes sizes;
  for (const auto& [name, topic] : topics_) {
    sizes[name] = static_cast<std::int32_t>(topic->partitions.size());
  }
  return sizes;
}

Result<void> Core::ensure_topics(std::span<const TopicConfig> topics) {
  const std::lock_guard groups_lock(groups_mutex_);
  Result<void> result;
  bool changed = false;
  for (const TopicConfig& wanted : topics) {
    if (find_topic(wanted.name)) {
      continue;
    }
    auto topic = create_topic(files_, config_, topics_directory_, wanted);
    if (!topic) {
      result = fail(std::move(topic).error());
      break;
    }
    publish_metrics(*topic);
    const std::unique_lock lock(topics_mutex_);
    topics_.emplace(wanted.name, std::move(*topic));
    changed = true;
  }
  if (changed) {
    GroupCoordinator::TopicSizes now;
    {
      const std::shared_lock lock(topics_mutex_);
      now = sizes();
    }
    const auto tell = [&](Group& group) {
      const std::lock_guard lock(group.mutex);
      group.coordinator.set_topics(now);
      group.wake_members();
    };
    for (const auto& [name, group] : groups_) {
      tell(*group);
    }
    for (const auto& weak : anonymous_groups_) {
      if (const auto group = weak.lock()) {
        tell(*group);
      }
    }
  }
  return result;
}

std::shared_ptr<Group> Core::group(const std::string& name) {
  const std::lock_guard groups_lock(groups_mutex_);
  if (const auto known = groups_.find(name); known != groups_.end()) {
    return known->second;
  }
  const auto patience = std::chrono::nanoseconds(config_.poll_interval_max).count();
  auto group = std::make_shared<Group>(static_cast<std::uint64_t>(patience));
  {
    const std::shared_lock lock(topics_mutex_);
    group->coordinator.set_topics(sizes());
  }
  if (name.empty()) {
    std::erase_if(anonymous_groups_, [](const auto& weak) { return weak.expired(); });
    anonymous_groups_.push_back(group);
  } else {
    groups_.emplace(name, group);
  }
  return group;
}

std::optional<std::uint64_t> Core::finished(const std::string& topic, std::int32_t partition) {
  auto positions = offsets_->positions({topic, partition});
  const std::lock_guard groups_lock(groups_mutex_);
  for (const auto& [name, group] : groups_) {
    const std::lock_guard lock(group->mutex);
    if (group->coordinator.subscribes(topic)) {
      positions.try_emplace(name, 0);
    }
  }
  std::optional<std::uint64_t> lowest;
  for (const auto& [name, offset] : positions) {
    const auto finished = static_cast<std::uint64_t>(offset);
    lowest = lowest ? std::min(*lowest, finished) : finished;
  }
  return lowest;
}

void Core::count_lost(const std::string& topic, std::int32_t partition, std::uint64_t records,
                      std::uint64_t bytes, std::string_view reason) {
  telemetry::log_error(kLogName, "{}/{}: {} records lost, {} bytes damaged: {}", topic, partition, records,
                       bytes, reason);
  if (config_.metrics != nullptr) {
    lost_records(topic).add(records);
    damaged_bytes(topic).add(bytes);
  }
}

telemetry::Counter Core::lost_records(const std::string& topic) {
  return config_.metrics->counter("naru_bus_lost_records_total",
                                  "Records that were deleted or damaged before they were read.",
                                  {{"topic", topic}});
}

telemetry::Counter Core::damaged_bytes(const std::string& topic) {
  return config_.metrics->counter("naru_bus_damaged_bytes_total",
                                  "Bytes of the bus's files that failed their checksums.",
                                  {{"topic", topic}});
}

void Core::publish_metrics(const std::shared_ptr<Topic>& topic) {
  if (config_.metrics == nullptr) {
    return;
  }
  const std::weak_ptr<Topic> weak = topic;
  const auto sum = [weak](auto&& member) {
    return [weak, member] {
      double total = 0;
      if (const auto alive = weak.lock()) {
        for (const auto& partition : alive->partitions) {
          total += static_cast<double>(member(partition->log()));
        }
      }
      return total;
    };
  };
  using spool::GroupCommitLog;
  const auto gauge = [&](const char* name, const char* help, auto&& member) {
    gauges_.push_back(config_.metrics->sampled_gauge(name, help, {{"topic", topic->name}}, sum(member)));
  };
  gauge("naru_bus_disk_bytes", "Bytes of the topic's segment files.",
        [](GroupCommitLog& log) { return log.log().stats().bytes; });
  gauge("naru_bus_pending_bytes", "Bytes that wait to be written and synced.",
        [](GroupCommitLog& log) { return log.stats().pending_bytes; });
  gauge("naru_bus_refusing_partitions", "Partitions whose disk refuses records now.",
        [](GroupCommitLog& log) { return log.failure() ? 1 : 0; });
  lost_records(topic->name).add(0);  // shown from the start
  damaged_bytes(topic->name).add(0);
}

void Core::close() {
  for (const auto& topic : topics()) {
    for (const auto& partition : topic->partitions) {
      partition->log().close();
    }
  }
  transactions_->close();
  offsets_->close();
}

}  // namespace naru::bus::local
