// `naru kafka`: a planned move from one Kafka cluster to another. `switch` is the word to naru-alerting
// (naru/control); `compare` and `offsets` look at both clusters.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace naru {

struct ControlOptions;

struct KafkaOptions {
  std::string config;               // the prepper's: its clusters, topics and group
  std::string from, to;             // names of clusters; empty: the first and the second
  std::vector<std::string> topics;  // empty: those of the three signals
  std::int64_t last = 100'000;      // records of each partition that are compared
  bool mirrored = false;            // `to` mirrors `from`: what it lacks is a finding
  std::string alias;  // MirrorMaker's name of `from`; topics on `to` have it in front, if not empty
  std::string checkpoints_alias;  // and that in the name of the checkpoints topic
  std::string group;              // empty: the prepper's
  bool apply = false;
  std::chrono::seconds timeout{120};
  enum class Action { kNone, kSwitch, kCompare, kOffsets } action = Action::kNone;
};
void add_flags(CLI::App& app, KafkaOptions& options, ControlOptions& control);

// 0: done, nothing is missing; 1: a cluster is away, or something is missing or refused; 2: usage.
int run_kafka(const KafkaOptions& options, const ControlOptions& control);

}  // namespace naru
