#include "core/bus/local/topic.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace naru::bus::local {
namespace {

constexpr std::size_t kTopicNameMax = 249;
constexpr std::int32_t kPartitionsMax = 1024;
constexpr std::size_t kTopicFileMax = 1024;
constexpr std::string_view kTopicFile = "topic";

Result<std::shared_ptr<Topic>> open_partitions(spool::FileSystem& files, const LocalBusConfig& config,
                                               const std::string& directory, const std::string& name,
                                               std::int32_t partitions, bool compacted) {
  auto topic = std::make_shared<Topic>();
  topic->name = name;
  topic->compacted = compacted;
  for (std::int32_t p = 0; p < partitions; ++p) {
    NARU_TRY(auto partition,
             Partition::open(files, config, spool::join_path(directory, std::to_string(p)), compacted));
    topic->partitions.push_back(std::move(partition));
  }
  return topic;
}

}  // namespace

void Signal::notify() {
  {
    const std::lock_guard lock(mutex_);
    ++sequence_;
  }
  changed_.notify_all();
}

std::uint64_t Signal::sequence() const {
  const std::lock_guard lock(mutex_);
  return sequence_;
}

void Signal::wait(std::uint64_t seen, std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return sequence_ != seen; });
}

Result<std::unique_ptr<Partition>> Partition::open(spool::FileSystem& files, const LocalBusConfig& config,
                                                   const std::string& directory, bool compacted) {
  std::unique_ptr<Partition> partition(new Partition);
  const spool::GroupCommitConfig log{
      .log = {.directory = directory,
              .segment_bytes = compacted ? config.compacted_segment_bytes : config.segment_bytes,
              .bytes_max = config.drop_unfinished_at_limit ? 0 : config.partition_bytes_max,
              .entry_bytes_max = config.record_bytes_max},
      .interval = config.fsync_interval,
      .group_bytes = config.fsync_bytes,
      .pending_bytes_max = config.pending_bytes_max};
  NARU_TRY(partition->log_,
           spool::GroupCommitLog::open(files, log, [self = partition.get()] { self->notify(); }));
  return partition;
}

void Partition::watch(const std::shared_ptr<Signal>& signal) {
  const std::lock_guard lock(mutex_);
  watchers_.push_back(signal);
}

void Partition::unwatch(const std::shared_ptr<Signal>& signal) {
  const std::lock_guard lock(mutex_);
  std::erase(watchers_, signal);
}

void Partition::notify() {
  const std::lock_guard lock(mutex_);
  for (const auto& signal : watchers_) {
    signal->notify();
  }
}

bool is_topic_name(const std::string& name) {
  const auto allowed = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kTopicNameMax && name != "." && name != ".." &&
         std::ranges::all_of(name, allowed);
}

Result<std::shared_ptr<Topic>> create_topic(spool::FileSystem& files, const LocalBusConfig& config,
                                            const std::string& topics_directory, const TopicConfig& topic) {
  if (!is_topic_name(topic.name)) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is no topic name: use 1 to {} of a-z A-Z 0-9 . _ -", topic.name, kTopicNameMax));
  }
  if (topic.partitions < 1 || topic.partitions > kPartitionsMax) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("topic '{}' cannot have {} partitions: 1 to {}",
                                                         topic.name, topic.partitions, kPartitionsMax));
  }
  const std::string directory = spool::join_path(topics_directory, topic.name);
  NARU_TRY(auto created,
           open_partitions(files, config, directory, topic.name, topic.partitions, topic.compacted));
  NARU_TRY_VOID(spool::replace_file(
      files, directory, std::string(kTopicFile),
      fmt::format("naru-topic 1\npartitions {}\ncompacted {}\n", topic.partitions, topic.compacted ? 1 : 0)));
  return created;
}

Result<std::shared_ptr<Topic>> open_topic(spool::FileSystem& files, const LocalBusConfig& config,
                                          const std::string& topics_directory, const std::string& name) {
  const std::string directory = spool::join_path(topics_directory, name);
  const std::string path = spool::join_path(directory, kTopicFile);
  NARU_TRY(const std::string text, spool::read_file(files, path, kTopicFileMax));
  constexpr std::string_view kBegin = "naru-topic 1\npartitions ";
  constexpr std::string_view kMiddle = "\ncompacted ";
  std::string_view rest = text;
  std::int32_t partitions = 0;
  bool good = rest.starts_with(kBegin);
  if (good) {
    rest.remove_prefix(kBegin.size());
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), partitions);
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    good =
        error == std::errc{} && partitions >= 1 && partitions <= kPartitionsMax && rest.starts_with(kMiddle);
  }
  if (good) {
    rest.remove_prefix(kMiddle.size());
    good = rest == "0\n" || rest == "1\n";
  }
  if (!good) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("'{}' does not say how many partitions the topic has: restore the file", path));
  }
  return open_partitions(files, config, directory, name, partitions, rest == "1\n");
}

}  // namespace naru::bus::local
