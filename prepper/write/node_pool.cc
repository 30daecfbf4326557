#include "prepper/write/node_pool.h"

#include <algorithm>
#include <tuple>

namespace naru::prepper {
namespace {

constexpr double kSmallBytes = 256 << 10;  // below, an answer's time says nothing about bytes

constexpr std::uint64_t kRetryWhenAllFail = 1'000'000'000;

using State = flow::CircuitBreaker::State;

}  // namespace

NodePool::NodePool(NodePoolConfig config, const std::vector<std::string>& seeds)
    : config_(std::move(config)) {
  for (const std::string& url : seeds) {
    add({.url = url}, true);
  }
}

NodePool::Node& NodePool::add(BulkNode node, bool seed) {
  nodes_.push_back(std::make_unique<Node>(Node{.id = next_id_++,
                                               .node = std::move(node),
                                               .seed = seed,
                                               .limit = flow::AdaptiveLimit(config_.in_flight_max),
                                               .breaker = flow::CircuitBreaker(config_.breaker)}));
  return *nodes_.back();
}

NodePool::Node* NodePool::find(std::uint64_t id) {
  const auto at = std::ranges::find_if(nodes_, [&](const auto& node) { return node->id == id; });
  return at == nodes_.end() ? nullptr : at->get();
}

void NodePool::discovered(const std::vector<BulkNode>& nodes) {
  // A lease of a node that goes away is given back to nobody.
  std::erase_if(nodes_, [&](const auto& known) {
    known->listed = std::ranges::find(nodes, known->node.url, &BulkNode::url) != nodes.end();
    return !known->seed && !known->listed;
  });
  for (const BulkNode& node : nodes) {
    const auto at =
        std::ranges::find_if(nodes_, [&](const auto& known) { return known->node.url == node.url; });
    Node& one = at == nodes_.end() ? add(node, false) : **at;
    one.node.zone = node.zone;
    one.listed = true;
  }
}

// Seeds that the cluster does not list only count while nothing that it lists works.
bool NodePool::in_use(const Node& node) const {
  return node.listed || std::ranges::none_of(nodes_, [](const auto& other) {
           return other->listed && other->breaker.state() == State::kClosed;
         });
}

NodePool::Lease NodePool::lend(Node& node) {
  ++node.in_flight;
  node.used = ++requests_;
  return {.node = node.id, .url = node.node.url};
}

std::optional<NodePool::Lease> NodePool::take() {
  // A node that hangs keeps its requests until they time out: the others must not stand still for it.
  const auto working = std::ranges::count_if(
      nodes_, [&](const auto& node) { return in_use(*node) && node->breaker.state() == State::kClosed; });
  const std::uint32_t cap = working > 1 ? std::max(config_.in_flight_max - 1, 1U) : config_.in_flight_max;
  Node* best = nullptr;
  const auto rank = [&](const Node& node) {
    return std::tuple(!own(node), static_cast<double>(node.in_flight) / node.limit.limit(), node.used);
  };
  for (const auto& node : nodes_) {
    if (in_use(*node) && node->in_flight < std::min(node->limit.limit(), cap) &&
        node->breaker.state() == State::kClosed && (best == nullptr || rank(*node) < rank(*best))) {
      best = node.get();
    }
  }
  return best == nullptr ? std::nullopt : std::optional(lend(*best));
}

std::optional<NodePool::Lease> NodePool::take_retry(std::uint64_t now) {
  if (std::ranges::any_of(nodes_, [](const auto& node) { return node->retrying; })) {
    return std::nullopt;
  }
  for (const auto& node : nodes_) {
    if (in_use(*node) && node->breaker.state() == State::kOpen && now >= retry_at(*node)) {
      node->breaker.allow(now);
      node->retrying = true;
      node->tried_at = now;
      return lend(*node);
    }
  }
  return std::nullopt;
}

NodePool::Lease NodePool::take_probe() {
  return lend(**std::ranges::min_element(nodes_, {}, [](const auto& node) {
    return std::tuple(node->breaker.state() != State::kClosed, node->used);
  }));
}

void NodePool::answered(const Lease& lease, double seconds, std::uint64_t bytes) {
  if (Node* node = find(lease.node)) {
    --node->in_flight;
    node->breaker.success();
    node->limit.success(seconds / std::max(static_cast<double>(bytes), kSmallBytes));
  }
}

void NodePool::asked(const Lease& lease) {
  if (Node* node = find(lease.node)) {
    --node->in_flight;
    node->retrying = false;
    node->breaker.success();
  }
}

void NodePool::unused(const Lease& lease) {
  if (Node* node = find(lease.node)) {
    --node->in_flight;
  }
}

void NodePool::overloaded(const Lease& lease) {
  if (Node* node = find(lease.node)) {
    --node->in_flight;
    node->breaker.success();  // it answers
    node->limit.overloaded();
  }
}

void NodePool::failed(const Lease& lease, std::uint64_t now) {
  if (Node* node = find(lease.node)) {
    --node->in_flight;
    node->retrying = false;
    node->tried_at = now;
    node->breaker.failure(now);
  }
}

bool NodePool::any_works() const {
  return std::ranges::any_of(nodes_,
                             [](const auto& node) { return node->breaker.state() == State::kClosed; });
}

std::uint64_t NodePool::retry_at(const Node& node) const {
  return any_works() ? node.breaker.retry_at()
                     : std::min(node.breaker.retry_at(), node.tried_at + kRetryWhenAllFail);
}

std::uint64_t NodePool::retry_at() const {
  std::uint64_t at = ~std::uint64_t{0};
  for (const auto& node : nodes_) {
    if (in_use(*node) && node->breaker.state() == State::kOpen) {
      at = std::min(at, node->retrying ? at : retry_at(*node));
    }
  }
  return at;
}

std::vector<NodePool::NodeState> NodePool::states() const {
  std::vector<NodeState> out;
  for (const auto& node : nodes_) {
    if (in_use(*node)) {
      out.push_back({.url = node->node.url,
                     .limit = node->limit.limit(),
                     .works = node->breaker.state() == State::kClosed});
    }
  }
  return out;
}

}  // namespace naru::prepper
