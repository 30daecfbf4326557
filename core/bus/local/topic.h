// A topic of the local bus on disk: a directory with one segment log per partition.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/bus/local/local_bus.h"
#include "core/spool/group_commit_log.h"

namespace naru::bus::local {

// Wakes a consumer that waits. A sequence number instead of a flag, so that no wake-up between looking and
// waiting is missed.
class Signal {
 public:
  void notify();
  std::uint64_t sequence() const;
  // Returns when the sequence is no longer `seen`, or at the deadline.
  void wait(std::uint64_t seen, std::chrono::steady_clock::time_point deadline);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t sequence_ = 0;
};

class Partition {
 public:
  static Result<std::unique_ptr<Partition>> open(spool::FileSystem& files, const LocalBusConfig& config,
                                                 const std::string& directory, bool compacted);

  spool::GroupCommitLog& log() { return *log_; }
  void watch(const std::shared_ptr<Signal>& signal);
  void unwatch(const std::shared_ptr<Signal>& signal);

 private:
  Partition() = default;
  void notify();

  std::mutex mutex_;
  std::vector<std::shared_ptr<Signal>> watchers_;
  std::unique_ptr<spool::GroupCommitLog> log_;  // last: its thread calls notify()
};

struct Topic {
  std::string name;
  bool compacted = false;
  std::vector<std::unique_ptr<Partition>> partitions;
};

// Names that are safe as directory names and legal in Kafka.
bool is_topic_name(const std::string& name);

// Creates the topic's directory and partitions; it exists once its `topic` file does.
Result<std::shared_ptr<Topic>> create_topic(spool::FileSystem& files, const LocalBusConfig& config,
                                            const std::string& topics_directory, const TopicConfig& topic);
// kNotFound: the directory holds a creation that was never finished.
Result<std::shared_ptr<Topic>> open_topic(spool::FileSystem& files, const LocalBusConfig& config,
                                          const std::string& topics_directory, const std::string& name);

}  // namespace naru::bus::local
