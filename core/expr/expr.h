// Conditions over named fields: `dl.kind == "logs" and contains(record.body, "timeout")`. Pure.
//
//   condition  = and { ("or" | "||") and }
//   and        = not { ("and" | "&&") not }
//   not        = ("not" | "!") not | "(" condition ")" | comparison
//   comparison = operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=") operand ]
//   operand    = "text" | 'text' | number | true | false | field | function "(" operand { "," operand } ")"
//   field      = name { "." name } [ "[" "key" "]" ]
//   function   = contains(text, text) | starts_with(text, text) | ends_with(text, text) | exists(field)
//
// Text escapes: \" \' \\ \n \t. Times are text in RFC 3339, UTC: they compare as text. A field that a record
// does not have, or has with another type, makes a comparison or a function false, and `!=` true.
//
// A condition is compiled once and asked many times. It has no loops and no state; what one evaluation costs
// is bounded by kTextBytesMax and by the fields' sizes. Thread-safe once compiled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/base/result.h"

namespace naru::expr {

inline constexpr std::size_t kTextBytesMax = 16u << 10;
inline constexpr std::size_t kDepthMax = 64;

// monostate: the record does not have it.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

enum class Type : std::uint8_t { kAny, kBool, kNumber, kText };  // kAny: known for each record only

// `record.attributes["http.route"]`: name "record.attributes", key "http.route".
struct Field {
  std::string name;
  std::optional<std::string> key;
};

// What there is. nullopt: no such field; its error names the closest thing that a caller can do.
using FieldTypes = std::function<std::optional<Type>(const Field&)>;
using FieldValues = std::function<Value(const Field&)>;

class Condition {
 public:
  // kInvalidArgument: "column 14: ...", what was expected there and what was found.
  static Result<Condition> compile(std::string_view text, const FieldTypes& types);

  bool matches(const FieldValues& values) const;

  struct Node;

 private:
  explicit Condition(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;
};

}  // namespace naru::expr
