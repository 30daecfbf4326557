#include "alerting/status/status.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/json_text.h"

namespace naru::alerting {
namespace {

constexpr std::array kStatuses = {Status::kHealthy, Status::kCaution, Status::kCritical};

// Appends a part whose end cannot be confused with the next one's beginning.
void append_part(std::string& out, std::string_view part) {
  append_le(out, static_cast<std::uint32_t>(part.size()));
  out.append(part);
}

std::string fingerprint(const StatusEvent& event) {
  std::string key;
  append_part(key, event.target);
  append_part(key, event.source);
  std::string bytes;
  append_le(bytes, xxh3_64(key));
  return to_hex(bytes);
}

Result<Status> parse_status(std::string_view text) {
  for (const Status status : kStatuses) {
    if (text == to_string(status)) {
      return status;
    }
  }
  return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no status", text));
}

std::unexpected<Error> missing(std::string_view field) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("the status event has no usable \"{}\"", field));
}

}  // namespace

std::string_view to_string(Status status) {
  switch (status) {
    case Status::kHealthy: return "HEALTHY";
    case Status::kCaution: return "CAUTION";
    case Status::kCritical: return "CRITICAL";
  }
  return "HEALTHY";
}

std::string event_id(const StatusEvent& event) {
  std::string key;
  append_part(key, event.target);
  append_part(key, event.source);
  append_part(key, to_string(event.status));
  append_part(key, to_string(event.previous));
  append_le(key, event.at);
  const Hash128 hash = xxh3_128(key);
  unsigned char bytes[16];
  std::ranges::copy(hash, bytes);
  std::string id(kId22Size, '\0');
  write_id22(bytes, id.data());
  return id;
}

std::string to_json(const StatusEvent& event) {
  std::string out = "{\"type\":";
  append_json_string(out, event.target);
  out += fmt::format(
      R"(,"status":"{}","prevStatus":"{}","eventId":"{}","epoch":{},"sequence":{},"at":"{}","source":)",
      to_string(event.status), to_string(event.previous), event_id(event), event.epoch, event.sequence,
      format_rfc3339(event.at));
  append_json_string(out, event.source);
  out += ",\"reason\":";
  append_json_string(out, event.reason);
  out += fmt::format(R"(,"fingerprint":"{}","evidence":{{"rule":)", fingerprint(event));
  append_json_string(out, event.evidence.rule);
  out += fmt::format(R"(,"count":{},"moreThan":{},"windowSeconds":{})", event.evidence.count,
                     event.evidence.more_than, event.evidence.window_s);
  if (!event.evidence.topic.empty()) {
    out += ",\"record\":{\"topic\":";
    append_json_string(out, event.evidence.topic);
    out += fmt::format(R"(,"partition":{},"offset":{}}})", event.evidence.partition, event.evidence.offset);
  }
  return out + "}}";
}

Result<StatusEvent> parse_status_event(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument, "the status event is no JSON object");
  }
  StatusEvent event;
  std::string_view text;
  if (object["type"].get(text) != simdjson::SUCCESS || text.empty()) {
    return missing("type");
  }
  event.target = text;
  if (object["status"].get(text) != simdjson::SUCCESS) {
    return missing("status");
  }
  NARU_TRY(event.status, parse_status(text));
  if (object["prevStatus"].get(text) != simdjson::SUCCESS) {
    return missing("prevStatus");
  }
  NARU_TRY(event.previous, parse_status(text));
  if (object["epoch"].get(event.epoch) != simdjson::SUCCESS) {
    return missing("epoch");
  }
  if (object["sequence"].get(event.sequence) != simdjson::SUCCESS) {
    return missing("sequence");
  }
  if (object["at"].get(text) != simdjson::SUCCESS) {
    return missing("at");
  }
  NARU_TRY(event.at, parse_rfc3339(text));
  if (object["source"].get(text) != simdjson::SUCCESS) {
    return missing("source");
  }
  event.source = text;
  return event;
}

}  // namespace naru::alerting
