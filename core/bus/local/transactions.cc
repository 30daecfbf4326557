#include "core/bus/local/transactions.h"

#include <fmt/format.h>

#include <condition_variable>
#include <utility>

#include "core/base/byte_reader.h"
#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/bus/local/consumer.h"
#include "core/bus/local/core.h"
#include "core/bus/local/local_bus.h"
#include "core/bus/local/record_codec.h"
#include "core/telemetry/log.h"

namespace naru::bus::local {
namespace {

constexpr std::uint64_t kSegmentBytes = 16u << 20;
constexpr std::uint64_t kShortenAt = 32u << 20;
constexpr std::size_t kReadBytes = 1u << 20;
constexpr std::uint16_t kIntentEntry = 1;
constexpr std::uint16_t kAppliedEntry = 2;

void append_text(std::string& out, std::string_view text) {
  append_le(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

std::string_view read_text(ByteReader& in) {
  return in.bytes(in.number<std::uint32_t>());
}

}  // namespace

struct Transactions::Destination {
  std::string topic;
  std::int32_t partition = 0;
  std::uint64_t from = 0;  // the partition's end when this was decided
  std::uint8_t flags = 0;
  std::string head;
  std::string body;
};

struct Transactions::Intent {
  std::vector<Destination> records;
  std::string group;
  std::vector<Commit> positions;
};

Result<std::unique_ptr<Transactions>> Transactions::open(Core& core, spool::FileSystem& files,
                                                         const std::string& directory) {
  std::unique_ptr<Transactions> made(new Transactions(core));
  NARU_TRY(made->log_, spool::GroupCommitLog::open(
                           files, {.log = {.directory = directory, .segment_bytes = kSegmentBytes},
                                   .interval = core.config().fsync_interval}));
  NARU_TRY_VOID(made->recover());
  return made;
}

Result<void> Transactions::recover() {
  std::map<std::uint64_t, Intent> open;
  spool::LogReader reader(log_->log(), log_->log().stats().first_offset);
  for (;;) {
    NARU_TRY(const auto batch, reader.read(kReadBytes));
    if (batch.entries.empty() && batch.damage.empty()) {
      break;
    }
    for (const auto& entry : batch.entries) {
      ByteReader in(entry.payload);
      if (in.number<std::uint16_t>() == kAppliedEntry) {
        open.erase(in.number<std::uint64_t>());
      } else if (Result<Intent> intent = decode(entry.payload)) {
        open[entry.offset] = std::move(*intent);
      } else {
        core_.count_lost("transactions", 0, 1, entry.payload.size(), intent.error().message());
      }
    }
  }
  for (const auto& [offset, intent] : open) {
    Intent left = intent;
    std::erase_if(left.records, [&](const Destination& record) {
      const Result<bool> there = holds(record);
      return there && *there;
    });
    std::erase_if(left.positions, [&](const Commit& position) {
      const auto stored = core_.offsets().find(left.group, position.partition);
      return stored && stored->offset >= position.offset;
    });
    telemetry::log_info("bus", "finishing a commit that a crash interrupted: {} records, {} positions",
                        left.records.size(), left.positions.size());
    NARU_TRY_VOID(apply(left));
    NARU_TRY_VOID(finish_applied(offset));
  }
  return {};
}

// Whether the record was written after it was decided.
Result<bool> Transactions::holds(const Destination& destination) const {
  const auto topic = core_.find_topic(destination.topic);
  if (topic == nullptr || static_cast<std::size_t>(destination.partition) >= topic->partitions.size()) {
    return fail(ErrorCode::kNotFound, "the topic " + destination.topic + " is gone");
  }
  spool::SegmentLog& log = topic->partitions[static_cast<std::size_t>(destination.partition)]->log().log();
  const std::string wanted = destination.head + destination.body;
  spool::LogReader reader(log, destination.from);
  for (;;) {
    NARU_TRY(const auto batch, reader.read(kReadBytes));
    if (batch.entries.empty() && batch.damage.empty()) {
      return false;
    }
    for (const auto& entry : batch.entries) {
      if (entry.payload == wanted) {
        return true;
      }
    }
  }
}

std::uint64_t Transactions::begin_generation(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return ++generations_[id];
}

Result<Transactions::Intent> Transactions::prepare(const std::vector<OutRecord>& records) const {
  Intent intent;
  for (const OutRecord& record : records) {
    const auto topic = core_.find_topic(record.topic);
    if (topic == nullptr) {
      return fail(ErrorCode::kNotFound,
                  fmt::format("the bus has no topic '{}': create it with ensure_topics", record.topic));
    }
    const auto count = static_cast<std::int32_t>(topic->partitions.size());
    const std::int32_t partition =
        record.partition != kPartitionByKey ? record.partition : partition_of_key(record.key, count);
    if (partition < 0 || partition >= count || (topic->compacted && record.key.empty())) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("topic '{}' has no partition {}, or needs a key", record.topic, partition));
    }
    if (record.key.size() + record.value.size() > core_.config().record_bytes_max) {
      return fail(ErrorCode::kTooLarge, fmt::format("a record of {} bytes for topic '{}' is over the limit",
                                                    record.value.size(), record.topic));
    }
    intent.records.push_back(
        {.topic = record.topic,
         .partition = partition,
         .from = topic->partitions[static_cast<std::size_t>(partition)]->log().log().next_offset(),
         .flags = record.tombstone ? kTombstoneFlag : std::uint8_t{0},
         .head = encode_record_head(record),
         .body = record.value});
  }
  return intent;
}

Result<void> Transactions::commit(const std::string& id, std::uint64_t generation,
                                  const std::vector<OutRecord>& records, LocalConsumer* consumer,
                                  std::span<const Commit> positions) {
  const std::lock_guard lock(mutex_);
  if (generations_[id] != generation) {
    return fail(ErrorCode::kConflict, fmt::format("another transactional producer '{}' has taken over", id));
  }
  NARU_TRY(Intent intent, prepare(records));
  if (consumer != nullptr && !positions.empty()) {
    NARU_TRY_VOID(consumer->check(positions));
    intent.group = consumer->group_name();
    intent.positions.assign(positions.begin(), positions.end());
  }
  NARU_TRY(const std::uint64_t offset, log_->append_wait({.body = encode(intent)}));
  NARU_TRY_VOID(apply(intent));
  return finish_applied(offset);
}

Result<void> Transactions::apply(const Intent& intent) {
  struct Wait {
    std::mutex mutex;
    std::condition_variable done;
    std::size_t open = 0;
    Result<void> result;
  } wait;
  for (const Destination& record : intent.records) {
    const auto topic = core_.find_topic(record.topic);
    if (topic == nullptr) {
      continue;  // deleted since
    }
    {
      const std::lock_guard lock(wait.mutex);
      ++wait.open;
    }
    spool::OwnedEntry entry{.head = record.head, .body = record.body, .flags = record.flags};
    Result<void> taken = topic->partitions[static_cast<std::size_t>(record.partition)]->log().append(
        entry, [&wait](Result<std::uint64_t> offset) {
          const std::lock_guard lock(wait.mutex);
          if (!offset) {
            wait.result = fail(std::move(offset).error());
          }
          --wait.open;
          wait.done.notify_one();
        });
    if (!taken) {
      const std::lock_guard lock(wait.mutex);
      --wait.open;
      wait.result = std::move(taken);
      break;
    }
  }
  {
    std::unique_lock lock(wait.mutex);
    wait.done.wait(lock, [&] { return wait.open == 0; });
  }
  NARU_TRY_VOID(wait.result);
  return intent.positions.empty() ? Result<void>() : core_.offsets().commit(intent.group, intent.positions);
}

// Not waited for: applying again what is applied changes nothing while it is young.
Result<void> Transactions::finish_applied(std::uint64_t offset) {
  spool::OwnedEntry entry;
  append_le(entry.body, kAppliedEntry);
  append_le(entry.body, offset);
  return log_->append(entry, [](const Result<std::uint64_t>&) {});
}

std::string Transactions::encode(const Intent& intent) {
  std::string out;
  append_le(out, kIntentEntry);
  append_le(out, static_cast<std::uint32_t>(intent.records.size()));
  for (const Destination& record : intent.records) {
    append_text(out, record.topic);
    append_le(out, static_cast<std::uint32_t>(record.partition));
    append_le(out, record.from);
    append_le(out, record.flags);
    append_text(out, record.head);
    append_text(out, record.body);
  }
  append_text(out, intent.group);
  append_le(out, static_cast<std::uint32_t>(intent.positions.size()));
  for (const Commit& position : intent.positions) {
    append_text(out, position.partition.topic);
    append_le(out, static_cast<std::uint32_t>(position.partition.partition));
    append_le(out, static_cast<std::uint64_t>(position.offset));
    append_text(out, position.metadata);
  }
  return out;
}

Result<Transactions::Intent> Transactions::decode(std::string_view payload) {
  ByteReader in(payload);
  Intent intent;
  const auto kind = in.number<std::uint16_t>();
  for (auto left = in.number<std::uint32_t>(); left > 0 && in.ok(); --left) {
    Destination record;
    record.topic = read_text(in);
    record.partition = static_cast<std::int32_t>(in.number<std::uint32_t>());
    record.from = in.number<std::uint64_t>();
    record.flags = in.number<std::uint8_t>();
    record.head = read_text(in);
    record.body = read_text(in);
    intent.records.push_back(std::move(record));
  }
  intent.group = read_text(in);
  for (auto left = in.number<std::uint32_t>(); left > 0 && in.ok(); --left) {
    Commit position;
    position.partition.topic = read_text(in);
    position.partition.partition = static_cast<std::int32_t>(in.number<std::uint32_t>());
    position.offset = static_cast<std::int64_t>(in.number<std::uint64_t>());
    position.metadata = read_text(in);
    intent.positions.push_back(std::move(position));
  }
  if (kind != kIntentEntry || !in.finished()) {
    return fail(ErrorCode::kCorrupt, "a decided commit cannot be read");
  }
  return intent;
}

Result<void> Transactions::shorten() {
  if (log_->log().stats().bytes < kShortenAt) {
    return {};
  }
  const std::lock_guard lock(mutex_);  // so that nothing is decided and not applied
  NARU_TRY_VOID(log_->roll());
  NARU_TRY(const auto freed, log_->log().trim_before(log_->log().next_offset()));
  std::ignore = freed;
  return {};
}

namespace {

class LocalTransactionalProducer final : public TransactionalProducer {
 public:
  LocalTransactionalProducer(std::shared_ptr<Core> core, std::string id)
      : core_(std::move(core)),
        id_(std::move(id)),
        generation_(core_->transactions().begin_generation(id_)) {}

  Result<void> commit(std::vector<OutRecord> records, Consumer* consumer,
                      std::span<const Commit> positions) override {
    auto* own = dynamic_cast<LocalConsumer*>(consumer);
    NARU_CHECK(consumer == nullptr || own != nullptr, "the consumer is of the same bus");
    return core_->transactions().commit(id_, generation_, records, own, positions);
  }

 private:
  const std::shared_ptr<Core> core_;
  const std::string id_;
  const std::uint64_t generation_;
};

}  // namespace

Result<std::unique_ptr<TransactionalProducer>> make_transactional_producer(std::shared_ptr<Core> core,
                                                                           const std::string& id) {
  return std::make_unique<LocalTransactionalProducer>(std::move(core), id);
}

}  // namespace naru::bus::local
