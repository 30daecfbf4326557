// The tree of a condition: what the parser builds and matches() walks. Private to core/expr.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/expr/expr.h"

namespace naru::expr {

struct Condition::Node {
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
    kContains,
    kStartsWith,
    kEndsWith,
    kExists,
  };
  Kind kind = Kind::kLiteral;
  Type type = Type::kBool;  // of its value
  Value literal;
  Field field;
  std::vector<std::unique_ptr<const Node>> parts;
};

Result<std::unique_ptr<const Condition::Node>> parse(std::string_view text, const FieldTypes& types);

}  // namespace naru::expr
