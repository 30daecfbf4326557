// Result<T>: a value or an Error. Nothing in Naru throws across a module border.
#pragma once

#include <expected>
#include <utility>

#include "core/base/error.h"

namespace naru {

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error(code, std::move(message)));
}
inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}

}  // namespace naru

#define NARU_CONCAT_INNER(a, b) a##b
#define NARU_CONCAT(a, b) NARU_CONCAT_INNER(a, b)

// NARU_TRY(auto x, f()); — declares x with the value of f(), or returns its error from this function.
#define NARU_TRY(declaration, expression) \
  NARU_TRY_NAMED(declaration, expression, NARU_CONCAT(naru_try_, __COUNTER__))
#define NARU_TRY_NAMED(declaration, expression, name) \
  auto name = (expression);                           \
  if (!name) {                                        \
    return ::naru::fail(std::move(name).error());     \
  }                                                   \
  declaration = std::move(*name)

// NARU_TRY_VOID(f()); — returns the error of f() from this function.
#define NARU_TRY_VOID(expression)                                \
  do {                                                           \
    if (auto naru_try_result = (expression); !naru_try_result) { \
      return ::naru::fail(std::move(naru_try_result).error());   \
    }                                                            \
  } while (false)
