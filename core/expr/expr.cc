#include "core/expr/expr.h"

#include <algorithm>
#include <compare>

#include "core/expr/node.h"

namespace naru::expr {
namespace {

using Node = Condition::Node;
using Kind = Node::Kind;

// unordered: of different types, or one is missing.
std::partial_ordering compare(const Value& left, const Value& right) {
  return std::visit(
      [](const auto& a, const auto& b) -> std::partial_ordering {
        using A = std::decay_t<decltype(a)>;
        using B = std::decay_t<decltype(b)>;
        constexpr bool kNumbers = (std::is_same_v<A, std::int64_t> || std::is_same_v<A, double>) &&
                                  (std::is_same_v<B, std::int64_t> || std::is_same_v<B, double>);
        if constexpr (std::is_same_v<A, std::monostate> || std::is_same_v<B, std::monostate>) {
          return std::partial_ordering::unordered;
        } else if constexpr (std::is_same_v<A, B>) {
          return a <=> b;
        } else if constexpr (kNumbers) {
          return static_cast<double>(a) <=> static_cast<double>(b);
        } else {
          return std::partial_ordering::unordered;
        }
      },
      left, right);
}

bool is_true(const Value& value) {
  const bool* flag = std::get_if<bool>(&value);
  return flag != nullptr && *flag;
}

Value evaluate(const Node& node, const FieldValues& values) {
  const auto truth = [&](const auto& part) { return is_true(evaluate(*part, values)); };
  const auto part = [&](std::size_t i) { return evaluate(*node.parts[i], values); };
  const auto texts = [&](auto&& predicate) {
    const Value left = part(0), right = part(1);
    const auto* text = std::get_if<std::string>(&left);
    const auto* sought = std::get_if<std::string>(&right);
    return text != nullptr && sought != nullptr && predicate(*text, *sought);
  };
  switch (node.kind) {
    case Kind::kLiteral: return node.literal;
    case Kind::kField: return values(node.field);
    case Kind::kOr: return std::ranges::any_of(node.parts, truth);
    case Kind::kAnd: return std::ranges::all_of(node.parts, truth);
    case Kind::kNot: return !truth(node.parts[0]);
    case Kind::kEqual: return compare(part(0), part(1)) == 0;
    case Kind::kNotEqual: return compare(part(0), part(1)) != 0;
    case Kind::kLess: return compare(part(0), part(1)) < 0;
    case Kind::kLessOrEqual: return compare(part(0), part(1)) <= 0;
    case Kind::kGreater: return compare(part(0), part(1)) > 0;
    case Kind::kGreaterOrEqual: return compare(part(0), part(1)) >= 0;
    case Kind::kContains: return texts([](const auto& text, const auto& it) { return text.contains(it); });
    case Kind::kStartsWith:
      return texts([](const auto& text, const auto& it) { return text.starts_with(it); });
    case Kind::kEndsWith: return texts([](const auto& text, const auto& it) { return text.ends_with(it); });
    case Kind::kExists: return !std::holds_alternative<std::monostate>(part(0));
  }
  return false;
}

}  // namespace

Result<Condition> Condition::compile(std::string_view text, const FieldTypes& types) {
  NARU_TRY(std::unique_ptr<const Node> root, parse(text, types));
  return Condition(std::move(root));
}

bool Condition::matches(const FieldValues& values) const {
  return is_true(evaluate(*root_, values));
}

}  // namespace naru::expr
