// Which node of a cluster gets the next bulk request: the least busy one of the own zone, else of any other,
// that is not known to fail. Pure: time is a parameter (nanoseconds of a steady clock). Not thread-safe.
//
// Each node has a limit of requests in flight that follows its answers (core/flow/adaptive_limit.h) and a
// breaker that keeps requests from it after a failure and lets one through from time to time. Nodes come from
// configuration (seeds) and from the cluster itself; seeds are used again when no discovered node answers,
// since addresses that a cluster publishes may not be reachable from here.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/flow/adaptive_limit.h"
#include "core/flow/circuit_breaker.h"

namespace naru::prepper {

struct BulkNode {
  std::string url;
  std::string zone = {};  // empty: unknown
};

struct NodePoolConfig {
  std::uint32_t in_flight_max =
      2;             // of one node; one less while there are others, so that none takes all senders
  std::string zone;  // of this process; empty: all zones are alike
  // The first failure counts: what failed is sent to another node, not tried again there.
  flow::BreakerConfig breaker{.failures_max = 1, .open_max = std::chrono::seconds(30)};
};

class NodePool {
 public:
  NodePool(NodePoolConfig config, const std::vector<std::string>& seeds);

  // What the cluster says of its nodes; empty: only the seeds are known. Nodes that stay keep their state.
  void discovered(const std::vector<BulkNode>& nodes);

  // One request to one node; must be given back by one of the five below.
  struct Lease {
    std::uint64_t node = 0;
    std::string url;
  };
  // nullopt: all that work are at their limit.
  std::optional<Lease> take();
  // A node that failed and whose turn to be tried has come: for one small request, not for a batch. One at a
  // time, since a node that is gone keeps a thread until its time is over; every second while no node works.
  std::optional<Lease> take_retry(std::uint64_t now);
  // While the cluster is held: the node that failed longest ago, whatever its breaker says.
  Lease take_probe();
  // `seconds`, `bytes`: of the request.
  void answered(const Lease& lease, double seconds, std::uint64_t bytes);
  void overloaded(const Lease& lease);
  void failed(const Lease& lease, std::uint64_t now);
  void asked(const Lease& lease);   // a small request was answered
  void unused(const Lease& lease);  // nothing was sent
  // Whether a node is left whose last request did not fail.
  bool any_works() const;
  // When take_retry() has something; the end of time: never.
  std::uint64_t retry_at() const;

  struct NodeState {
    std::string url;
    std::uint32_t limit = 0;
    bool works = true;
  };
  std::vector<NodeState> states() const;

 private:
  struct Node {
    std::uint64_t id;
    BulkNode node;
    bool seed;            // of the configuration
    bool listed = false;  // by the cluster
    flow::AdaptiveLimit limit;
    flow::CircuitBreaker breaker;
    std::uint32_t in_flight = 0;
    std::uint64_t used = 0;  // by the pool's count of requests: the longest unused first
    bool retrying = false;
    std::uint64_t tried_at = 0;
  };
  Node& add(BulkNode node, bool seed);
  Node* find(std::uint64_t id);
  bool in_use(const Node& node) const;
  std::uint64_t retry_at(const Node& node) const;
  bool own(const Node& node) const { return config_.zone.empty() || node.node.zone == config_.zone; }
  Lease lend(Node& node);

  NodePoolConfig config_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::uint64_t next_id_ = 1, requests_ = 0;
};

}  // namespace naru::prepper
