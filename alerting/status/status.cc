#include "alerting/status/status.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/json_text.h"

namespace naru::alerting {
namespace {

// Appends a part whose end cannot be confused with the next one's beginning.
void append_part(std::string& out, std::string_view part) {
  append_le(out, static_cast<std::uint32_t>(part.size()));
  out.append(part);
}

std::unexpected<Error> missing(std::string_view field) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("the status event has no usable \"{}\"", field));
}

}  // namespace

std::string fingerprint_of(std::string_view target, std::string_view source) {
  std::string key;
  append_part(key, target);
  append_part(key, source);
  std::string bytes;
  append_le(bytes, xxh3_64(key));
  return to_hex(bytes);
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
      to_string(event.status), to_string(event.previous), event_id(event), event.version.epoch,
      event.version.sequence, format_rfc3339(event.at));
  append_json_string(out, event.source);
  out += ",\"reason\":";
  append_json_string(out, event.reason);
  out += fmt::format(R"(,"fingerprint":"{}","evidence":{}}})", event.fingerprint, event.evidence);
  return out;
}

Result<StatusEvent> parse_status_event(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalidArgument, "the status event is no JSON object");
  }
  StatusEvent event;
  std::string_view text;
  const auto read_text = [&](const char* field, std::string& out) {
    if (object[field].get(text) != simdjson::SUCCESS) {
      return false;
    }
    out = text;
    return true;
  };
  const auto read_status = [&](const char* field, Status& out) {
    const auto level = object[field].get(text) == simdjson::SUCCESS ? rules::parse_level(text) : std::nullopt;
    out = level.value_or(Status::kHealthy);
    return level.has_value();
  };
  if (!read_text("type", event.target) || event.target.empty()) {
    return missing("type");
  }
  if (!read_status("status", event.status)) {
    return missing("status");
  }
  if (!read_status("prevStatus", event.previous)) {
    return missing("prevStatus");
  }
  if (object["epoch"].get(event.version.epoch) != simdjson::SUCCESS) {
    return missing("epoch");
  }
  if (object["sequence"].get(event.version.sequence) != simdjson::SUCCESS) {
    return missing("sequence");
  }
  if (object["at"].get(text) != simdjson::SUCCESS) {
    return missing("at");
  }
  NARU_TRY(event.at, parse_rfc3339(text));
  if (!read_text("source", event.source)) {
    return missing("source");
  }
  read_text("reason", event.reason);
  read_text("fingerprint", event.fingerprint);
  if (simdjson::dom::element evidence; object["evidence"].get(evidence) == simdjson::SUCCESS) {
    event.evidence = simdjson::minify(evidence);
  }
  return event;
}

}  // namespace naru::alerting
