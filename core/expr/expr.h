// The expression language of pipelines, routes, rules and filters:
// `severity.number >= 17 and matches(body, "^time[d ]?out")`. Pure.
//
//   expression = and { ("or" | "||") and }
//   and        = not { ("and" | "&&") not }
//   not        = ("not" | "!") not | comparison
//   comparison = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum | "in" "(" literal { "," literal } ")" ]
//   sum        = product { ("+" | "-") product }
//   product    = factor { ("*" | "/" | "%") factor }
//   factor     = "-" factor | literal | field | call | "(" expression ")"
//   literal    = "text" | 'text' | number | true | false
//   field      = name { "." name } [ "[" "key" "]" ]
//   call       = contains(text, text) | starts_with(text, text) | ends_with(text, text) | iequals(text, text)
//              | matches(text, "RE2 pattern") | exists(field) | length(text) | number(text)
//
// Text escapes: \" \' \\ \n \t. Times are text in RFC 3339, UTC: they compare as text. iequals ignores the
// case of ASCII letters, length counts bytes, number reads a decimal. + - * of whole numbers stay whole while
// they fit 64 bits; / is never whole, % only of whole numbers. A field that a record does not have, or has
// with another type, makes a comparison or a function false, `!=` true, and a number of it missing likewise.
//
// An expression is compiled once and asked many times, without an allocation. It has no loops and no state;
// what one evaluation costs is bounded by kTextBytesMax and by the fields' sizes (RE2 is linear in them).
// docs/expressions.md is the page for people. Thread-safe once compiled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace naru::expr {

inline constexpr std::size_t kTextBytesMax = 16u << 10;
inline constexpr std::size_t kDepthMax = 64;
inline constexpr std::int64_t kRegexBytesMax = 1 << 20;  // compiled, of one pattern

enum class Type : std::uint8_t { kAny, kBool, kNumber, kText };  // kAny: known for each record only

// What an expression or a field is for one record. Text is a view: it lives as long as the record or the
// expression that it came from.
struct Value {
  enum class Kind : std::uint8_t { kMissing, kBool, kInt, kDouble, kText };

  Value() = default;
  explicit Value(bool value) : kind(Kind::kBool), boolean(value) {}
  explicit Value(std::int64_t value) : kind(Kind::kInt), integer(value) {}
  explicit Value(double value) : kind(Kind::kDouble), real(value) {}
  explicit Value(std::string_view value) : kind(Kind::kText), text(value) {}

  bool missing() const { return kind == Kind::kMissing; }
  bool is_number() const { return kind == Kind::kInt || kind == Kind::kDouble; }
  double as_double() const { return kind == Kind::kInt ? static_cast<double>(integer) : real; }

  Kind kind = Kind::kMissing;  // kMissing: the record does not have it
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text;
};

// `attributes["http.route"]`: name "attributes", key "http.route".
struct Field {
  std::string name;
  std::optional<std::string> key;

  std::string text() const;  // as it would be written
};

// A field that there is: its type, and the number by which records are asked for it.
struct KnownField {
  Type type = Type::kAny;
  std::uint32_t ref = 0;
};
// What there is. nullopt: no such field.
using Vocabulary = std::function<std::optional<KnownField>(const Field&)>;

// What an expression is asked about.
class Record {
 public:
  virtual ~Record() = default;
  virtual Value read(std::uint32_t ref) const = 0;
};

class Expression {
 public:
  // kInvalidArgument: "column 14: ...", what was expected there and what was found.
  static Result<Expression> compile(std::string_view text, const Vocabulary& vocabulary);
  // The same, and its value must be a truth: a number or a text is refused.
  static Result<Expression> compile_condition(std::string_view text, const Vocabulary& vocabulary);

  Type type() const;
  Value evaluate(const Record& record) const;
  bool matches(const Record& record) const {
    const Value value = evaluate(record);
    return value.kind == Value::Kind::kBool && value.boolean;
  }
  // The fields that it may read, each once.
  const std::vector<std::uint32_t>& refs() const { return refs_; }

  struct Node;

 private:
  Expression(std::shared_ptr<const Node> root, std::vector<std::uint32_t> refs)
      : root_(std::move(root)), refs_(std::move(refs)) {}
  std::shared_ptr<const Node> root_;
  std::vector<std::uint32_t> refs_;
};

// A field alone, as processors name it. kInvalidArgument: "column 5: ...".
Result<Field> parse_field(std::string_view text);

}  // namespace naru::expr
