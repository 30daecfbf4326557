// What two clusters hold of the same topics: what is on one side, on both, and whether a partition was moved
// in one piece. Pure; keeps 16 bytes of each record.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/bus/bus.h"

namespace naru {

class Comparison {
 public:
  enum Side : std::uint8_t { kFrom, kTo };
  void add(Side side, const bus::InRecord& record, std::string_view topic);

  struct Partition {
    bus::TopicPartition partition;
    std::uint64_t from = 0, to = 0;  // records
    std::uint64_t both = 0;          // of those of `from`, that are on `to` as well
    // Of those of `from`: `to` has older and newer records of the partition, and not this one.
    std::uint64_t missing = 0;
    std::uint64_t behind = 0;  // and: newer than the newest of `to`
    // Milliseconds (receive time) in which both sides got new records of the partition.
    std::int64_t overlap_ms = 0;
  };
  std::vector<Partition> partitions() const;

 private:
  struct Held {
    std::int64_t first_ms = 0, last_ms = 0;
    // Receive times by the hash of key, value and time.
    std::unordered_map<std::uint64_t, std::int64_t> records;
    std::uint64_t count = 0;
  };
  std::map<bus::TopicPartition, Held> sides_[2];
};

}  // namespace naru
