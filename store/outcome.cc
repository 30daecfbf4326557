#include "store/outcome.h"

#include <fmt/format.h>

#include "core/base/json_text.h"

namespace naru::store {

ApiError from_error(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kNoSpace:
      return {429,
              "cluster_block_exception",
              "blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has "
              "read-only-allow-delete block]: " +
                  error.message(),
              {},
              {},
              {}};
    case ErrorCode::kCorrupt: return {500, "corruption_exception", error.message(), {}, {}, {}};
    case ErrorCode::kNotFound: return {404, "index_not_found_exception", error.message(), {}, {}, {}};
    case ErrorCode::kOverloaded: return {429, "rejected_execution_exception", error.message(), {}, {}, {}};
    default: return {503, "unavailable_shards_exception", error.message(), {}, {}, {}};
  }
}

void append_error_object(std::string& out, const ApiError& error) {
  out += "{\"type\":";
  append_json_string(out, error.type);
  out += ",\"reason\":";
  append_json_string(out, error.reason);
  if (!error.index.empty()) {
    out += ",\"index\":";
    append_json_string(out, error.index);
  }
  if (!error.cause_type.empty()) {
    out += ",\"caused_by\":{\"type\":";
    append_json_string(out, error.cause_type);
    out += ",\"reason\":";
    append_json_string(out, error.cause_reason);
    out += '}';
  }
  out += '}';
}

std::string error_body(const ApiError& error) {
  std::string object;
  append_error_object(object, error);
  std::string out = "{\"error\":{\"root_cause\":[";
  out += object;
  out += "],";
  if (error.of_search) {
    out +=
        "\"type\":\"search_phase_execution_exception\",\"reason\":\"all shards "
        "failed\",\"phase\":\"query\",\"grouped\":true,"
        "\"failed_shards\":[{\"shard\":0,\"reason\":";
    out += object;
    out += "}]}";
  } else {
    out += std::string_view(object).substr(1);
  }
  out += fmt::format(",\"status\":{}}}", error.status);
  return out;
}

}  // namespace naru::store
