// OTLP/JSON (opentelemetry-proto, "JSON Protobuf Encoding"), and the small messages that answer a request.
//
// Requests become the protobuf bytes that everything behind a receiver works on. lowerCamelCase keys only;
// trace and span ids are hexadecimal, other bytes base64; enumerations are integers; 64-bit integers may be
// strings or numbers; unknown fields are ignored. Pure. Not for documents of the search store.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/otlp/otlp.h"

namespace naru::otlp {

// The request as protobuf. kInvalidArgument: no JSON, or a field that does not fit, named by its path
// ("resourceLogs[0].scopeLogs[2].logRecords[17].traceId").
Result<std::string> request_from_json(Signal signal, std::string_view json);

// google.rpc.Status {code = 1, message = 2}; `code` as gRPC numbers them. The message is cut at 1,024 bytes.
std::string status_message(std::int32_t code, std::string_view message);
std::string status_json(std::int32_t code, std::string_view message);

// Export<Signal>ServiceResponse of a request that was taken as a whole: no partial_success.
inline std::string response_message() {
  return {};
}
inline std::string response_json() {
  return "{}";
}

}  // namespace naru::otlp
