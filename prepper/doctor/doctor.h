// What is not as it should be in a live cluster, against the declaration, and how each of it is mended. Pure:
// judges what cluster_state.h and the bus told.
//
// A finding is something that a person should act on, or will have to. Findings of one kind are one, with the
// indices or nodes that they are about.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/bus/bus.h"
#include "prepper/bootstrap/mappings.h"
#include "prepper/cluster/cluster_state.h"
#include "prepper/config.h"

namespace naru::prepper {

struct Finding {
  std::string check;    // "fielddata", "disk", ...
  std::string subject;  // index, node, topic or setting; several joined when they are alike
  std::string what;     // in a sentence
  std::string mend;     // a command or a step
};

struct KafkaTopic {
  bus::TopicState state;
  std::map<std::string, std::string> settings;
};
struct DoctorInput {
  const PrepperConfig& config;
  const Mappings& mappings;
  const ClusterState& cluster;          // with indices, mappings and disks
  std::vector<KafkaTopic> topics = {};  // those of the declaration
  std::map<std::string, std::string> unassigned =
      {};  // by index: why the cluster cannot place a shard, in its words
  UnixNanos now = 0;
};
// Ordered by check and subject.
std::vector<Finding> diagnose(const DoctorInput& input);

}  // namespace naru::prepper
