#include "core/bus/kafka/consumer.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/clock.h"
#include "core/bus/kafka/start_position.h"
#include "core/telemetry/log.h"

namespace naru::bus::kafka {
namespace {

constexpr std::uint64_t kDiscoveryNs = 30 * kNanosPerSecond;
constexpr std::uint64_t kDiscoveryRetryNs = kNanosPerSecond;
// A look-up holds up poll(): it is given little time at first, and rests a multiple of what it took.
constexpr std::chrono::milliseconds kLookUpWaitMin{1'000};
constexpr std::uint64_t kLookUpRestMinNs = kNanosPerSecond / 5;
constexpr std::uint64_t kLookUpRest = 5;
constexpr std::size_t kMetadataMax = 4096;  // Kafka's default offset.metadata.max.bytes
// One partition's long metadata can make Kafka refuse the whole call while it stores the others, so only
// short ones travel together.
constexpr std::size_t kMetadataTogetherMax = 256;
// A poll that answers nothing must come back even if librdkafka has a queue of events.
constexpr std::size_t kEventsPerPollMax = 1'000;

// Keeps a message, and the client that it belongs to, as long as a record is in use.
struct MessageOwner {
  Client client;
  rd_kafka_message_t* message;
  std::vector<Header> headers;

  MessageOwner(Client owner, rd_kafka_message_t* held) : client(std::move(owner)), message(held) {}
  ~MessageOwner() { rd_kafka_message_destroy(message); }
  MessageOwner(const MessageOwner&) = delete;
  MessageOwner& operator=(const MessageOwner&) = delete;
};

std::vector<Header> read_headers(const rd_kafka_message_t* message) {
  std::vector<Header> out;
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return out;
  }
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    out.push_back({name, std::string(static_cast<const char*>(value), value == nullptr ? 0 : size)});
  }
  return out;
}

PartitionList to_list(std::span<const TopicPartition> partitions) {
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const TopicPartition& entry : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), entry.topic.c_str(), entry.partition);
  }
  return list;
}

std::vector<TopicPartition> from_list(const rd_kafka_topic_partition_list_t& list) {
  std::vector<TopicPartition> out;
  for (int i = 0; i < list.cnt; ++i) {
    out.push_back({list.elems[i].topic, list.elems[i].partition});
  }
  return out;
}

Result<void> first_error(const rd_kafka_topic_partition_list_t& list, std::string_view what) {
  for (int i = 0; i < list.cnt; ++i) {
    const rd_kafka_topic_partition_t& entry = list.elems[i];
    if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(
          to_error(entry.err, fmt::format("{} {}", what, partition_name(entry.topic, entry.partition))));
    }
  }
  return {};
}

}  // namespace

KafkaConsumer::KafkaConsumer(const KafkaBusConfig& bus, const ConsumerConfig& config,
                             RebalanceListener& listener)
    : bus_(bus), config_(config), listener_(listener) {}

Result<std::unique_ptr<Consumer>> KafkaConsumer::create(const KafkaBusConfig& bus,
                                                        const ConsumerConfig& config,
                                                        RebalanceListener& listener) {
  std::unique_ptr<KafkaConsumer> consumer(new KafkaConsumer(bus, config, listener));
  const bool grouped = !config.group.empty();
  ConfBuilder conf(bus);
  // librdkafka wants a group id of every consumer; without a group nothing is ever stored under it.
  conf.set("group.id", grouped ? config.group : "naru-no-group");
  conf.set("enable.auto.commit", "false");
  conf.set("enable.auto.offset.store", "false");
  conf.set("auto.offset.reset", "error");
  conf.set("partition.assignment.strategy", "cooperative-sticky");
  // Kafka gives the partitions of a killed process to its successor after this; until then they stand still.
  if (config.session_timeout.count() > 0) {
    conf.set("session.timeout.ms", std::to_string(config.session_timeout.count()));
    conf.set("heartbeat.interval.ms", std::to_string(config.session_timeout.count() / 4));
  } else if (!bus.properties.contains("session.timeout.ms")) {
    conf.set("session.timeout.ms", "10000");
  }
  constexpr std::size_t kKilobytesMin = 1024;
  conf.set("queued.max.messages.kbytes",
           std::to_string(std::max(config.fetch_bytes_max / 1024, kKilobytesMin)));
  rd_kafka_conf_set_rebalance_cb(conf.raw(), &KafkaConsumer::on_rebalance);
  NARU_TRY(consumer->client_, conf.make(RD_KAFKA_CONSUMER, consumer.get()));
  rd_kafka_t* client = consumer->client_.get();
  if (const auto code = rd_kafka_poll_set_consumer(client); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(to_error(code, "Kafka consumer"));
  }
  if (grouped) {
    std::vector<TopicPartition> topics;
    for (const std::string& topic : config.topics) {
      topics.push_back({topic, RD_KAFKA_PARTITION_UA});
    }
    if (const auto code = rd_kafka_subscribe(client, to_list(topics).get());
        code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(to_error(code, "subscription of group " + config.group));
    }
  }
  return consumer;
}

KafkaConsumer::~KafkaConsumer() {
  close();
}

Result<void> KafkaConsumer::poll(std::vector<InRecord>& out, std::size_t records_max,
                                 std::chrono::milliseconds wait) {
  if (client_ == nullptr) {
    return fail(ErrorCode::kCancelled, "the consumer is closed");
  }
  out_ = &out;
  out_begin_ = out.size();
  Result<void> result;
  const auto keep_first = [&](Result<void> next) {
    if (!next && result) {
      result = std::move(next);
    }
  };
  if (config_.group.empty()) {
    keep_first(discover_partitions());
  }
  keep_first(finish_assignment());
  int wait_ms = static_cast<int>(wait.count());
  for (std::size_t event = 0;
       event < kEventsPerPollMax + records_max && out.size() - out_begin_ < records_max; ++event) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(client_.get(), wait_ms);
    if (message == nullptr) {
      break;
    }
    keep_first(take(message));
    wait_ms = 0;
  }
  keep_first(finish_assignment());
  out_ = nullptr;
  if (rebalance_error_) {
    keep_first(fail(*std::exchange(rebalance_error_, std::nullopt)));
  }
  if (!held_.empty()) {
    keep_first(fail(ErrorCode::kNotFound, held_.begin()->second));
  }
  return result;
}

Result<void> KafkaConsumer::take(rd_kafka_message_t* message) {
  auto owner = std::make_shared<MessageOwner>(client_, message);
  const std::string_view topic = message->rkt != nullptr ? rd_kafka_topic_name(message->rkt) : "";
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
      return position_is_gone({std::string(topic), message->partition}, message->offset);
    }
    return fail(
        to_error(message->err, topic.empty() ? "Kafka consumer" : partition_name(topic, message->partition),
                 rd_kafka_message_errstr(message) == nullptr ? "" : rd_kafka_message_errstr(message)));
  }
  owner->headers = read_headers(message);
  InRecord record;
  record.topic = topic;
  record.partition = message->partition;
  record.offset = message->offset;
  record.timestamp_ms = rd_kafka_message_timestamp(message, nullptr);
  if (message->key != nullptr) {
    record.key = {static_cast<const char*>(message->key), message->key_len};
  }
  record.tombstone = message->payload == nullptr;
  if (!record.tombstone) {
    record.value = {static_cast<const char*>(message->payload), message->len};
  }
  record.headers = owner->headers.empty() ? nullptr : &owner->headers;
  record.owner = std::move(owner);
  out_->push_back(std::move(record));
  return {};
}

// --- assignment

void KafkaConsumer::on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                                 rd_kafka_topic_partition_list_t* partitions, void* opaque) {
  auto* self = static_cast<KafkaConsumer*>(opaque);
  switch (code) {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS: self->begin_assignment(*partitions); break;
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
      self->revoke(from_list(*partitions), rd_kafka_assignment_lost(client) != 0);
      break;
    default:
      self->rebalance_error_ = to_error(code, "rebalance of group " + self->config_.group);
      rd_kafka_assign(client, nullptr);
      break;
  }
}

// The group gets its answer at once and with none of them: it would stand still until all are looked up, and
// one whose leader is away would keep the others from being read.
void KafkaConsumer::begin_assignment(const rd_kafka_topic_partition_list_t& partitions) {
  const std::vector<TopicPartition> added = from_list(partitions);
  waiting_.insert(waiting_.end(), added.begin(), added.end());
  look_up_wait_ = kLookUpWaitMin;
  look_up_at_ns_ = 0;
  const PartitionList none = to_list({});
  const KafkaError error(rd_kafka_incremental_assign(client_.get(), none.get()));
  if (error != nullptr) {
    rebalance_error_ = to_error(error.get(), "assignment of partitions");
  }
}

Result<void> KafkaConsumer::finish_assignment() {
  if (waiting_.empty()) {
    return {};
  }
  const std::uint64_t begin = monotonic_now();
  if (begin < look_up_at_ns_) {
    return fail(*waiting_reason_);
  }
  const auto most = std::min(look_up_wait_, bus_.request_timeout);
  LookedUp looked = look_up(waiting_, most);
  waiting_ = std::move(looked.left);
  if (!looked.result) {
    waiting_reason_ = looked.result.error();
    look_up_wait_ = 2 * most;
    const std::uint64_t end = monotonic_now();
    look_up_at_ns_ = end + std::max(kLookUpRestMinNs, kLookUpRest * (end - begin));
  }
  if (!looked.found.empty()) {
    NARU_TRY_VOID(assign(looked.found));
  }
  return looked.result;
}

KafkaConsumer::LookedUp KafkaConsumer::look_up(const std::vector<TopicPartition>& partitions,
                                               std::chrono::milliseconds most) {
  const std::uint64_t deadline =
      monotonic_now() + static_cast<std::uint64_t>(std::chrono::nanoseconds(most).count());
  const int timeout_ms = static_cast<int>(most.count());
  LookedUp out;
  const PartitionList committed = to_list(partitions);
  if (!config_.group.empty()) {
    const auto code = rd_kafka_committed(client_.get(), committed.get(), timeout_ms);
    out.result = first_error(*committed, "committed offset of");
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      out.result = fail(to_error(code, "committed offsets of group " + config_.group));
    }
    if (!out.result) {
      out.left = partitions;
      return out;
    }
  }
  std::vector<TopicPartition> failed;  // behind those that had no turn: one must not use up the time of all
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    if (!out.result && monotonic_now() >= deadline) {
      out.left.push_back(partitions[i]);
      continue;
    }
    Result<Assignment> entry = bounds_of(partitions[i], timeout_ms);
    if (!entry) {
      if (out.result) {
        out.result = fail(entry.error());
      }
      failed.push_back(partitions[i]);
      continue;
    }
    const rd_kafka_topic_partition_t& stored = committed->elems[i];
    if (stored.offset >= 0) {
      entry->committed = stored.offset;
      if (stored.metadata != nullptr) {
        entry->metadata.assign(static_cast<const char*>(stored.metadata), stored.metadata_size);
      }
    }
    entry->start = entry->committed.value_or(entry->low);
    out.found.push_back(std::move(*entry));
  }
  out.left.insert(out.left.end(), failed.begin(), failed.end());
  return out;
}

Result<Assignment> KafkaConsumer::bounds_of(const TopicPartition& partition, int timeout_ms) {
  Assignment entry;
  entry.partition = partition;
  const auto code = rd_kafka_query_watermark_offsets(
      client_.get(), partition.topic.c_str(), partition.partition, &entry.low, &entry.high, timeout_ms);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return entry;
  }
  // librdkafka asks the leader that it knows, and for a partition that it does not read yet it learns of
  // another one only by topic.metadata.refresh.interval.ms: asking for the topic tells it.
  (void)ask_partition_count(client_.get(), partition.topic, std::chrono::milliseconds(timeout_ms));
  return fail(
      to_error(code, fmt::format("{} is not read yet, its leader does not say where its log begins and "
                                 "ends; it is asked again",
                                 partition_name(partition.topic, partition.partition))));
}

Result<void> KafkaConsumer::assign(std::vector<Assignment>& partitions) {
  listener_.on_assigned(partitions);
  const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const Assignment& entry : partitions) {
    const StartPosition start = decide_start(entry.start, entry.low, entry.high, bus_.out_of_range);
    if (start.out_of_range && bus_.out_of_range == OutOfRange::kContinueAtOldest) {
      pass_gap(entry, entry.start, start.lost);
    }
    auto* added = rd_kafka_topic_partition_list_add(list.get(), entry.partition.topic.c_str(),
                                                    entry.partition.partition);
    added->offset = start.offset;
    owned_[entry.partition] = start.offset;
  }
  const KafkaError error(rd_kafka_incremental_assign(client_.get(), list.get()));
  if (error != nullptr) {
    return fail(to_error(error.get(), "assignment of partitions"));
  }
  return {};
}

void KafkaConsumer::revoke(const std::vector<TopicPartition>& gone, bool lost) {
  std::vector<TopicPartition> known;
  for (const TopicPartition& entry : gone) {
    std::erase(waiting_, entry);
    if (owned_.contains(entry)) {
      known.push_back(entry);
    }
  }
  forget_records_of(gone);
  if (!known.empty()) {
    listener_.on_revoked(known, lost);
    // A pause must not survive into a later assignment of the same partition.
    rd_kafka_resume_partitions(client_.get(), to_list(known).get());
  }
  for (const TopicPartition& entry : known) {
    owned_.erase(entry);
    held_.erase(entry);
  }
  show_held();
  // Those that still wait were never taken; naming one would refuse the call, and the group waits for it.
  const KafkaError error(rd_kafka_incremental_unassign(client_.get(), to_list(known).get()));
  if (error != nullptr) {
    rebalance_error_ = to_error(error.get(), "giving partitions back");
  }
}

// Records of this poll that the caller has not seen yet: their partition belongs to somebody else now.
void KafkaConsumer::forget_records_of(const std::vector<TopicPartition>& partitions) {
  if (out_ == nullptr) {
    return;
  }
  const auto begin = out_->begin() + static_cast<std::ptrdiff_t>(out_begin_);
  const auto end = std::remove_if(begin, out_->end(), [&](const InRecord& record) {
    return std::ranges::any_of(partitions, [&](const TopicPartition& entry) {
      return entry.partition == record.partition && entry.topic == record.topic;
    });
  });
  out_->erase(end, out_->end());
}

Result<void> KafkaConsumer::discover_partitions() {
  const std::uint64_t now = monotonic_now();
  if (now < next_discovery_ns_) {
    return {};
  }
  next_discovery_ns_ = now + kDiscoveryRetryNs;
  std::vector<TopicPartition> added;
  for (const std::string& topic : config_.topics) {
    NARU_TRY(const std::int32_t count, ask_partition_count(client_.get(), topic, bus_.request_timeout));
    for (std::int32_t partition = 0; partition < count; ++partition) {
      if (TopicPartition entry{topic, partition}; !owned_.contains(entry)) {
        added.push_back(std::move(entry));
      }
    }
  }
  if (!added.empty()) {
    LookedUp looked = look_up(added, bus_.request_timeout);
    if (!looked.found.empty()) {
      NARU_TRY_VOID(assign(looked.found));
    }
    NARU_TRY_VOID(std::move(looked.result));
  }
  next_discovery_ns_ = now + kDiscoveryNs;
  return {};
}

// Declared policy: what is gone counts as lost.
void KafkaConsumer::pass_gap(const Assignment& bounds, std::int64_t wanted, std::int64_t lost) {
  const TopicPartition& partition = bounds.partition;
  telemetry::log_error("kafka",
                       "offset {} of {} is not in the log any more (it holds {} to {}): {} records are lost; "
                       "reading goes on at the "
                       "oldest, as configured",
                       wanted, partition_name(partition.topic, partition.partition), bounds.low, bounds.high,
                       lost);
  if (bus_.metrics != nullptr) {
    bus_.metrics
        ->counter("naru_kafka_out_of_range_records_total",
                  "Records that the log dropped before this group had read them.",
                  {{"topic", partition.topic}})
        .add(static_cast<std::uint64_t>(lost));
  }
  listener_.on_lost(partition, static_cast<std::uint64_t>(lost), bounds.low);
}

void KafkaConsumer::hold(const Assignment& bounds, std::int64_t wanted) {
  const TopicPartition& partition = bounds.partition;
  const auto [at, fresh] = held_.insert_or_assign(
      partition,
      fmt::format(
          "offset {} of {} is out of range (the log holds {} to {}); the partition is held: decide with "
          "out_of_range: continue_at_oldest, or set the group's offset while no prepper runs",
          wanted, partition_name(partition.topic, partition.partition), bounds.low, bounds.high));
  if (fresh) {
    telemetry::log_error("kafka", "{}", at->second);
  }
  show_held();
}

void KafkaConsumer::show_held() const {
  if (bus_.metrics != nullptr) {
    bus_.metrics
        ->gauge("naru_kafka_held_partitions",
                "Partitions that are not read because their position is not in the log; a person decides.",
                {{"group", config_.group}})
        .set(static_cast<double>(held_.size()));
  }
}

// The log dropped what was to be read next while we were reading (or the held position was never there).
Result<void> KafkaConsumer::position_is_gone(const TopicPartition& partition, std::int64_t position) {
  NARU_TRY(const Assignment bounds, bounds_of(partition, static_cast<int>(bus_.request_timeout.count())));
  const StartPosition start = decide_start(position, bounds.low, bounds.high, bus_.out_of_range);
  if (bus_.out_of_range == OutOfRange::kHold) {
    hold(bounds, position);
    return {};
  }
  const std::string name = partition_name(partition.topic, partition.partition);
  pass_gap(bounds, position, start.lost);
  // seek() does not recover from this error; giving the partition back and taking it again does.
  const PartitionList list = to_list(std::span(&partition, 1));
  KafkaError error(rd_kafka_incremental_unassign(client_.get(), list.get()));
  if (error == nullptr) {
    list->elems[0].offset = start.offset;
    error.reset(rd_kafka_incremental_assign(client_.get(), list.get()));
  }
  if (error != nullptr) {
    return fail(to_error(error.get(), "reading on at the oldest record of " + name));
  }
  owned_[partition] = start.offset;
  return {};
}

// --- positions

Result<void> KafkaConsumer::commit(std::span<const Commit> commits) {
  Result<void> result;
  const auto keep_first = [&](Result<void> next) {
    if (!next && result) {
      result = std::move(next);
    }
  };
  std::vector<const Commit*> together;
  for (const Commit& entry : commits) {
    const std::string name = partition_name(entry.partition.topic, entry.partition.partition);
    if (client_ == nullptr || !owned_.contains(entry.partition)) {
      // Kafka would accept it.
      keep_first(
          fail(ErrorCode::kConflict, "offset of " + name + ": this consumer does not own the partition"));
    } else if (entry.metadata.size() > kMetadataMax) {
      keep_first(fail(ErrorCode::kTooLarge, fmt::format("offset of {}: {} bytes of metadata, Kafka takes {}",
                                                        name, entry.metadata.size(), kMetadataMax)));
    } else if (entry.metadata.size() <= kMetadataTogetherMax) {
      together.push_back(&entry);
    } else {
      keep_first(commit_together({&entry}));
    }
  }
  if (!together.empty()) {
    keep_first(commit_together(together));
  }
  return result;
}

Result<void> KafkaConsumer::commit_together(const std::vector<const Commit*>& commits) {
  const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(commits.size())));
  for (const Commit* entry : commits) {
    add_position(*list, client_.get(), *entry);
  }
  // The callback sees each partition's own answer; the return value only the first error.
  Result<void> result;
  const auto code = rd_kafka_commit_queue(
      client_.get(), list.get(), nullptr,
      [](rd_kafka_t*, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t* answers, void* opaque) {
        if (answers != nullptr) {
          *static_cast<Result<void>*>(opaque) = first_error(*answers, "offset of");
        }
      },
      &result);
  if (result && code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(to_error(code, "offsets of group " + config_.group));
  }
  return result;
}

GroupMetadata KafkaConsumer::group_metadata() const {
  return GroupMetadata(client_ == nullptr ? nullptr : rd_kafka_consumer_group_metadata(client_.get()));
}

Result<void> KafkaConsumer::pause(std::span<const TopicPartition> partitions) {
  const PartitionList list = to_list(partitions);
  rd_kafka_pause_partitions(client_.get(), list.get());
  return first_error(*list, "pause of");
}

Result<void> KafkaConsumer::resume(std::span<const TopicPartition> partitions) {
  const PartitionList list = to_list(partitions);
  rd_kafka_resume_partitions(client_.get(), list.get());
  return first_error(*list, "resume of");
}

std::vector<Consumer::Progress> KafkaConsumer::progress() {
  std::vector<Progress> out;
  if (client_ == nullptr || owned_.empty()) {
    return out;
  }
  const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(owned_.size())));
  for (const auto& [partition, start] : owned_) {
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition);
  }
  rd_kafka_position(client_.get(), list.get());
  int index = 0;
  for (const auto& [partition, start] : owned_) {
    Progress entry{partition, start, 0};
    if (const std::int64_t position = list->elems[index++].offset; position >= 0) {
      entry.position = position;
    }
    std::int64_t low = 0;
    rd_kafka_get_watermark_offsets(client_.get(), partition.topic.c_str(), partition.partition, &low,
                                   &entry.high);
    entry.high = std::max(entry.high, entry.position);  // nothing fetched yet: unknown
    out.push_back(std::move(entry));
  }
  return out;
}

void KafkaConsumer::close() {
  if (client_ == nullptr) {
    return;
  }
  if (config_.group.empty() && !owned_.empty()) {
    std::vector<TopicPartition> all;
    for (const auto& [partition, start] : owned_) {
      all.push_back(partition);
    }
    listener_.on_revoked(all, false);
    owned_.clear();
    rd_kafka_assign(client_.get(), nullptr);
  }
  rd_kafka_consumer_close(client_.get());  // revokes through on_rebalance
  client_.reset();                         // destroyed with the last record in use
}

}  // namespace naru::bus::kafka
