#include "alerting/leader/control_image.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <utility>

#include "core/bus/topic_reader.h"

namespace naru::alerting {
namespace {

CommitNumber parse_commit(const std::string& json) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  CommitNumber out;
  if (parser.parse(json).get(object) != simdjson::SUCCESS ||
      object["epoch"].get(out.epoch) != simdjson::SUCCESS ||
      object["number"].get(out.number) != simdjson::SUCCESS) {
    return {};
  }
  return out;
}

}  // namespace

std::string to_json(const CommitNumber& commit) {
  return fmt::format(R"({{"epoch":{},"number":{}}})", commit.epoch, commit.number);
}

Result<ControlImage> read_image(bus::Bus& bus, const ControlConfig& config, std::chrono::milliseconds most) {
  ControlImage image;
  const std::vector<std::string> topics = {config.status_topic, config.routes_topic, config.state_topic};
  for (const std::string& topic : topics) {
    image.topics[topic];
  }
  NARU_TRY_VOID(bus::TopicReader::read(
      bus, topics,
      [&](const bus::InRecord& record) {
        auto& keys = image.topics[std::string(record.topic)];
        if (record.tombstone) {
          keys.erase(std::string(record.key));
        } else {
          keys.insert_or_assign(std::string(record.key), std::string(record.value));
        }
      },
      most));
  const auto& state = image.topics[config.state_topic];
  if (const auto commit = state.find(std::string(kCommitKey)); commit != state.end()) {
    image.commit = parse_commit(commit->second);
  }
  return image;
}

bus::OutRecord control_record(const std::string& topic, std::string key, std::optional<std::string> value,
                              UnixNanos at) {
  bus::OutRecord record;
  record.topic = topic;
  record.key = std::move(key);
  record.tombstone = !value.has_value();
  record.value = std::move(value).value_or("");
  record.timestamp_ms = static_cast<UnixMillis>(at / kNanosPerMilli);
  return record;
}

std::vector<bus::OutRecord> differences(const ControlImage& from, const ControlImage& to, UnixNanos at) {
  std::vector<bus::OutRecord> out;
  const std::map<std::string, std::string> none;
  for (const auto& [topic, keys] : to.topics) {
    const auto found = from.topics.find(topic);
    const auto& old = found == from.topics.end() ? none : found->second;
    for (const auto& [key, value] : keys) {
      const auto before = old.find(key);
      if (before == old.end() || before->second != value) {
        out.push_back(control_record(topic, key, value, at));
      }
    }
    for (const auto& [key, value] : old) {
      if (!keys.contains(key)) {
        out.push_back(control_record(topic, key, std::nullopt, at));
      }
    }
  }
  return out;
}

}  // namespace naru::alerting
