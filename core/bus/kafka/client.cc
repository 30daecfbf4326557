#include "core/bus/kafka/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#include "core/base/clock.h"
#include "core/telemetry/log.h"

namespace naru::bus {

std::string_view refused_property(std::string_view name) {
  constexpr std::string_view kAck = "records would be acknowledged before they are durable";
  constexpr std::string_view kDouble =
      "retries inside the producer would store records twice or out of order";
  constexpr std::string_view kCommit = "positions would be committed before their records are finished";
  constexpr std::string_view kField = "it is set by its own key beside kafka.properties";
  constexpr std::string_view kKeys = "one source must meet the same partition from every collector";
  constexpr std::string_view kShape = "Naru relies on its own value";
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kRefused = {{
      {"acks", kAck},
      {"request.required.acks", kAck},
      {"delivery.report.only.error", kAck},
      {"enable.idempotence", kDouble},
      {"retries", kDouble},
      {"message.send.max.retries", kDouble},
      {"transactional.id", kShape},
      {"partitioner", kKeys},
      {"enable.auto.commit", kCommit},
      {"auto.commit.enable", kCommit},
      {"auto.commit.interval.ms", kCommit},
      {"enable.auto.offset.store", kCommit},
      {"auto.offset.reset", "records would be stepped over silently when a position is out of range"},
      {"partition.assignment.strategy", kShape},
      {"isolation.level", "records of aborted transactions would be read"},
      {"enable.partition.eof", kShape},
      {"enabled_events", kShape},
      {"opaque", kShape},
      {"group.id", kField},
      {"bootstrap.servers", kField},
      {"metadata.broker.list", kField},
      {"client.id", kField},
      {"message.timeout.ms", kField},
      {"delivery.timeout.ms", kField},
  }};
  const auto* found =
      std::ranges::find(kRefused, name, &std::pair<std::string_view, std::string_view>::first);
  return found == kRefused.end() ? std::string_view{} : found->second;
}

std::string property_problem(const std::string& name, const std::string& value) {
  if (const std::string_view reason = refused_property(name); !reason.empty()) {
    return fmt::format("cannot be set: {}; remove it", reason);
  }
  const kafka::Conf conf(rd_kafka_conf_new());
  char text[512];
  switch (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), text, sizeof(text))) {
    case RD_KAFKA_CONF_OK: return {};
    case RD_KAFKA_CONF_UNKNOWN: return "librdkafka knows no such property; correct its name or remove it";
    // librdkafka names the property, under the name that it uses itself, but not the value: it may be secret.
    default: return fmt::format("its value is refused: {}", text);
  }
}

}  // namespace naru::bus

namespace naru::bus::kafka {
namespace {

constexpr std::string_view kComponent = "kafka";

void write_line(const rd_kafka_t* /*client*/, int level, const char* kind, const char* text) {
  // The same properties serve producers and consumers: nobody can mend this.
  if (std::string_view(text).find("property and will be ignored by this") != std::string_view::npos) {
    return;
  }
  static std::mutex mutex;
  static LogLimiter limiter{std::chrono::seconds(30)};
  std::uint64_t left_out = 0;
  {
    const std::scoped_lock lock(mutex);
    const auto admitted = limiter.admit(kind, monotonic_now());
    if (!admitted) {
      return;
    }
    left_out = *admitted;
  }
  constexpr int kSyslogError = 3, kSyslogWarning = 4, kSyslogInfo = 6;
  const telemetry::LogLevel severity = level <= kSyslogError     ? telemetry::LogLevel::kError
                                       : level == kSyslogWarning ? telemetry::LogLevel::kWarn
                                       : level <= kSyslogInfo    ? telemetry::LogLevel::kInfo
                                                                 : telemetry::LogLevel::kDebug;
  if (left_out == 0) {
    telemetry::log(severity, kComponent, "{}: {}", kind, text);
  } else {
    telemetry::log(severity, kComponent, "{}: {} ({} more like this in between)", kind, text, left_out);
  }
}

ErrorCode code_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED: return ErrorCode::kOverloaded;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: return ErrorCode::kTimeout;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: return ErrorCode::kTooLarge;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET: return ErrorCode::kNotFound;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: return ErrorCode::kAlreadyExists;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST: return ErrorCode::kConflict;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED: return ErrorCode::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED: return ErrorCode::kUnauthenticated;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY: return ErrorCode::kCancelled;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION: return ErrorCode::kInvalidArgument;
    default:
      // Whatever else a cluster answers passes when the cluster recovers or a person repairs it; the record
      // is not at fault.
      return ErrorCode::kUnavailable;
  }
}

}  // namespace

std::optional<std::uint64_t> LogLimiter::admit(const std::string& kind, std::uint64_t now_ns) {
  Kind& entry = kinds_[kind];
  const auto interval = static_cast<std::uint64_t>(std::chrono::nanoseconds(interval_).count());
  if (entry.last_ns != 0 && now_ns - entry.last_ns < interval) {
    ++entry.left_out;
    return std::nullopt;
  }
  entry.last_ns = now_ns;
  return std::exchange(entry.left_out, 0);
}

ConfBuilder::ConfBuilder(const KafkaBusConfig& config) : conf_(rd_kafka_conf_new()) {
  rd_kafka_conf_set_log_cb(conf_.get(), write_line);
  if (config.brokers.empty()) {
    refusal_ = "kafka.brokers is empty: name at least one broker as host:port";
  }
  set("bootstrap.servers", config.brokers);
  set("client.id", config.client_id);
  // With the default of 10 s a broker that is back is found 30 s later (measured).
  set("reconnect.backoff.max.ms", "500");
  // With the default of 5 min added partitions are found that late.
  set("topic.metadata.refresh.interval.ms", "30000");
  // A request to a broker that hangs holds up its caller for so long; the default is 60 s.
  set("socket.timeout.ms", "15000");
  set("socket.keepalive.enable", "true");
  set("log.connection.close", "false");
  for (const auto& [name, value] : config.properties) {
    if (const std::string problem = property_problem(name, value); !problem.empty()) {
      if (refusal_.empty()) {
        refusal_ = fmt::format("kafka.properties.{}: {}", name, problem);
      }
      continue;
    }
    set(name.c_str(), value);
  }
}

void ConfBuilder::set(const char* name, const std::string& value) {
  char text[512];
  if (rd_kafka_conf_set(conf_.get(), name, value.c_str(), text, sizeof(text)) != RD_KAFKA_CONF_OK &&
      refusal_.empty()) {
    refusal_ = fmt::format("kafka.properties.{}: {}", name, text);
  }
}

Result<Client> ConfBuilder::make(rd_kafka_type_t type, void* opaque) {
  if (!refusal_.empty()) {
    return fail(ErrorCode::kInvalidArgument, refusal_);
  }
  rd_kafka_conf_set_opaque(conf_.get(), opaque);
  char text[512];
  rd_kafka_t* client = rd_kafka_new(type, conf_.get(), text, sizeof(text));
  if (client == nullptr) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("librdkafka refuses the configuration of Kafka: {}", text));
  }
  (void)conf_.release();  // owned by the client now
  return Client(client, [](rd_kafka_t* handle) { rd_kafka_destroy(handle); });
}

Error to_error(rd_kafka_resp_err_t code, std::string_view context, std::string_view detail) {
  return Error(code_of(code), fmt::format("{}: {}{}{} ({})", context, detail, detail.empty() ? "" : "; ",
                                          rd_kafka_err2str(code), rd_kafka_err2name(code)));
}

Error to_error(const rd_kafka_error_t* error, std::string_view context) {
  return Error(code_of(rd_kafka_error_code(error)),
               fmt::format("{}: {} ({})", context, rd_kafka_error_string(error), rd_kafka_error_name(error)));
}

void add_position(rd_kafka_topic_partition_list_t& list, rd_kafka_t* client, const Commit& commit) {
  auto* added =
      rd_kafka_topic_partition_list_add(&list, commit.partition.topic.c_str(), commit.partition.partition);
  added->offset = commit.offset;
  if (!commit.metadata.empty()) {
    added->metadata = rd_kafka_mem_malloc(client, commit.metadata.size());
    std::memcpy(added->metadata, commit.metadata.data(), commit.metadata.size());
    added->metadata_size = commit.metadata.size();
  }
}

namespace {

MessageHeaders to_headers(const std::vector<Header>& headers) {
  MessageHeaders out(rd_kafka_headers_new(headers.size()));
  for (const Header& header : headers) {
    rd_kafka_header_add(out.get(), header.key.data(), static_cast<ssize_t>(header.key.size()),
                        header.value.data(), static_cast<ssize_t>(header.value.size()));
  }
  return out;
}

}  // namespace

MessageFields to_fields(const OutRecord& record) {
  const auto text_of = [](rd_kafka_vtype_t type, const std::string& text) {
    rd_kafka_vu_t out;
    out.vtype = type;
    out.u.mem.ptr = const_cast<char*>(text.data());  // librdkafka reads only
    out.u.mem.size = text.size();
    return out;
  };
  MessageFields out;
  auto& [fields, headers] = out;
  fields.reserve(7);
  fields.resize(3);
  fields[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  fields[0].u.cstr = record.topic.c_str();
  fields[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  fields[1].u.i32 = record.partition == kPartitionByKey ? RD_KAFKA_PARTITION_UA : record.partition;
  fields[2].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
  fields[2].u.i64 = record.timestamp_ms;
  if (!record.tombstone) {
    fields.push_back(text_of(RD_KAFKA_VTYPE_VALUE, record.value));
  }
  if (!record.key.empty()) {
    fields.push_back(text_of(RD_KAFKA_VTYPE_KEY, record.key));
  }
  if (!record.headers.empty()) {
    headers = to_headers(record.headers);
    rd_kafka_vu_t field;
    field.vtype = RD_KAFKA_VTYPE_HEADERS;
    field.u.headers = headers.get();
    fields.push_back(field);
  }
  return out;
}

std::string partition_name(std::string_view topic, std::int32_t partition) {
  return fmt::format("{}[{}]", topic, partition);
}

Result<std::int32_t> ask_partition_count(rd_kafka_t* client, const std::string& topic,
                                         std::chrono::milliseconds timeout) {
  const std::unique_ptr<rd_kafka_topic_t, Freeing<rd_kafka_topic_destroy>> handle(
      rd_kafka_topic_new(client, topic.c_str(), nullptr));
  if (handle == nullptr) {
    return fail(to_error(rd_kafka_last_error(), "topic " + topic));
  }
  const struct rd_kafka_metadata* raw = nullptr;
  const auto code = rd_kafka_metadata(client, 0, handle.get(), &raw, static_cast<int>(timeout.count()));
  const Metadata metadata(raw);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(to_error(code, "partitions of topic " + topic));
  }
  if (metadata->topic_cnt != 1) {
    return fail(ErrorCode::kNotFound, "topic " + topic + " does not exist on this Kafka cluster");
  }
  const rd_kafka_metadata_topic& found = metadata->topics[0];
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(to_error(found.err, "partitions of topic " + topic));
  }
  if (found.partition_cnt == 0) {
    return fail(ErrorCode::kNotFound, "topic " + topic + " has no partitions yet");
  }
  return found.partition_cnt;
}

}  // namespace naru::bus::kafka
