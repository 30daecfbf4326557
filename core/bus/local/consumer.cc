#include "core/bus/local/consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/base/clock.h"
#include "core/bus/local/record_codec.h"

namespace naru::bus::local {
namespace {

constexpr std::size_t kMetadataBytesMax = 4096;
constexpr std::size_t kFetchBytesMin = 64u << 10;
constexpr std::size_t kFetchBytesMax = 4u << 20;
// A waiting consumer shows its group that it lives, and sees that another does not, at least so often.
constexpr std::chrono::milliseconds kGroupCheck{1000};

// What the views of one batch of records point into.
struct BatchOwner {
  std::shared_ptr<const void> bytes;
  std::shared_ptr<const Topic> topic;
  std::deque<std::vector<Header>> headers;
};

}  // namespace

LocalConsumer::LocalConsumer(std::shared_ptr<Core> core, const ConsumerConfig& config,
                             RebalanceListener& listener)
    : core_(std::move(core)),
      config_(config),
      listener_(listener),
      signal_(std::make_shared<Signal>()),
      group_(core_->group(config.group)) {
  const std::lock_guard lock(group_->mutex);
  member_ = group_->coordinator.join({config_.topics.begin(), config_.topics.end()}, monotonic_now());
  group_->members.push_back(signal_);
  group_->wake_members();
}

LocalConsumer::~LocalConsumer() {
  close();
}

void LocalConsumer::close() {
  if (!member_) {
    return;
  }
  std::vector<TopicPartition> owned;
  for (const auto& [where, fetch] : fetches_) {
    owned.push_back(where);
  }
  if (!owned.empty()) {
    revoke(owned, false);
  }
  const std::lock_guard lock(group_->mutex);
  group_->coordinator.leave(*member_);
  std::erase(group_->members, signal_);
  group_->wake_members();
  member_.reset();
}

Result<void> LocalConsumer::poll(std::vector<InRecord>& out, std::size_t records_max,
                                 std::chrono::milliseconds wait) {
  if (!member_) {
    return fail(ErrorCode::kCancelled, "the consumer is closed");
  }
  const auto deadline = std::chrono::steady_clock::now() + wait;
  const std::size_t before = out.size();
  for (;;) {
    // An error waits for a poll of its own, so that no record is returned beside it.
    if (read_error_) {
      return fail(*std::exchange(read_error_, std::nullopt));
    }
    const std::uint64_t seen = signal_->sequence();  // before looking, or news between would be slept over
    NARU_TRY_VOID(follow_group());
    take(out, before + records_max);
    const auto now = std::chrono::steady_clock::now();
    if (out.size() > before || (now >= deadline && !read_error_)) {
      return {};
    }
    if (!read_error_) {
      signal_->wait(seen, std::min(deadline, now + kGroupCheck));
    }
  }
}

// Lets go of what others are to have, takes what is free for this consumer.
Result<void> LocalConsumer::follow_group() {
  GroupCoordinator::Step step;
  {
    const std::lock_guard lock(group_->mutex);
    const std::uint64_t before = group_->coordinator.version();
    step = group_->coordinator.poll(*member_, monotonic_now());
    if (group_->coordinator.version() != before) {
      group_->wake_members();
    }
  }
  if (!step.revoke.empty()) {
    revoke(step.revoke, step.lost);
    if (!step.lost) {
      const std::lock_guard lock(group_->mutex);
      group_->coordinator.released(*member_, step.revoke);
      group_->wake_members();
    }
  }
  return step.assign.empty() ? Result<void>() : assign(step.assign);
}

Result<void> LocalConsumer::assign(const std::vector<TopicPartition>& partitions) {
  std::vector<Assignment> assignments;
  std::vector<std::shared_ptr<Topic>> topics;
  for (const auto& where : partitions) {
    auto topic = core_->find_topic(where.topic);
    const auto bounds = topic->partitions[static_cast<std::size_t>(where.partition)]->log().log().stats();
    Assignment assignment{.partition = where,
                          .committed = std::nullopt,
                          .metadata = {},
                          .low = static_cast<std::int64_t>(bounds.first_offset),
                          .high = static_cast<std::int64_t>(bounds.next_offset)};
    if (auto stored = config_.group.empty() ? std::nullopt : core_->offsets().find(config_.group, where)) {
      assignment.committed = stored->offset;
      assignment.metadata = std::move(stored->metadata);
    }
    assignment.start = assignment.committed.value_or(assignment.low);
    assignments.push_back(std::move(assignment));
    topics.push_back(std::move(topic));
  }
  listener_.on_assigned(assignments);
  Result<void> result;
  for (std::size_t i = 0; i < assignments.size(); ++i) {
    const Assignment& assignment = assignments[i];
    const auto start = static_cast<std::uint64_t>(std::max<std::int64_t>(assignment.start, 0));
    const auto [at, fresh] =
        fetches_.try_emplace(assignment.partition, topics[i], assignment.partition.partition, start);
    at->second.partition->watch(signal_);
    if (assignment.start < 0 || assignment.start > assignment.high) {
      at->second.held = true;
      result = fail(
          ErrorCode::kInvalidArgument,
          fmt::format("{}/{} cannot be read from {}: it holds {} to {}", assignment.partition.topic,
                      assignment.partition.partition, assignment.start, assignment.low, assignment.high));
    }
  }
  return result;
}

void LocalConsumer::revoke(const std::vector<TopicPartition>& partitions, bool lost) {
  listener_.on_revoked(partitions, lost);
  for (const auto& where : partitions) {
    if (const auto at = fetches_.find(where); at != fetches_.end()) {
      at->second.partition->unwatch(signal_);
      fetches_.erase(at);
    }
  }
}

// Appends until `out` has `size_max` records or no partition has more; partitions take turns.
void LocalConsumer::take(std::vector<InRecord>& out, std::size_t size_max) {
  std::vector<std::pair<const TopicPartition, Fetch>*> order;
  for (auto& fetch : fetches_) {
    order.push_back(&fetch);
  }
  if (order.empty()) {
    return;
  }
  std::ranges::rotate(order, order.begin() + static_cast<std::ptrdiff_t>(turn_++ % order.size()));
  for (auto* entry : order) {
    auto& [where, fetch] = *entry;
    if (out.size() >= size_max) {
      break;
    }
    if (fetch.paused || fetch.held) {
      continue;
    }
    if (fetch.next == fetch.buffered.size()) {
      if (auto filled = fill(where, fetch); !filled) {
        // The other partitions go on.
        read_error_ = filled.error().with_context(fmt::format("{}/{}", where.topic, where.partition));
      }
    }
    const std::size_t count = std::min(size_max - out.size(), fetch.buffered.size() - fetch.next);
    const auto begin = fetch.buffered.begin() + static_cast<std::ptrdiff_t>(fetch.next);
    out.insert(out.end(), std::make_move_iterator(begin),
               std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(count)));
    fetch.next += count;
    if (fetch.next == fetch.buffered.size()) {
      fetch.position = fetch.reader.offset();
    } else {
      fetch.position = static_cast<std::uint64_t>(fetch.buffered[fetch.next].offset);
    }
  }
}

Result<void> LocalConsumer::fill(const TopicPartition& where, Fetch& fetch) {
  fetch.buffered.clear();
  fetch.next = 0;
  const std::size_t share = config_.fetch_bytes_max / fetches_.size();
  NARU_TRY(const auto batch, fetch.reader.read(std::clamp(share, kFetchBytesMin, kFetchBytesMax)));
  for (const auto& damage : batch.damage) {
    core_->count_lost(where.topic, where.partition, damage.entries_lost,
                      damage.kind == spool::DamageKind::kTrimmed ? 0 : damage.bytes,
                      fmt::format("{} at byte {} of segment {}", to_string(damage.kind), damage.position,
                                  spool::segment_name(damage.segment)));
    listener_.on_lost(where, damage.entries_lost, 0);
  }
  decode(where, batch, fetch);
  return {};
}

void LocalConsumer::decode(const TopicPartition& where, const spool::ReadBatch& batch, Fetch& fetch) {
  if (batch.entries.empty()) {
    return;
  }
  auto owner = std::make_shared<BatchOwner>();
  owner->bytes = batch.owner;
  owner->topic = fetch.topic;
  fetch.buffered.reserve(batch.entries.size());
  for (const auto& entry : batch.entries) {
    const auto record = parse_record(entry.payload);
    const auto headers = record ? parse_headers(record->headers) : fail(record.error());
    if (!headers) {
      core_->count_lost(where.topic, where.partition, 1, entry.payload.size(), headers.error().message());
      listener_.on_lost(where, 1, static_cast<std::int64_t>(entry.offset) + 1);
      continue;
    }
    const std::vector<Header>* kept = nullptr;
    if (!headers->empty()) {
      owner->headers.push_back(std::move(*headers));
      kept = &owner->headers.back();
    }
    fetch.buffered.push_back({.topic = fetch.topic->name,
                              .partition = where.partition,
                              .offset = static_cast<std::int64_t>(entry.offset),
                              .timestamp_ms = record->timestamp_ms,
                              .key = record->key,
                              .value = record->value,
                              .tombstone = (entry.flags & kTombstoneFlag) != 0,
                              .owner = owner,
                              .headers = kept});
  }
}

Result<LocalConsumer::Fetch*> LocalConsumer::assigned(const TopicPartition& partition) {
  const auto at = fetches_.find(partition);
  if (at == fetches_.end()) {
    return fail(ErrorCode::kConflict,
                fmt::format("{}/{} is not assigned to this consumer", partition.topic, partition.partition));
  }
  return &at->second;
}

Result<void> LocalConsumer::check(const Commit& commit) {
  NARU_TRY(const Fetch* fetch, assigned(commit.partition));
  {
    const std::lock_guard lock(group_->mutex);
    if (!member_ || !group_->coordinator.owns(*member_, commit.partition)) {
      return fail(ErrorCode::kConflict,
                  fmt::format("{}/{} was given to another consumer of group '{}'", commit.partition.topic,
                              commit.partition.partition, config_.group));
    }
  }
  if (commit.metadata.size() > kMetadataBytesMax) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("commit metadata of {} bytes is over {}",
                                                         commit.metadata.size(), kMetadataBytesMax));
  }
  const auto high = static_cast<std::int64_t>(fetch->partition->log().log().next_offset());
  if (commit.offset < 0 || commit.offset > high) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("offset {} of {}/{} does not exist: the next one is {}", commit.offset,
                            commit.partition.topic, commit.partition.partition, high));
  }
  return {};
}

Result<void> LocalConsumer::check(std::span<const Commit> commits) {
  for (const Commit& commit : commits) {
    NARU_TRY_VOID(check(commit));
  }
  return {};
}

Result<void> LocalConsumer::commit(std::span<const Commit> commits) {
  if (config_.group.empty()) {
    return fail(ErrorCode::kInvalidArgument, "a consumer without a group commits nothing");
  }
  Result<void> result;
  std::vector<Commit> good;
  for (const Commit& commit : commits) {
    if (Result<void> checked = check(commit)) {
      good.push_back(commit);
    } else if (result) {
      result = std::move(checked);
    }
  }
  if (!good.empty()) {
    if (auto stored = core_->offsets().commit(config_.group, good); !stored && result) {
      result = std::move(stored);
    }
  }
  return result;
}

Result<void> LocalConsumer::pause(std::span<const TopicPartition> partitions) {
  for (const auto& partition : partitions) {
    NARU_TRY(Fetch* const fetch, assigned(partition));
    fetch->paused = true;
  }
  return {};
}

Result<void> LocalConsumer::resume(std::span<const TopicPartition> partitions) {
  for (const auto& partition : partitions) {
    NARU_TRY(Fetch* const fetch, assigned(partition));
    fetch->paused = false;
  }
  return {};
}

std::vector<Consumer::Progress> LocalConsumer::progress() {
  std::vector<Progress> out;
  for (const auto& [where, fetch] : fetches_) {
    out.push_back({.partition = where,
                   .position = static_cast<std::int64_t>(fetch.position),
                   .high = static_cast<std::int64_t>(fetch.partition->log().log().next_offset())});
  }
  return out;
}

}  // namespace naru::bus::local
