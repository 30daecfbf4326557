#include "collector/buffer/spilled_keys.h"

#include <algorithm>
#include <cstring>

namespace naru::collector {

RoutingKey routing_key(otlp::Signal signal, const Hash128& resource) {
  RoutingKey out = 0;
  std::memcpy(&out, resource.data(), sizeof(out));
  return out ^ static_cast<RoutingKey>(signal);
}

bool SpilledKeys::any_spilled(std::span<const RoutingKey> keys) const {
  if (keys.empty()) {
    return false;
  }
  return all_spilled() || (!counts_.empty() &&
                           std::ranges::any_of(keys, [&](RoutingKey key) { return counts_.contains(key); }));
}

SpilledKeys::Generation SpilledKeys::add(std::span<const RoutingKey> keys) {
  if (counts_.size() + keys.size() > keys_max_) {
    counts_.clear();
    unknown_until_ = std::max(unknown_until_, next_offset_);
    older_pending_ += pending_;
    pending_ = 0;
    ++generation_;
  }
  // A request with more keys than the bound is itself unknown.
  if (keys.size() > keys_max_) {
    ++older_pending_;
    return generation_++;
  }
  for (const RoutingKey key : keys) {
    ++counts_[key];
  }
  ++pending_;
  return generation_;
}

void SpilledKeys::stored(Generation generation, std::uint64_t offset) {
  next_offset_ = offset + 1;
  if (generation == generation_) {
    --pending_;
  } else {
    --older_pending_;
    unknown_until_ = std::max(unknown_until_, offset + 1);
  }
}

void SpilledKeys::failed(Generation generation, std::span<const RoutingKey> keys) {
  if (generation == generation_) {
    --pending_;
    drop(keys);
  } else {
    --older_pending_;
  }
}

void SpilledKeys::left(std::uint64_t offset, std::span<const RoutingKey> keys) {
  if (offset >= unknown_until_) {
    drop(keys);
  }
}

void SpilledKeys::drop(std::span<const RoutingKey> keys) {
  for (const RoutingKey key : keys) {
    const auto found = counts_.find(key);
    if (found != counts_.end() && --found->second == 0) {
      counts_.erase(found);
    }
  }
}

void SpilledKeys::clear() {
  counts_.clear();
}

}  // namespace naru::collector
