// What producer, consumer and administration share: handles that free themselves, configuration, errors and
// the log lines of librdkafka. For the .cc files of this module.
#pragma once

#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/bus/kafka/kafka_bus.h"

namespace naru::bus::kafka {

template <auto Free>
struct Freeing {
  template <class T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
using Conf = std::unique_ptr<rd_kafka_conf_t, Freeing<rd_kafka_conf_destroy>>;
using PartitionList =
    std::unique_ptr<rd_kafka_topic_partition_list_t, Freeing<rd_kafka_topic_partition_list_destroy>>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Freeing<rd_kafka_queue_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Freeing<rd_kafka_event_destroy>>;
using KafkaError = std::unique_ptr<rd_kafka_error_t, Freeing<rd_kafka_error_destroy>>;
using TopicHandle = std::unique_ptr<rd_kafka_topic_t, Freeing<rd_kafka_topic_destroy>>;
using Metadata = std::unique_ptr<const struct rd_kafka_metadata, Freeing<rd_kafka_metadata_destroy>>;
using MessageHeaders = std::unique_ptr<rd_kafka_headers_t, Freeing<rd_kafka_headers_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Freeing<rd_kafka_NewTopic_destroy>>;
using ConfigResource = std::unique_ptr<rd_kafka_ConfigResource_t, Freeing<rd_kafka_ConfigResource_destroy>>;
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, Freeing<rd_kafka_AdminOptions_destroy>>;
using GroupMetadata =
    std::unique_ptr<rd_kafka_consumer_group_metadata_t, Freeing<rd_kafka_consumer_group_metadata_destroy>>;
using MemoryText = std::unique_ptr<char, void (*)(char*)>;

// Messages that are still held keep their client alive: rd_kafka_destroy() waits forever for leaked ones.
using Client = std::shared_ptr<rd_kafka_t>;

// Options of librdkafka, the first refusal kept.
class ConfBuilder {
 public:
  explicit ConfBuilder(const KafkaBusConfig& config);
  void set(const char* name, const std::string& value);
  rd_kafka_conf_t* raw() { return conf_.get(); }
  // `opaque` is given to the callbacks of the client.
  Result<Client> make(rd_kafka_type_t type, void* opaque);

 private:
  Conf conf_;
  std::string refusal_;
};

// The code of librdkafka's error, and its text behind `context`.
Error to_error(rd_kafka_resp_err_t code, std::string_view context, std::string_view detail = {});
Error to_error(const rd_kafka_error_t* error, std::string_view context);

// The partition's position and metadata, as a group commits them.
void add_position(rd_kafka_topic_partition_list_t& list, rd_kafka_t* client, const Commit& commit);
// A record to produce. Views into it; once librdkafka took the fields the headers are its own: release().
struct MessageFields {
  std::vector<rd_kafka_vu_t> fields;
  MessageHeaders headers;  // null: it has none
};
MessageFields to_fields(const OutRecord& record);

// "topic[3]"
std::string partition_name(std::string_view topic, std::int32_t partition);

// Partitions of `topic` as the cluster knows it now. kNotFound, kUnavailable, kTimeout.
Result<std::int32_t> ask_partition_count(rd_kafka_t* client, const std::string& topic,
                                         std::chrono::milliseconds timeout);

// At most one line per kind and interval; says how many were left out.
class LogLimiter {
 public:
  explicit LogLimiter(std::chrono::milliseconds interval) : interval_(interval) {}
  // nullopt: leave this one out. Else how many of this kind were left out since the last.
  std::optional<std::uint64_t> admit(const std::string& kind, std::uint64_t now_ns);

 private:
  struct Kind {
    std::uint64_t last_ns = 0;
    std::uint64_t left_out = 0;
  };
  std::chrono::milliseconds interval_;
  std::map<std::string, Kind> kinds_;  // librdkafka has about 40 kinds
};

}  // namespace naru::bus::kafka
