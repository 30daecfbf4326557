// Which routing keys have an entry in the spill, so that only their new records queue behind it.
//
// Counts entries by key, up to `keys_max` keys. Where the keys of some entries are not known (left by an
// earlier process, or there were too many) every key counts as spilled until the last of those entries has
// left; entries that come meanwhile are counted again. Two keys may share a number: then one waits longer
// than it had to. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

#include "core/base/hash.h"
#include "core/otlp/otlp.h"

namespace naru::collector {

using RoutingKey = std::uint64_t;
// A resource's hash (contracts.md 3) within its signal.
RoutingKey routing_key(otlp::Signal signal, const Hash128& resource);

class SpilledKeys {
 public:
  // Entries below `unknown_until` exist already and may be of any key.
  SpilledKeys(std::size_t keys_max, std::uint64_t position, std::uint64_t unknown_until)
      : keys_max_(keys_max),
        position_(position),
        next_offset_(unknown_until),
        unknown_until_(unknown_until) {}

  // Whether a record with one of these keys has to queue. Without keys (spans) there is no order to keep.
  bool any_spilled(std::span<const RoutingKey> keys) const;

  // What add() returns and stored() or failed() takes back.
  using Generation = std::uint64_t;
  // An entry is handed to the log. Entries are added in the order of their offsets.
  Generation add(std::span<const RoutingKey> keys);
  void stored(Generation generation, std::uint64_t offset);
  void failed(Generation generation, std::span<const RoutingKey> keys);
  // The entry is delivered.
  void left(std::uint64_t offset, std::span<const RoutingKey> keys);
  // Everything below `position` has left, also what nobody could read.
  void move_to(std::uint64_t position) { position_ = position; }
  // Nothing is in the log or on its way there.
  void clear();

  bool all_spilled() const { return position_ < unknown_until_ || older_pending_ > 0; }
  std::size_t size() const { return counts_.size(); }

 private:
  void drop(std::span<const RoutingKey> keys);

  const std::size_t keys_max_;
  std::uint64_t position_;
  std::uint64_t next_offset_;        // behind the last stored entry
  std::uint64_t unknown_until_;      // keys of entries below it are not counted
  Generation generation_ = 0;        // changes when the counts are given up
  std::uint64_t pending_ = 0;        // added, neither stored nor failed; of this generation
  std::uint64_t older_pending_ = 0;  // of earlier ones
  std::unordered_map<RoutingKey, std::uint32_t> counts_;
};

}  // namespace naru::collector
