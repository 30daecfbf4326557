#include "naru/kafka/comparison.h"

#include <algorithm>
#include <set>

#include "core/base/hash.h"

namespace naru {

void Comparison::add(Side side, const bus::InRecord& record, std::string_view topic) {
  Held& held = sides_[side][{std::string(topic), record.partition}];
  const std::uint64_t hash =
      xxh3_64(record.value) * 31 + xxh3_64(record.key) + static_cast<std::uint64_t>(record.timestamp_ms);
  held.first_ms = held.count == 0 ? record.timestamp_ms : std::min(held.first_ms, record.timestamp_ms);
  held.last_ms = std::max(held.last_ms, record.timestamp_ms);
  ++held.count;
  held.records.emplace(hash, record.timestamp_ms);
}

std::vector<Comparison::Partition> Comparison::partitions() const {
  std::set<bus::TopicPartition> all;
  for (const auto& side : sides_) {
    for (const auto& [partition, held] : side) {
      all.insert(partition);
    }
  }
  static const Held kNothing;
  std::vector<Partition> out;
  for (const bus::TopicPartition& partition : all) {
    const auto of = [&](Side side) -> const Held& {
      const auto found = sides_[side].find(partition);
      return found == sides_[side].end() ? kNothing : found->second;
    };
    const Held &from = of(kFrom), &to = of(kTo);
    Partition& one = out.emplace_back();
    one.partition = partition;
    one.from = from.count;
    one.to = to.count;
    for (const auto& [hash, at] : from.records) {
      if (to.records.contains(hash)) {
        ++one.both;
      } else if (to.count > 0 && at > to.last_ms) {
        ++one.behind;
      } else if (to.count > 0 && at >= to.first_ms && at < to.last_ms) {
        ++one.missing;
      }
    }
    if (from.count > 0 && to.count > 0) {
      one.overlap_ms = std::max<std::int64_t>(
          0, std::min(from.last_ms, to.last_ms) - std::max(from.first_ms, to.first_ms));
    }
  }
  return out;
}

}  // namespace naru
