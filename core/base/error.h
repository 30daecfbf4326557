// The closed list of error codes and what a caller does about each.
//
// Modules add context to the message, never new codes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace naru {

enum class ErrorCode : std::uint8_t {
  kInvalidArgument,   // the input breaks its format or a declared limit; sending it again cannot help
  kNotFound,          // the named thing does not exist
  kAlreadyExists,     // the named thing exists
  kConflict,          // somebody else changed or owns the thing (lock held, fenced, version differs)
  kUnauthenticated,   // no or wrong credentials
  kPermissionDenied,  // known peer, but it may not do this
  kTooLarge,          // over a size limit; smaller pieces may pass
  kOverloaded,        // a bound is reached now (queue, quota); later may pass
  kUnavailable,       // the other side cannot be reached or refuses for now
  kTimeout,           // no answer in time: the outcome is unknown
  kCancelled,         // shut down or revoked meanwhile
  kNoSpace,           // disk full: backpressure, never an exit
  kIo,                // the operating system refused a read or write
  kCorrupt,           // stored bytes fail their checksum or their format
  kUnsupported,       // valid, but not something that this program does
  kInternal,          // a defect here or in a library
};

// What a caller does with a failed operation.
enum class Disposition : std::uint8_t {
  kRetry,       // the same again later, with backoff
  kDeadLetter,  // the input's own fault: keep it with its reason, go on
  kStop,        // a person must act (configuration, rights, disk contents)
};

constexpr Disposition disposition(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kTooLarge:
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported: return Disposition::kDeadLetter;
    case ErrorCode::kOverloaded:
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
    case ErrorCode::kCancelled:
    case ErrorCode::kNoSpace:
    case ErrorCode::kIo: return Disposition::kRetry;
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kConflict:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kInternal: return Disposition::kStop;
  }
  return Disposition::kStop;
}

constexpr std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid argument";
    case ErrorCode::kNotFound: return "not found";
    case ErrorCode::kAlreadyExists: return "already exists";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kUnauthenticated: return "unauthenticated";
    case ErrorCode::kPermissionDenied: return "permission denied";
    case ErrorCode::kTooLarge: return "too large";
    case ErrorCode::kOverloaded: return "overloaded";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kNoSpace: return "no space";
    case ErrorCode::kIo: return "I/O error";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kInternal: return "internal error";
  }
  return "unknown";
}

// A code and one sentence for a person: what happened, to which thing, what to do next.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with `context: ` before its message.
  Error with_context(std::string_view context) const {
    std::string message;
    message.reserve(context.size() + 2 + message_.size());
    message.append(context).append(": ").append(message_);
    return Error(code_, std::move(message));
  }

 private:
  ErrorCode code_;
  std::string message_;
};

}  // namespace naru
