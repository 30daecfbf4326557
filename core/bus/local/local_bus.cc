#include "core/bus/local/local_bus.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "core/bus/local/consumer.h"
#include "core/bus/local/core.h"
#include "core/bus/local/producer.h"
#include "core/bus/local/record_codec.h"
#include "core/bus/local/retention.h"
#include "core/telemetry/log.h"

namespace naru::bus {
namespace local {
namespace {

constexpr std::string_view kLogName = "bus";
constexpr std::size_t kCompactionRead = 1u << 20;
// What one rewriting step holds in memory at most, in compacted segments.
constexpr std::uint64_t kRunSegments = 8;

// The last offset of each key; nullopt: more keys than `keys_max`.
Result<std::optional<std::unordered_map<std::string, std::uint64_t>>> last_offsets(spool::SegmentLog& log,
                                                                                   std::size_t keys_max) {
  std::unordered_map<std::string, std::uint64_t> last;
  spool::LogReader reader(log, log.stats().first_offset);
  for (;;) {
    NARU_TRY(const auto batch, reader.read(kCompactionRead));
    if (batch.entries.empty()) {
      return last;
    }
    for (const auto& entry : batch.entries) {
      if (const auto record = parse_record(entry.payload)) {
        last[std::string(record->key)] = entry.offset;
      }
    }
    if (last.size() > keys_max) {
      return std::nullopt;
    }
  }
}

Result<void> compact(spool::SegmentLog& log, const LocalBusConfig& config, const std::string& name,
                     UnixNanos now) {
  const auto segments = log.segments();
  const auto runs = plan_compaction(segments, kRunSegments * config.compacted_segment_bytes);
  if (runs.empty()) {
    return {};
  }
  NARU_TRY(const auto last, last_offsets(log, config.compaction_keys_max));
  if (!last) {
    telemetry::log_warn(kLogName, "{} has more than {} keys and is not compacted: raise compaction_keys_max",
                        name, config.compaction_keys_max);
    return {};
  }
  bool keep_tombstones = false;
  const auto tombstone_ns =
      static_cast<std::uint64_t>(std::chrono::nanoseconds(config.tombstone_age).count());
  const auto survives = [&](const spool::EntryView& entry) {
    const auto record = parse_record(entry.payload);
    if (!record) {
      return true;  // nothing that cannot be read is thrown away
    }
    const auto newest = last->find(std::string(record->key));
    if (newest != last->end() && newest->second > entry.offset) {
      return false;
    }
    return (entry.flags & kTombstoneFlag) == 0 || keep_tombstones || now < entry.time + tombstone_ns;
  };
  for (const auto& [first, final] : runs) {
    std::vector<spool::EntryView> kept;
    std::vector<std::shared_ptr<const void>> owners;
    spool::LogReader reader(log, segments[first].first_offset);
    bool damaged = false;
    while (reader.offset() < segments[final].end_offset) {
      NARU_TRY(const auto batch, reader.read(kCompactionRead));
      damaged = damaged || !batch.damage.empty();
      if (batch.entries.empty() || damaged) {
        break;
      }
      const std::size_t before = kept.size();
      for (const auto& entry : batch.entries) {
        if (entry.offset < segments[final].end_offset && survives(entry)) {
          kept.push_back(entry);
        }
      }
      if (kept.size() > before) {
        owners.push_back(batch.owner);
      }
    }
    if (damaged) {  // rewriting would destroy what a person may still want to look at
      telemetry::log_warn(kLogName, "segment {} of {} is damaged and is not compacted",
                          spool::segment_name(segments[first].first_offset), name);
      keep_tombstones = true;  // or a value in here would come back to life
      continue;
    }
    NARU_TRY_VOID(log.replace(segments[first].first_offset, segments[final].first_offset, kept));
  }
  return {};
}

class LocalBusImpl final : public LocalBus {
 public:
  explicit LocalBusImpl(std::shared_ptr<Core> core) : core_(std::move(core)) {
    if (core_->config().housekeeping_interval.count() > 0) {
      thread_ = std::thread([this] { run(); });
    }
  }
  ~LocalBusImpl() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) {
      thread_.join();
    }
    core_->close();
  }

  Result<std::unique_ptr<Producer>> producer() override { return std::make_unique<LocalProducer>(core_); }

  Result<std::unique_ptr<TransactionalProducer>> transactional_producer(
      const std::string& id, const std::vector<std::string>&) override {
    return make_transactional_producer(core_, id);
  }

  Result<std::unique_ptr<Consumer>> consumer(const ConsumerConfig& config,
                                             RebalanceListener& listener) override {
    if (config.topics.empty()) {
      return fail(ErrorCode::kInvalidArgument, "a consumer needs at least one topic");
    }
    return std::make_unique<LocalConsumer>(core_, config, listener);
  }

  Result<void> ensure_topics(std::span<const TopicConfig> topics) override {
    return core_->ensure_topics(topics);
  }

  Result<std::vector<TopicState>> describe(std::span<const std::string> topics) override {
    std::vector<TopicState> out;
    for (const auto& name : topics) {
      const auto topic = core_->find_topic(name);
      out.push_back({.name = name,
                     .partitions = topic ? static_cast<std::int32_t>(topic->partitions.size()) : 0,
                     .exists = topic != nullptr});
    }
    return out;
  }

  Result<std::string> cluster_id() override { return core_->cluster_id(); }

  void housekeep(UnixNanos now) override {
    const std::lock_guard one_at_a_time(housekeeping_);
    for (const auto& topic : core_->topics()) {
      for (std::size_t p = 0; p < topic->partitions.size(); ++p) {
        auto done = topic->compacted
                        ? compact(topic->partitions[p]->log().log(), core_->config(), topic->name, now)
                        : retain(*topic, static_cast<std::int32_t>(p), now);
        if (!done) {
          telemetry::log_warn(kLogName, "housekeeping of {}/{}: {}", topic->name, p, done.error().message());
        }
      }
    }
    if (auto done = core_->offsets().shorten(); !done) {
      telemetry::log_warn(kLogName, "shortening the log of commits: {}", done.error().message());
    }
    if (auto done = core_->transactions().shorten(); !done) {
      telemetry::log_warn(kLogName, "shortening the log of transactions: {}", done.error().message());
    }
  }

  std::optional<Error> failure() const override {
    for (const auto& topic : core_->topics()) {
      for (const auto& partition : topic->partitions) {
        if (auto error = partition->log().failure()) {
          return error;
        }
      }
    }
    return std::nullopt;
  }

 private:
  Result<void> retain(const Topic& topic, std::int32_t number, UnixNanos now) {
    auto& log = topic.partitions[static_cast<std::size_t>(number)]->log();
    const auto plan =
        plan_retention(log.log().segments(), core_->finished(topic.name, number), core_->config(), now);
    if (plan.trim_before > 0) {
      if (plan.lost_records > 0) {
        // Counted by each reader that misses them, too; this line says why.
        telemetry::log_error(
            kLogName,
            "{}/{} is over its limit of {} bytes: deleting {} records that not every group has "
            "finished (drop_unfinished_at_limit)",
            topic.name, number, core_->config().partition_bytes_max, plan.lost_records);
      }
      NARU_TRY(const auto freed, log.log().trim_before(plan.trim_before));
      telemetry::log(telemetry::LogLevel::kDebug, kLogName, "deleted {} bytes of {}/{}", freed, topic.name,
                     number);
    }
    return plan.roll ? log.roll() : Result<void>();
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, core_->config().housekeeping_interval, [&] { return stop_; })) {
      lock.unlock();
      housekeep(wall_now());
      lock.lock();
    }
  }

  const std::shared_ptr<Core> core_;
  std::mutex housekeeping_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace
}  // namespace local

Result<void> validate(const LocalBusConfig& config) {
  const auto refuse = [](std::string_view what) {
    return fail(ErrorCode::kInvalidArgument, std::string(what));
  };
  if (config.directory.empty()) {
    return refuse("the local bus needs a directory");
  }
  if (config.housekeeping_interval.count() < 0 || config.poll_interval_max.count() <= 0 ||
      config.retention_age.count() <= 0 || config.tombstone_age.count() <= 0) {
    return refuse("the local bus's intervals and ages must be above zero");
  }
  if (config.partition_bytes_max != 0 && config.partition_bytes_max < 2 * config.segment_bytes) {
    return refuse(fmt::format("partition_bytes_max is {}: it must hold two segments of {} bytes",
                              config.partition_bytes_max, config.segment_bytes));
  }
  return spool::validate({.log = {.directory = config.directory,
                                  .segment_bytes = config.segment_bytes,
                                  .entry_bytes_max = config.record_bytes_max},
                          .interval = config.fsync_interval,
                          .pending_bytes_max = config.pending_bytes_max});
}

Result<std::unique_ptr<LocalBus>> open_local_bus(const LocalBusConfig& config, spool::FileSystem& files) {
  NARU_TRY_VOID(validate(config));
  NARU_TRY(auto core, local::Core::open(config, files));
  return std::make_unique<local::LocalBusImpl>(std::move(core));
}

std::int32_t partition_of_key(std::string_view key, std::int32_t partitions) {
  std::uint32_t hash = 2166136261u;
  for (const char c : key) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  }
  const auto signed_hash = static_cast<std::int32_t>(hash);
  const std::uint32_t absolute = signed_hash < 0 ? 0u - hash : hash;
  return static_cast<std::int32_t>(absolute % static_cast<std::uint32_t>(partitions));
}

}  // namespace naru::bus
