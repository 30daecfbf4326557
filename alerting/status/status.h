// The status of a target and the event that announces a change of it (docs/formats/status-event.md).
//
// Pure: writes and reads the JSON, decides nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace naru::alerting {

// Ordered: worse is greater.
enum class Status : std::uint8_t { kHealthy, kCaution, kCritical };
std::string_view to_string(Status status);  // HEALTHY, CAUTION, CRITICAL

// What a rule saw when it decided.
struct Evidence {
  std::string rule;
  std::uint64_t count = 0;  // records in the fullest window
  std::uint64_t more_than = 0;
  std::uint32_t window_s = 0;
  // The record that crossed the threshold; none for a way back.
  std::string topic;
  std::int32_t partition = -1;
  std::int64_t offset = -1;
};

struct StatusEvent {
  std::string target;  // "type" on the wire, and the Kafka key
  Status status = Status::kHealthy;
  Status previous = Status::kHealthy;
  std::uint64_t epoch = 0;     // grows with each start of the writer
  std::uint64_t sequence = 0;  // grows with each event of an epoch
  UnixNanos at = 0;            // of the change, not of its writing
  std::string source;          // who decided: "rule/<name>"
  std::string reason;          // for a person
  Evidence evidence;
};

// Names the same change alike however often it is found again: 22 characters from target, statuses, source
// and time.
std::string event_id(const StatusEvent& event);

// One line of JSON.
std::string to_json(const StatusEvent& event);

// Reads what a restart needs: everything but the evidence and the reason. Unknown fields are ignored.
// kInvalidArgument: no JSON object, or a needed field is missing or malformed.
Result<StatusEvent> parse_status_event(std::string_view json);

}  // namespace naru::alerting
