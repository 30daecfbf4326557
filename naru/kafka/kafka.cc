#include "naru/kafka/kafka.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "core/base/clock.h"
#include "core/bus/kafka/kafka_bus.h"
#include "core/bus/topic_reader.h"
#include "core/program/service.h"
#include "naru/control/control.h"
#include "naru/kafka/checkpoint.h"
#include "naru/kafka/comparison.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

using Action = KafkaOptions::Action;

// Both clusters, the topics, and what they are called on the other side.
struct Sides {
  std::string from_name, to_name;
  std::unique_ptr<bus::Bus> from, to;
  std::vector<std::string> topics;

  std::string on_to(const KafkaOptions& options, const std::string& topic) const {
    return options.alias.empty() ? topic : options.alias + "." + topic;
  }
};

Result<std::unique_ptr<bus::Bus>> connect(const prepper::ProgramConfig& config, const std::string& name) {
  if (name == config.clusters.name) {
    return bus::make_kafka_bus(config.kafka);
  }
  std::string names = config.clusters.name;
  for (const program::ClusterEntry& entry : config.clusters.more) {
    if (entry.name == name) {
      return bus::make_kafka_bus(entry.kafka);
    }
    names += ", " + entry.name;
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the configuration has no cluster '{}'; it has {}", name, names));
}

Result<Sides> open_sides(const prepper::ProgramConfig& config, const KafkaOptions& options) {
  Sides out;
  out.from_name = options.from.empty() ? config.clusters.name : options.from;
  out.to_name = options.to;
  if (out.to_name.empty() && !config.clusters.more.empty()) {
    out.to_name = config.clusters.more.front().name;
  }
  if (out.to_name.empty() || out.to_name == out.from_name) {
    return fail(ErrorCode::kInvalidArgument,
                "two clusters are needed: give clusters.more in the configuration, or --from and --to");
  }
  NARU_TRY(out.from, connect(config, out.from_name));
  NARU_TRY(out.to, connect(config, out.to_name));
  out.topics = options.topics;
  if (out.topics.empty()) {
    out.topics = {config.topics.logs, config.topics.metrics, config.topics.traces};
  }
  return out;
}

// --- compare

Result<bool> compare(const Sides& sides, const KafkaOptions& options) {
  Comparison comparison;
  for (const std::string& topic : sides.topics) {
    const auto read = [&](Comparison::Side side, bus::Bus& bus, const std::string& name) {
      return bus::TopicReader::read(
          bus, {name}, [&](const bus::InRecord& record) { comparison.add(side, record, topic); },
          options.timeout, options.last);
    };
    // The mirror last: what is on it was on the other side before.
    NARU_TRY_VOID(read(Comparison::kFrom, *sides.from, topic));
    NARU_TRY_VOID(read(Comparison::kTo, *sides.to, sides.on_to(options, topic)));
  }
  fmt::print("{:<32} {:>10} {:>10} {:>10} {:>9} {:>9} {:>11}\n", "partition", sides.from_name, sides.to_name,
             "on both", "missing", "behind", "overlap ms");
  std::uint64_t missing = 0, both = 0;
  for (const Comparison::Partition& one : comparison.partitions()) {
    fmt::print("{:<32} {:>10} {:>10} {:>10} {:>9} {:>9} {:>11}\n",
               fmt::format("{}/{}", one.partition.topic, one.partition.partition), one.from, one.to, one.both,
               one.missing, one.behind, one.overlap_ms);
    missing += one.missing;
    both += one.both;
  }
  if (!options.mirrored) {
    fmt::print("{} records are on both clusters{}.\n", both,
               both == 0 ? "" : ": sent again at a switch; by their identity each is one document");
    return true;
  }
  fmt::print("{}\n", missing == 0
                         ? fmt::format("{} holds everything of {} that is older than its newest records.",
                                       sides.to_name, sides.from_name)
                         : fmt::format("{} LACKS {} records that {} holds, although it has newer ones.",
                                       sides.to_name, missing, sides.from_name));
  return missing == 0;
}

// --- offsets

// Stands in the group on the mirror for as long as it takes to commit for it.
class Joined final : public bus::RebalanceListener {
 public:
  void on_assigned(std::span<bus::Assignment> partitions) override {
    for (const bus::Assignment& one : partitions) {
      assigned.insert_or_assign(one.partition, one);
    }
  }
  void on_revoked(std::span<const bus::TopicPartition> partitions, bool) override {
    for (const bus::TopicPartition& one : partitions) {
      assigned.erase(one);
    }
  }
  std::map<bus::TopicPartition, bus::Assignment> assigned;
};

using Translated = std::map<bus::TopicPartition, Checkpoint>;  // by the partition on the mirror

Result<Translated> read_checkpoints(const Sides& sides, const KafkaOptions& options,
                                    const std::string& group) {
  std::set<std::string> topics;
  for (const std::string& topic : sides.topics) {
    topics.insert(sides.on_to(options, topic));
  }
  const std::string checkpoints =
      checkpoints_topic(options.checkpoints_alias.empty() ? sides.from_name : options.checkpoints_alias);
  const std::vector<std::string> names = {checkpoints};
  NARU_TRY(const auto states, sides.to->describe(names));
  if (!states.front().exists) {
    return fail(ErrorCode::kNotFound,
                fmt::format("cluster {} has no topic {}: does MirrorMaker 2 mirror to it, with "
                            "emit.checkpoints.enabled, and is --alias its name of {}?",
                            sides.to_name, checkpoints, sides.from_name));
  }
  Translated out;
  std::uint64_t unreadable = 0;
  NARU_TRY_VOID(bus::TopicReader::read(
      *sides.to, names,
      [&](const bus::InRecord& record) {
        const Result<Checkpoint> one = parse_checkpoint(record.key, record.value);
        unreadable += one || record.tombstone ? 0 : 1;
        if (one && one->group == group && topics.contains(one->partition.topic)) {
          out.insert_or_assign(one->partition, *one);
        }
      },
      options.timeout));
  if (unreadable > 0) {
    fmt::print(stderr, "naru kafka: {} records of {} are no checkpoints and were passed over\n", unreadable,
               checkpoints);
  }
  return out;
}

Result<bool> translate(const Sides& sides, const KafkaOptions& options, const std::string& group) {
  NARU_TRY(const Translated translated, read_checkpoints(sides, options, group));
  if (translated.empty()) {
    return fail(ErrorCode::kNotFound,
                fmt::format("MirrorMaker has written no checkpoint of group {} for these topics yet: has it "
                            "committed on {}, and is one emit.checkpoints.interval.seconds over?",
                            group, sides.from_name));
  }
  Joined joined;
  std::unique_ptr<bus::Consumer> consumer;
  if (options.apply) {
    std::set<std::string> names;
    for (const auto& [partition, checkpoint] : translated) {
      names.insert(partition.topic);
    }
    const std::vector<std::string> topics(names.begin(), names.end());
    NARU_TRY(const auto states, sides.to->describe(topics));
    std::size_t partitions = 0;
    for (const bus::TopicState& state : states) {
      partitions += static_cast<std::size_t>(state.partitions);
    }
    NARU_TRY(consumer, sides.to->consumer({.group = group, .topics = topics}, joined));
    const std::uint64_t deadline = monotonic_now() + to_nanos(options.timeout);
    std::vector<bus::InRecord> unused;
    while (joined.assigned.size() < partitions && monotonic_now() < deadline) {
      NARU_TRY_VOID(consumer->poll(unused, 1, std::chrono::milliseconds(100)));
    }
    if (joined.assigned.size() < partitions) {
      consumer->close();
      return fail(ErrorCode::kUnavailable,
                  fmt::format("only {} of {} partitions on {} were given to this program: stop the other "
                              "members of group {} there first",
                              joined.assigned.size(), partitions, sides.to_name, group));
    }
  }
  fmt::print("{:<32} {:>14} {:>14}\n", "partition on " + sides.to_name, "on " + sides.from_name,
             "on " + sides.to_name);
  std::vector<bus::Commit> commits;
  for (const auto& [partition, checkpoint] : translated) {
    std::string note;
    if (options.apply) {
      const bus::Assignment& at = joined.assigned.at(partition);
      if (at.committed && *at.committed >= checkpoint.downstream) {
        note = fmt::format("  is at {} already", *at.committed);
      } else {
        commits.push_back({partition, checkpoint.downstream, {}});
      }
    }
    fmt::print("{:<32} {:>14} {:>14}{}\n", fmt::format("{}/{}", partition.topic, partition.partition),
               checkpoint.upstream, checkpoint.downstream, note);
  }
  if (options.apply) {
    const Result<void> committed = commits.empty() ? Result<void>() : consumer->commit(commits);
    consumer->close();
    NARU_TRY_VOID(committed);
    fmt::print("Group {} stands there on {} now.\n", group, sides.to_name);
  } else {
    fmt::print("Nothing was changed; --apply lets group {} stand there on {}.\n", group, sides.to_name);
  }
  return true;
}

}  // namespace

void add_flags(CLI::App& app, KafkaOptions& options, ControlOptions& control) {
  app.require_subcommand(1);
  CLI::App* move = app.add_subcommand(
      "switch", "send so much of the partitions of all collectors that follow a route to another cluster");
  add_shift_flags(*move, control);
  move->callback([&options] { options.action = Action::kSwitch; });
  const auto sides = [&options](CLI::App* verb) {
    verb->add_option("--config", options.config, "configuration of the prepper (YAML), with both clusters")
        ->required();
    verb->add_option("--from", options.from, "name of the cluster that is left (default: the first)");
    verb->add_option("--to", options.to, "name of the other one (default: the second)");
    verb->add_option("--topic", options.topics, "topics (default: logs, metrics and traces)");
    verb->add_option("--alias", options.alias,
                     "MirrorMaker's name of --from, when it puts that in front of the topics on --to");
    verb->add_option("--timeout", options.timeout, "longest time for reading a topic, in seconds");
  };
  CLI::App* compare_verb = app.add_subcommand("compare", "compare what both clusters hold");
  sides(compare_verb);
  compare_verb->add_option("--last", options.last, "records of each partition to look at, the newest ones")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{10'000'000}));
  compare_verb->add_flag("--mirrored", options.mirrored,
                         "--to mirrors --from: exit with 1 when it lacks a record");
  compare_verb->callback([&options] { options.action = Action::kCompare; });
  CLI::App* offsets = app.add_subcommand(
      "offsets", "where a group stands on the mirror, by the checkpoints of MirrorMaker 2");
  sides(offsets);
  offsets->add_option("--checkpoints-alias", options.checkpoints_alias,
                      "MirrorMaker's name of --from (default: the name of the cluster)");
  offsets->add_option("--group", options.group, "consumer group (default: the prepper's)");
  offsets->add_flag("--apply", options.apply, "let the group stand there; it must have no members on --to");
  offsets->callback([&options] { options.action = Action::kOffsets; });
}

int run_kafka(const KafkaOptions& options, const ControlOptions& control) {
  if (options.action == Action::kSwitch) {
    return run_control(control);
  }
  const auto config = prepper::load_program_config(options.config);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message());
    return program::kExitUsage;
  }
  const auto done = [&]() -> Result<bool> {
    NARU_TRY(const Sides sides, open_sides(*config, options));
    return options.action == Action::kCompare
               ? compare(sides, options)
               : translate(sides, options, options.group.empty() ? config->consume.group : options.group);
  }();
  if (!done) {
    fmt::print(stderr, "naru kafka: {}\n", done.error().message());
    return program::exit_code(done.error());
  }
  return *done ? program::kExitDone : program::kExitFailure;
}

}  // namespace naru
