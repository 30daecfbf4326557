// Consumed messages on their way to the workers, which may be more than there are partitions.
//
// Without order every worker takes what has waited longest. In key order the messages of one key go to one
// worker, in the order of their partition; those without a key have no order and go to any. Bounded by the
// caller. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/hash.h"

namespace naru::prepper {

enum class Order { kNone, kKey };

template <class Message>
class Lanes {
 public:
  Lanes(std::size_t workers, Order order) : order_(order), lanes_(workers) {}

  void put(std::string_view key, Message message) {
    std::deque<Waiting>& lane =
        order_ == Order::kNone || key.empty() ? shared_ : lanes_[xxh3_64(key) % lanes_.size()];
    lane.push_back({serial_++, std::move(message)});
    ++size_;
  }

  bool has(std::size_t worker) const { return !lanes_[worker].empty() || !shared_.empty(); }

  // nullopt: nothing for this worker. What has waited longest comes first.
  std::optional<Message> take(std::size_t worker) {
    std::deque<Waiting>& own = lanes_[worker];
    if (own.empty() && shared_.empty()) {
      return std::nullopt;
    }
    const bool from_own = shared_.empty() || (!own.empty() && own.front().serial < shared_.front().serial);
    std::deque<Waiting>& lane = from_own ? own : shared_;
    Message out = std::move(lane.front().message);
    lane.pop_front();
    --size_;
    return out;
  }

  std::size_t size() const { return size_; }
  void clear() {
    shared_.clear();
    for (std::deque<Waiting>& lane : lanes_) {
      lane.clear();
    }
    size_ = 0;
  }

 private:
  struct Waiting {
    std::uint64_t serial;
    Message message;
  };
  const Order order_;
  std::deque<Waiting> shared_;
  std::vector<std::deque<Waiting>> lanes_;  // by worker
  std::uint64_t serial_ = 0;
  std::size_t size_ = 0;
};

}  // namespace naru::prepper
