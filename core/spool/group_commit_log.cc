#include "core/spool/group_commit_log.h"

#include <fmt/format.h>

#include <future>
#include <utility>

#include "core/base/clock.h"

namespace naru::spool {

Result<void> validate(const GroupCommitConfig& config) {
  NARU_TRY_VOID(validate(config.log));
  if (config.interval.count() < 0 || config.interval > std::chrono::seconds(1)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the fsync interval is {} us: it may be 0 to 1 s", config.interval.count()));
  }
  if (config.pending_bytes_max < config.log.entry_bytes_max) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("pending_bytes_max is {}: it must hold one entry of {} bytes",
                            config.pending_bytes_max, config.log.entry_bytes_max));
  }
  return {};
}

GroupCommitLog::GroupCommitLog(GroupCommitConfig config, std::function<void()> on_durable)
    : config_(std::move(config)), on_durable_(std::move(on_durable)) {}

GroupCommitLog::~GroupCommitLog() {
  close();
}

Result<std::unique_ptr<GroupCommitLog>> GroupCommitLog::open(FileSystem& files, GroupCommitConfig config,
                                                             std::function<void()> on_durable) {
  NARU_TRY_VOID(validate(config));
  std::unique_ptr<GroupCommitLog> log(new GroupCommitLog(std::move(config), std::move(on_durable)));
  NARU_TRY(log->log_, SegmentLog::open(files, log->config_.log, wall_now()));
  return log;
}

// Why an entry of `bytes` cannot be taken now. Called with mutex_ held.
Result<void> GroupCommitLog::refusal(std::size_t bytes) const {
  const SegmentLogConfig& limits = config_.log;
  if (bytes > limits.entry_bytes_max) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("an entry of {} bytes is over the limit of {} bytes for the log '{}'", bytes,
                            limits.entry_bytes_max, limits.directory));
  }
  if (closed_) {
    return fail(ErrorCode::kCancelled, fmt::format("the log '{}' is closed", limits.directory));
  }
  if (failure_ && monotonic_now() < probe_at_) {
    return fail(*failure_);
  }
  const std::size_t waiting = pending_bytes_ + writing_bytes_ + bytes;
  if (waiting > config_.pending_bytes_max) {
    return fail(ErrorCode::kOverloaded, fmt::format("{} bytes wait for the disk of '{}': send again later",
                                                    waiting - bytes, limits.directory));
  }
  if (limits.bytes_max != 0 && log_->stats().bytes + waiting > limits.bytes_max) {
    return fail(
        ErrorCode::kOverloaded,
        fmt::format("the log '{}' has reached its limit of {} bytes: wait until its reader catches up, or "
                    "raise the limit",
                    limits.directory, limits.bytes_max));
  }
  return {};
}

Result<void> GroupCommitLog::append(OwnedEntry& entry, AppendCallback done) {
  const std::size_t bytes = entry.head.size() + entry.body.size();
  // On the caller's thread: there are many of them and one writer.
  const std::uint32_t crc = payload_crc(entry.head, entry.body);
  bool wake;
  {
    const std::lock_guard lock(mutex_);
    NARU_TRY_VOID(refusal(bytes));
    wake = pending_.empty() ||
           (pending_bytes_ < config_.group_bytes && pending_bytes_ + bytes >= config_.group_bytes);
    pending_.push_back({std::move(entry), crc, std::move(done)});
    pending_bytes_ += bytes;
    if (!thread_.joinable()) {
      thread_ = std::thread([this] { run(); });
    }
  }
  if (wake) {
    work_.notify_one();
  }
  return {};
}

Result<std::uint64_t> GroupCommitLog::append_wait(OwnedEntry entry) {
  std::promise<Result<std::uint64_t>> promise;
  auto answer = promise.get_future();
  NARU_TRY_VOID(
      append(entry, [&promise](Result<std::uint64_t> result) { promise.set_value(std::move(result)); }));
  return answer.get();
}

void GroupCommitLog::run() {
  std::vector<Pending> group;
  std::uint64_t next_commit = 0;  // monotonic nanoseconds
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return closed_ || !pending_.empty(); });
    if (pending_.empty()) {
      return;
    }
    while (!closed_ && pending_bytes_ < config_.group_bytes) {
      const std::uint64_t now = monotonic_now();
      if (now >= next_commit) {
        break;
      }
      work_.wait_for(lock, std::chrono::nanoseconds(next_commit - now));
    }
    group.swap(pending_);
    writing_bytes_ = std::exchange(pending_bytes_, 0);
    const std::size_t bytes = writing_bytes_;
    lock.unlock();
    next_commit =
        monotonic_now() + static_cast<std::uint64_t>(std::chrono::nanoseconds(config_.interval).count());
    commit(group, bytes);
    group.clear();
    lock.lock();
    writing_bytes_ = 0;
  }
}

void GroupCommitLog::commit(std::vector<Pending>& group, std::size_t bytes) {
  parts_.clear();
  for (const Pending& pending : group) {
    parts_.push_back({pending.entry.head, pending.entry.body, pending.crc, pending.entry.flags});
  }
  const std::uint64_t begin = monotonic_now();
  Result<std::uint64_t> first = 0;
  {
    const std::lock_guard writer(writer_mutex_);
    first = log_->append(parts_, wall_now());
    if (first) {
      if (auto synced = log_->sync(); !synced) {
        first = fail(std::move(synced).error());
      }
    }
  }
  const std::uint64_t end = monotonic_now();
  {
    const std::lock_guard lock(mutex_);
    stats_.commit_nanos += end - begin;
    if (first) {
      ++stats_.groups;
      stats_.entries += group.size();
      stats_.bytes += bytes;
      failure_.reset();
    } else {
      ++stats_.failed_groups;
      failure_ = first.error();
      probe_at_ = end + static_cast<std::uint64_t>(std::chrono::nanoseconds(config_.probe_interval).count());
    }
  }
  for (std::size_t i = 0; i < group.size(); ++i) {
    group[i].done(first ? Result<std::uint64_t>(*first + i) : first);
  }
  // Also after a failure: part of a group that crossed a segment may have become durable.
  durable_.notify_all();
  if (on_durable_) {
    on_durable_();
  }
}

bool GroupCommitLog::wait_for(std::uint64_t offset, std::chrono::microseconds wait) {
  std::unique_lock lock(mutex_);
  return durable_.wait_for(lock, wait, [&] { return log_->next_offset() > offset; });
}

Result<void> GroupCommitLog::roll() {
  const std::lock_guard writer(writer_mutex_);
  return log_->roll(wall_now());
}

Result<void> GroupCommitLog::advance_to(std::uint64_t offset) {
  {
    const std::lock_guard writer(writer_mutex_);
    NARU_TRY_VOID(log_->advance_to(offset, wall_now()));
  }
  {
    const std::lock_guard lock(mutex_);  // a waiter is either before its check or in its wait
  }
  durable_.notify_all();
  if (on_durable_) {
    on_durable_();
  }
  return {};
}

void GroupCommitLog::close() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    thread = std::move(thread_);
  }
  work_.notify_all();
  if (thread.joinable()) {
    thread.join();
  }
}

std::optional<Error> GroupCommitLog::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

GroupStats GroupCommitLog::stats() const {
  const std::lock_guard lock(mutex_);
  GroupStats stats = stats_;
  stats.pending_bytes = pending_bytes_ + writing_bytes_;
  return stats;
}

}  // namespace naru::spool
