// How the store refuses: an HTTP status with OpenSearch's error type and reason.
//
// Clients decide by status and type (formats.md 2.4), so both are part of the contract; reasons are for
// people.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"

namespace naru::store {

struct ApiError {
  int status = 500;
  std::string type;
  std::string reason;
  std::string cause_type;  // empty: no "caused_by"
  std::string cause_reason;
  std::string index;  // named in the error object when not empty
  bool of_search =
      false;  // found while the query met the index: wrapped in a search_phase_execution_exception
};

template <class T>
using Outcome = std::expected<T, ApiError>;

inline std::unexpected<ApiError> refuse(int status, std::string type, std::string reason) {
  return std::unexpected(ApiError{status, std::move(type), std::move(reason), {}, {}, {}});
}
// 400 illegal_argument_exception
inline std::unexpected<ApiError> illegal(std::string reason) {
  return refuse(400, "illegal_argument_exception", std::move(reason));
}
// 400 parsing_exception
inline std::unexpected<ApiError> unparsable(std::string reason) {
  return refuse(400, "parsing_exception", std::move(reason));
}

// A failure of the storage below as an answer: 429 for a full disk, else 500 or 503.
ApiError from_error(const Error& error);

// Appends {"type":...,"reason":...,"caused_by":{...}}.
void append_error_object(std::string& out, const ApiError& error);
// The whole body: {"error":{"root_cause":[...],"type":...,"reason":...},"status":n}.
std::string error_body(const ApiError& error);

}  // namespace naru::store

namespace naru {
// Lets NARU_TRY pass an ApiError on.
inline std::unexpected<store::ApiError> fail(store::ApiError error) {
  return std::unexpected<store::ApiError>(std::move(error));
}
}  // namespace naru
