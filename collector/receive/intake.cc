#include "collector/receive/intake.h"

namespace naru::collector {

// OTLP specification, "Failures": only what can never succeed is not retried.
Refusal refusal_of(ErrorCode code) {
  constexpr std::int32_t kInvalidArgument = 3, kPermissionDenied = 7, kResourceExhausted = 8,
                         kUnavailable = 14, kUnauthenticated = 16;
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCorrupt: return {400, kInvalidArgument, false};
    case ErrorCode::kTooLarge: return {413, kResourceExhausted, false};
    case ErrorCode::kUnauthenticated: return {401, kUnauthenticated, false};
    case ErrorCode::kPermissionDenied: return {403, kPermissionDenied, false};
    default: return {503, kUnavailable, true};
  }
}

}  // namespace naru::collector
