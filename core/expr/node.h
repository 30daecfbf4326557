// The tree of an expression: what the parser builds and evaluate() walks. Private to core/expr.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/expr/expr.h"

namespace naru::expr {

struct Expression::Node {
  enum class Kind : std::uint8_t {
    kLiteral,
    kField,
    kOr,
    kAnd,
    kNot,
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kIn,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kRemainder,
    kNegate,
    kContains,
    kStartsWith,
    kEndsWith,
    kIEquals,
    kMatches,
    kExists,
    kLength,
    kNumber,
  };
  Kind kind = Kind::kLiteral;
  Type type = Type::kBool;  // of its value
  std::uint32_t ref = 0;    // of a field
  Value literal;            // its text is `text`
  std::string text;
  std::unique_ptr<const re2::RE2> pattern;
  std::vector<std::unique_ptr<const Node>> parts;
};

Result<std::unique_ptr<const Expression::Node>> parse(std::string_view text, const Vocabulary& vocabulary,
                                                      bool condition);

}  // namespace naru::expr
