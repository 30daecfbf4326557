// The status of a target and the event that announces a change of it (docs/formats/status-event.md).
//
// Pure: writes and reads the JSON, decides nothing.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/rules/rule.h"

namespace naru::alerting {

using Status = rules::Level;

// Where a decision stands among all of them: a reader refuses what is not above the last that it saw.
struct Version {
  std::uint64_t epoch = 0;     // grows with each leader
  std::uint64_t sequence = 0;  // grows with each decision of an epoch
  auto operator<=>(const Version&) const = default;
};

struct StatusEvent {
  std::string target;  // "type" on the wire, and the Kafka key
  Status status = Status::kHealthy;
  Status previous = Status::kHealthy;
  Version version;
  UnixNanos at = 0;             // of the change, not of its writing
  std::string source;           // who decided: "rule/<name>", "grafana", "person/<name>", ...
  std::string reason;           // for a person
  std::string fingerprint;      // of what decided: 16 hexadecimal digits
  std::string evidence = "{}";  // a JSON object: what it saw
  std::uint64_t records = 0;    // evidence: records that were seen; 0: not known
};

// Names the same change alike however often it is found again: 22 characters from target, statuses, source
// and time.
std::string event_id(const StatusEvent& event);
// The same for all events of one target and source: 16 hexadecimal digits.
std::string fingerprint_of(std::string_view target, std::string_view source);

// One line of JSON.
std::string to_json(const StatusEvent& event);

// Unknown fields are ignored. kInvalidArgument: no JSON object, or a needed field is missing or malformed.
Result<StatusEvent> parse_status_event(std::string_view json);

}  // namespace naru::alerting
