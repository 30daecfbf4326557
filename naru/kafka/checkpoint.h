// Checkpoints of MirrorMaker 2: where a group stands on the cluster that is mirrored, and where that is on
// the mirror. Format: org.apache.kafka.connect.mirror.Checkpoint, version 0, of Kafka 2.4 to 4.1: big-endian;
// key: group, topic (both int16 length and bytes), partition int32; value: version int16, upstream offset
// int64, downstream offset int64, metadata (int16 length and bytes). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/bus/bus.h"

namespace naru {

struct Checkpoint {
  std::string group;
  bus::TopicPartition partition;  // on the mirror
  std::int64_t upstream = 0;      // the next offset to read on the cluster that is mirrored
  std::int64_t downstream = 0;    // and on the mirror
};

// kInvalidArgument: not one of these.
Result<Checkpoint> parse_checkpoint(std::string_view key, std::string_view value);

// The topic that MirrorMaker writes them to, on the mirror, for the cluster that it calls `alias`.
std::string checkpoints_topic(std::string_view alias);

}  // namespace naru
