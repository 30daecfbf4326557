// What the control topics of one cluster hold: the last record of each key.
//
// Every commit carries its number (key kCommitKey of the state topic). As a cluster has every commit of a
// term from its beginning up to one of them, the image with the highest number is the present, and the others
// are brought up to it.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/config.h"
#include "core/base/clock.h"
#include "core/bus/bus.h"

namespace naru::alerting {

inline constexpr std::string_view kCommitKey = "commit";

struct CommitNumber {
  std::uint64_t epoch = 0, number = 0;
  auto operator<=>(const CommitNumber&) const = default;
};
std::string to_json(const CommitNumber& commit);

struct ControlImage {
  std::map<std::string, std::map<std::string, std::string>> topics;  // by topic, by key
  CommitNumber commit;                                               // {0, 0}: none was found
};

// kTimeout: not read to its end within `most`.
Result<ControlImage> read_image(bus::Bus& bus, const ControlConfig& config, std::chrono::milliseconds most);

// A record of a control topic; without a value: forget the key.
bus::OutRecord control_record(const std::string& topic, std::string key, std::optional<std::string> value,
                              UnixNanos at);

// Records, of the time `at`, that make `to` of `from`.
std::vector<bus::OutRecord> differences(const ControlImage& from, const ControlImage& to, UnixNanos at);

}  // namespace naru::alerting
