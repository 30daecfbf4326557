// What OpenSearch and the bus need before the first record: index templates, the ban on creating our indices
// by accident, topics. `naru bootstrap` and `naru up` use it.
//
// plan() only reads. apply() does what plan() says and is idempotent: a second plan() is empty. Nothing that
// exists is made smaller or deleted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/bus/bus.h"
#include "core/net/http.h"
#include "prepper/config.h"

namespace naru::prepper {

struct BootstrapConfig {
  std::int32_t partitions = 4;        // of each signal's topic
  std::int16_t replication = -1;      // of every topic; -1: the broker's default
  std::uint32_t shards_per_node = 1;  // primaries of an index for each hot (else data) node
  std::string refresh_interval = "60s";
};

// One difference between what is declared and what is there.
struct Change {
  std::string subject;               // "index template logs-otel-v1"
  std::string action;                // "create", "change", "note" (nothing is done about it)
  std::vector<std::string> details;  // "settings.index.codec: default -> best_compression"
};

// What the cluster tells about its nodes.
struct ClusterShape {
  std::uint32_t data_nodes = 1;
  std::uint32_t hot_nodes = 0;  // data nodes with attribute temp: hot
};
// A server that does not know GET /_nodes (the embedded store) counts as one data node.
Result<ClusterShape> read_shape(net::HttpTransport& opensearch);

// The topics that the platform needs, with the prepper's names.
std::vector<bus::TopicConfig> declared_topics(const BootstrapConfig& config, const TopicsConfig& topics);

struct BootstrapTargets {
  net::HttpTransport* opensearch = nullptr;  // nullptr: leave OpenSearch alone
  bus::Bus* bus = nullptr;                   // nullptr: leave the bus alone
};
// kUnavailable, kTimeout: a server does not answer. kPermissionDenied, kInternal: it refuses.
// kInvalidArgument: a declared file.
Result<std::vector<Change>> plan(const BootstrapConfig& config, const PrepperConfig& prepper,
                                 const BootstrapTargets& targets);
// Returns what was done.
Result<std::vector<Change>> apply(const BootstrapConfig& config, const PrepperConfig& prepper,
                                  const BootstrapTargets& targets);

// For a person, one line per change and detail; "nothing to do" when there is none.
std::string to_text(const std::vector<Change>& changes);

}  // namespace naru::prepper
