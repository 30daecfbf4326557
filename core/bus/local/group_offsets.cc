#include "core/bus/local/group_offsets.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <limits>

#include "core/base/bytes.h"

namespace naru::bus::local {
namespace {

constexpr std::uint64_t kSegmentBytes = 4u << 20;
constexpr std::uint64_t kShortenAt = 1u << 20;
constexpr std::uint32_t kEntryBytesMax = 64u << 10;
constexpr std::size_t kReadBytes = 1u << 20;
constexpr std::uint16_t kCommitEntry = 1;
constexpr std::size_t kFixedSize = 20;

std::string encode(const std::string& group, const TopicPartition& partition, std::int64_t offset,
                   const std::string& metadata) {
  std::string out;
  out.reserve(kFixedSize + group.size() + partition.topic.size() + metadata.size());
  append_le(out, kCommitEntry);
  append_le(out, static_cast<std::uint16_t>(group.size()));
  append_le(out, static_cast<std::uint16_t>(partition.topic.size()));
  append_le(out, static_cast<std::uint16_t>(metadata.size()));
  append_le(out, static_cast<std::uint32_t>(partition.partition));
  append_le(out, static_cast<std::uint64_t>(offset));
  return out.append(group).append(partition.topic).append(metadata);
}

}  // namespace

Result<std::unique_ptr<GroupOffsets>> GroupOffsets::open(spool::FileSystem& files,
                                                         const std::string& directory,
                                                         std::chrono::microseconds fsync_interval) {
  std::unique_ptr<GroupOffsets> offsets(new GroupOffsets);
  NARU_TRY(offsets->log_, spool::GroupCommitLog::open(files, {.log = {.directory = directory,
                                                                      .segment_bytes = kSegmentBytes,
                                                                      .entry_bytes_max = kEntryBytesMax},
                                                              .interval = fsync_interval}));
  NARU_TRY_VOID(offsets->load());
  return offsets;
}

Result<void> GroupOffsets::load() {
  spool::LogReader reader(log_->log(), log_->log().stats().first_offset);
  for (;;) {
    NARU_TRY(const auto batch, reader.read(kReadBytes));
    for (const auto& damage : batch.damage) {
      damaged_ += damage.entries_lost;
    }
    for (const auto& entry : batch.entries) {
      const std::string_view in = entry.payload;
      if (in.size() < kFixedSize || load_le<std::uint16_t>(in.data()) != kCommitEntry) {
        ++damaged_;
        continue;
      }
      const std::size_t group = load_le<std::uint16_t>(in.data() + 2);
      const std::size_t topic = load_le<std::uint16_t>(in.data() + 4);
      const std::size_t metadata = load_le<std::uint16_t>(in.data() + 6);
      if (in.size() != kFixedSize + group + topic + metadata) {
        ++damaged_;
        continue;
      }
      TopicPartition partition{std::string(in.substr(kFixedSize + group, topic)),
                               static_cast<std::int32_t>(load_le<std::uint32_t>(in.data() + 8))};
      stored_[{std::string(in.substr(kFixedSize, group)), std::move(partition)}] = {
          static_cast<std::int64_t>(load_le<std::uint64_t>(in.data() + 12)),
          std::string(in.substr(kFixedSize + group + topic))};
    }
    if (batch.entries.empty()) {
      return {};
    }
  }
}

// Appends and waits until every entry is durable; the first error of any.
Result<void> GroupOffsets::append_all(const std::vector<std::string>& entries) {
  struct Wait {
    std::mutex mutex;
    std::condition_variable done;
    std::size_t open = 0;
    Result<void> result;
  } wait;
  for (const auto& bytes : entries) {
    {
      const std::lock_guard lock(wait.mutex);
      ++wait.open;
    }
    spool::OwnedEntry entry{.body = bytes};
    auto taken = log_->append(entry, [&wait](Result<std::uint64_t> offset) {
      const std::lock_guard lock(wait.mutex);
      if (!offset && wait.result) {
        wait.result = fail(std::move(offset).error());
      }
      --wait.open;
      wait.done.notify_one();
    });
    if (!taken) {
      const std::lock_guard lock(wait.mutex);
      --wait.open;
      if (wait.result) {
        wait.result = std::move(taken);
      }
      break;
    }
  }
  std::unique_lock lock(wait.mutex);
  wait.done.wait(lock, [&] { return wait.open == 0; });
  return wait.result;
}

Result<void> GroupOffsets::commit(const std::string& group, std::span<const Commit> commits) {
  std::vector<std::string> entries;
  entries.reserve(commits.size());
  for (const Commit& commit : commits) {
    entries.push_back(encode(group, commit.partition, commit.offset, commit.metadata));
  }
  const std::shared_lock order(order_);
  NARU_TRY_VOID(append_all(entries));
  const std::lock_guard lock(mutex_);
  for (const Commit& commit : commits) {
    stored_[{group, commit.partition}] = {commit.offset, commit.metadata};
  }
  return {};
}

std::optional<GroupOffsets::Stored> GroupOffsets::find(const std::string& group,
                                                       const TopicPartition& partition) const {
  const std::lock_guard lock(mutex_);
  const auto at = stored_.find({group, partition});
  return at == stored_.end() ? std::nullopt : std::optional(at->second);
}

std::map<std::string, std::int64_t> GroupOffsets::positions(const TopicPartition& partition) const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::int64_t> out;
  for (const auto& [key, stored] : stored_) {
    if (key.second.topic == partition.topic) {
      std::int64_t& offset = out[key.first];
      if (key.second.partition == partition.partition) {
        offset = stored.offset;
      }
    }
  }
  return out;
}

std::int64_t GroupOffsets::highest(const TopicPartition& partition) const {
  std::int64_t highest = 0;
  for (const auto& [group, offset] : positions(partition)) {
    highest = std::max(highest, offset);
  }
  return highest;
}

Result<void> GroupOffsets::shorten() {
  const std::unique_lock order(order_);
  std::vector<std::string> live;
  std::uint64_t live_bytes = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, stored] : stored_) {
      live.push_back(encode(key.first, key.second, stored.offset, stored.metadata));
      live_bytes += live.back().size() + spool::kFrameHeaderSize;
    }
  }
  if (log_->log().stats().bytes < std::max(kShortenAt, 4 * live_bytes)) {
    return {};
  }
  NARU_TRY_VOID(log_->roll());
  const std::uint64_t begin = log_->log().next_offset();
  NARU_TRY_VOID(append_all(live));
  NARU_TRY(const auto freed, log_->log().trim_before(begin));
  std::ignore = freed;
  return {};
}

}  // namespace naru::bus::local
