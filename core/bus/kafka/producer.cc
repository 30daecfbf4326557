#include "core/bus/kafka/producer.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/telemetry/log.h"

namespace naru::bus::kafka {
namespace {

constexpr int kPollMs = 100;
constexpr int kPollOfTwoMs = 5;  // while both clients have records
constexpr std::uint64_t kPartitionsFreshNs = 60 * kNanosPerSecond;
// A cause that stays (a right that is missing) must not make a loop of new clients.
constexpr std::uint64_t kRebuildPauseNs = kNanosPerSecond;
constexpr std::chrono::milliseconds kRefreshTimeout{1'000};
// What a record costs beside its bytes.
constexpr std::size_t kRecordOverhead = 512;

// One record of the batch is at fault, or all of them together are.
bool is_refusal(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
         code == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

}  // namespace

struct KafkaProducer::Pending {
  KafkaProducer* producer = nullptr;
  OutRecord record;
  DeliveryCallback done;
  std::size_t bytes = 0;
  std::uint64_t sequence = 0;
  bool alone = false;  // in a batch of its own
  Pending* older = nullptr;
  Pending* newer = nullptr;
};

KafkaProducer::KafkaProducer(const KafkaBusConfig& config) : config_(config) {}

Result<std::unique_ptr<Producer>> KafkaProducer::create(const KafkaBusConfig& config) {
  std::unique_ptr<KafkaProducer> producer(new KafkaProducer(config));
  NARU_TRY(producer->client_, producer->make_client(Batching::kMany));
  if (config.metrics != nullptr) {
    producer->bytes_gauge_ = config.metrics->sampled_gauge(
        "naru_kafka_producer_bytes", "Bytes of records handed to Kafka and not yet acknowledged.", {},
        [p = producer.get()] { return static_cast<double>(p->bytes_.load(std::memory_order_relaxed)); });
  }
  producer->thread_ = std::thread([p = producer.get()] { p->serve(); });
  return producer;
}

Result<Client> KafkaProducer::make_client(Batching batching) {
  ConfBuilder conf(config_);
  conf.set("enable.idempotence", "true");
  conf.set("acks", "all");
  conf.set("partitioner", "fnv1a_random");
  conf.set("message.timeout.ms", std::to_string(config_.delivery_timeout.count()));
  // Our own bound counts bytes; librdkafka's must never be reached first.
  conf.set("queue.buffering.max.kbytes", std::to_string(config_.producer_bytes_max / 1024 * 2 + 65'536));
  conf.set("queue.buffering.max.messages", "1000000");
  if (!config_.properties.contains("compression.type") && !config_.properties.contains("compression.codec")) {
    conf.set("compression.type", "lz4");
  }
  if (!config_.properties.contains("linger.ms") && !config_.properties.contains("queue.buffering.max.ms")) {
    conf.set("linger.ms", "5");
  }
  if (batching == Batching::kAlone) {
    conf.set("batch.num.messages", "1");
  }
  rd_kafka_conf_set_dr_msg_cb(conf.raw(), &KafkaProducer::on_delivery);
  rd_kafka_conf_set_error_cb(conf.raw(), &KafkaProducer::on_error);
  return conf.make(RD_KAFKA_PRODUCER, this);
}

KafkaProducer::~KafkaProducer() {
  bytes_gauge_.reset();
  stop_ = true;
  if (thread_.joinable()) {
    thread_.join();
  }
  drain(std::move(client_));
  drain(std::move(alone_));
}

Result<void> KafkaProducer::send(OutRecord& record, DeliveryCallback done) {
  const std::size_t bytes = record.value.size() + record.key.size() + kRecordOverhead;
  const std::size_t before = bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (before != 0 && before + bytes > config_.producer_bytes_max) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    return fail(ErrorCode::kOverloaded,
                fmt::format("{} bytes wait for Kafka's acknowledgement, the bound is {}; send again later",
                            before, config_.producer_bytes_max));
  }
  auto pending = std::make_unique<Pending>();
  pending->producer = this;
  pending->bytes = bytes;
  pending->record = std::move(record);
  pending->done = std::move(done);
  add(pending.get());  // before it is handed over: its answer may come first
  KafkaError error;
  {
    const std::shared_lock lock(client_mutex_);
    if (client_ == nullptr || fatal_) {
      error.reset(rd_kafka_error_new(RD_KAFKA_RESP_ERR__FATAL, "the producer is being rebuilt"));
    } else {
      error.reset(hand_over(client_.get(), *pending));
    }
  }
  if (error == nullptr) {
    (void)pending.release();  // comes back in on_delivery
    return {};
  }
  remove(pending.get());
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  record = std::move(pending->record);
  return fail(to_error(error.get(), "record for topic " + record.topic));
}

// Null: on_delivery will be called.
rd_kafka_error_t* KafkaProducer::hand_over(rd_kafka_t* client, Pending& pending) {
  auto [fields, headers] = to_fields(pending.record);
  rd_kafka_vu_t opaque;
  opaque.vtype = RD_KAFKA_VTYPE_OPAQUE;
  opaque.u.ptr = &pending;
  fields.push_back(opaque);
  rd_kafka_error_t* error = rd_kafka_produceva(client, fields.data(), fields.size());
  if (error == nullptr) {
    (void)headers.release();  // with the message now
  }
  return error;
}

void KafkaProducer::add(Pending* pending) {
  const std::scoped_lock lock(pending_mutex_);
  pending->sequence = next_sequence_++;
  pending->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = pending;
  newest_ = pending;
}

void KafkaProducer::remove(Pending* pending) {
  {
    const std::scoped_lock lock(pending_mutex_);
    (pending->older != nullptr ? pending->older->newer : oldest_) = pending->newer;
    (pending->newer != nullptr ? pending->newer->older : newest_) = pending->older;
  }
  answered_.notify_all();
}

void KafkaProducer::on_delivery(rd_kafka_t* /*client*/, const rd_kafka_message_t* message, void* /*opaque*/) {
  std::unique_ptr<Pending> pending(static_cast<Pending*>(message->_private));
  KafkaProducer& self = *pending->producer;
  if (is_refusal(message->err) && !pending->alone && self.send_alone(pending)) {
    return;
  }
  // Room is given back before the answer, so that the owner can send again from inside it.
  self.bytes_.fetch_sub(pending->bytes, std::memory_order_relaxed);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    pending->done(Position{message->partition, message->offset});
  } else {
    Error error = to_error(
        message->err, fmt::format("record for topic {} is not known to be stored", pending->record.topic));
    if (!is_refusal(message->err) || !pending->alone) {
      // Whatever it says, the record is not to blame.
      if (error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kTooLarge) {
        error = Error(ErrorCode::kUnavailable, error.message());
      }
    } else if (OutRecord* const back = pending->record.returned; back != nullptr) {
      *back = std::move(pending->record);
    }
    pending->done(fail(std::move(error)));
  }
  self.remove(pending.get());
}

// False: it was not handed over again, and is still the caller's.
bool KafkaProducer::send_alone(std::unique_ptr<Pending>& pending) {
  if (stop_) {
    return false;
  }
  if (alone_ == nullptr) {
    auto made = make_client(Batching::kAlone);
    NARU_CHECK(made.has_value(), "librdkafka makes the same client twice");
    alone_ = std::move(*made);
  }
  pending->alone = true;
  const KafkaError error(hand_over(alone_.get(), *pending));
  if (error != nullptr) {
    pending->alone = false;
    return false;
  }
  (void)pending.release();  // comes back in on_delivery
  return true;
}

void KafkaProducer::on_error(rd_kafka_t* client, int code, const char* reason, void* opaque) {
  auto* self = static_cast<KafkaProducer*>(opaque);
  if (code != RD_KAFKA_RESP_ERR__FATAL) {
    telemetry::log(telemetry::LogLevel::kDebug, "kafka", "producer: {}", reason);
    return;
  }
  char text[512];
  const rd_kafka_resp_err_t cause = rd_kafka_fatal_error(client, text, sizeof(text));
  telemetry::log_error(
      "kafka",
      "the producer is broken ({}: {}); it is rebuilt; what was not acknowledged is reported as failed",
      rd_kafka_err2name(cause), text);
  // Nothing for one that is being thrown away already.
  if (client == self->client_.get()) {
    self->fatal_ = true;
  } else if (client == self->alone_.get()) {
    self->alone_fatal_ = true;
  }
}

void KafkaProducer::serve() {
  while (!stop_) {
    Client client;
    {
      const std::shared_lock lock(client_mutex_);
      client = client_;
    }
    const bool two = alone_ != nullptr && rd_kafka_outq_len(alone_.get()) > 0;
    rd_kafka_poll(client.get(), two ? kPollOfTwoMs : kPollMs);
    if (alone_ != nullptr) {
      rd_kafka_poll(alone_.get(), two ? kPollOfTwoMs : 0);
      if (alone_fatal_.exchange(false)) {
        drain(std::move(alone_));
      }
    }
    if (fatal_ && monotonic_now() >= next_rebuild_ns_) {
      client.reset();
      rebuild();
      next_rebuild_ns_ = monotonic_now() + kRebuildPauseNs;
    }
    refresh_partitions();
  }
}

void KafkaProducer::rebuild() {
  auto fresh = make_client(Batching::kMany);
  // The same configuration was accepted before.
  NARU_CHECK(fresh.has_value(), "librdkafka makes the same client twice");
  Client broken = std::move(*fresh);
  {
    const std::unique_lock lock(client_mutex_);
    std::swap(client_, broken);
    fatal_ = false;
  }
  if (config_.metrics != nullptr) {
    config_.metrics
        ->counter("naru_kafka_producer_rebuilds_total", "Producers thrown away after a fatal error.")
        .add();
  }
  drain(std::move(broken));
}

// Answers everything that `client` still holds, then destroys it.
void KafkaProducer::drain(Client client) {
  if (client == nullptr) {
    return;
  }
  rd_kafka_purge(client.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  while (rd_kafka_outq_len(client.get()) > 0) {
    rd_kafka_poll(client.get(), kPollMs);
  }
}

Result<void> KafkaProducer::flush(std::chrono::milliseconds deadline) {
  std::unique_lock lock(pending_mutex_);
  const std::uint64_t until = next_sequence_;
  const bool done =
      answered_.wait_for(lock, deadline, [&] { return oldest_ == nullptr || oldest_->sequence >= until; });
  if (!done) {
    return fail(ErrorCode::kTimeout,
                fmt::format("Kafka has not acknowledged everything within {} ms", deadline.count()));
  }
  return {};
}

Result<std::int32_t> KafkaProducer::partition_count(const std::string& topic) {
  {
    const std::scoped_lock lock(partitions_mutex_);
    if (const auto found = partitions_.find(topic); found != partitions_.end()) {
      return found->second.count;
    }
  }
  Client client;
  {
    const std::shared_lock lock(client_mutex_);
    client = client_;
  }
  const auto asked = ask_partition_count(client.get(), topic, config_.request_timeout);
  if (!asked) {
    return std::unexpected(asked.error().with_context("Kafka at " + config_.brokers));
  }
  const std::int32_t count = *asked;
  const std::scoped_lock lock(partitions_mutex_);
  partitions_[topic] = {count, monotonic_now()};
  return count;
}

// Counts grow while we run; an old count is still a valid one, so failures wait for the next round.
void KafkaProducer::refresh_partitions() {
  const std::uint64_t now = monotonic_now();
  std::string due;
  {
    const std::scoped_lock lock(partitions_mutex_);
    for (auto& [topic, known] : partitions_) {
      if (now - known.asked_ns >= kPartitionsFreshNs) {
        known.asked_ns = now;
        due = topic;
        break;
      }
    }
  }
  if (due.empty()) {
    return;
  }
  if (const auto count = ask_partition_count(client_.get(), due, kRefreshTimeout)) {
    const std::scoped_lock lock(partitions_mutex_);
    partitions_[due].count = *count;
  }
}

}  // namespace naru::bus::kafka
