// What the producers and consumers of one local bus share.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "core/bus/local/group_coordinator.h"
#include "core/bus/local/group_offsets.h"
#include "core/bus/local/local_bus.h"
#include "core/bus/local/topic.h"
#include "core/bus/local/transactions.h"

namespace naru::bus::local {

// A group and the consumers that have to hear of its changes. Every member locks `mutex` around
// `coordinator`.
struct Group {
  explicit Group(std::uint64_t poll_interval_max_ns) : coordinator(poll_interval_max_ns) {}

  std::mutex mutex;
  GroupCoordinator coordinator;
  std::vector<std::shared_ptr<Signal>> members;

  void wake_members();  // with mutex held
};

// Thread-safe.
class Core {
 public:
  static Result<std::shared_ptr<Core>> open(const LocalBusConfig& config, spool::FileSystem& files);

  const LocalBusConfig& config() const { return config_; }
  const std::string& cluster_id() const { return cluster_id_; }
  GroupOffsets& offsets() { return *offsets_; }
  Transactions& transactions() { return *transactions_; }

  std::shared_ptr<Topic> find_topic(const std::string& name) const;  // null: unknown
  std::vector<std::shared_ptr<Topic>> topics() const;
  Result<void> ensure_topics(std::span<const TopicConfig> topics);

  // The group of that name; an empty name makes a group of its own for each caller.
  std::shared_ptr<Group> group(const std::string& name);
  // Offset that every known group has finished in a partition; nullopt: no group knows the topic.
  std::optional<std::uint64_t> finished(const std::string& topic, std::int32_t partition);

  // Records that a reader or retention had to give up, and damaged bytes passed over.
  void count_lost(const std::string& topic, std::int32_t partition, std::uint64_t records,
                  std::uint64_t bytes, std::string_view reason);
  void close();  // refuses sends, writes what waits

 private:
  Core(const LocalBusConfig& config, spool::FileSystem& files) : config_(config), files_(files) {}
  Result<void> load_cluster_id();
  Result<void> load_topics();
  GroupCoordinator::TopicSizes sizes() const;  // with topics_mutex_ held
  // Only with metrics configured.
  telemetry::Counter lost_records(const std::string& topic);
  telemetry::Counter damaged_bytes(const std::string& topic);
  void publish_metrics(const std::shared_ptr<Topic>& topic);

  const LocalBusConfig config_;
  spool::FileSystem& files_;
  std::unique_ptr<spool::DirectoryLock> lock_;
  std::string cluster_id_;
  std::string topics_directory_;
  std::unique_ptr<GroupOffsets> offsets_;
  std::unique_ptr<Transactions> transactions_;

  mutable std::shared_mutex topics_mutex_;
  std::map<std::string, std::shared_ptr<Topic>> topics_;

  std::mutex groups_mutex_;  // taken before topics_mutex_ and before a group's mutex
  std::map<std::string, std::shared_ptr<Group>> groups_;
  std::vector<std::weak_ptr<Group>> anonymous_groups_;
  std::vector<std::shared_ptr<void>> gauges_;
};

}  // namespace naru::bus::local
