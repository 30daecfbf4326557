#include "core/expr/expr.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <compare>

#include "core/expr/node.h"

namespace naru::expr {
namespace {

using Node = Expression::Node;
using Kind = Node::Kind;
using ValueKind = Value::Kind;

std::partial_ordering compare(const Value& left, const Value& right) {
  if (left.kind == ValueKind::kText && right.kind == ValueKind::kText) {
    return left.text <=> right.text;
  }
  if (left.kind == ValueKind::kInt && right.kind == ValueKind::kInt) {
    return left.integer <=> right.integer;
  }
  if (left.is_number() && right.is_number()) {
    return left.as_double() <=> right.as_double();
  }
  if (left.kind == ValueKind::kBool && right.kind == ValueKind::kBool) {
    return left.boolean <=> right.boolean;
  }
  return std::partial_ordering::unordered;
}

Value calculate(Kind kind, const Value& left, const Value& right) {
  if (!left.is_number() || !right.is_number()) {
    return {};
  }
  const bool whole = left.kind == ValueKind::kInt && right.kind == ValueKind::kInt;
  const double a = left.as_double(), b = right.as_double();
  std::int64_t out = 0;
  switch (kind) {
    case Kind::kAdd:
      return whole && !__builtin_add_overflow(left.integer, right.integer, &out) ? Value(out) : Value(a + b);
    case Kind::kSubtract:
      return whole && !__builtin_sub_overflow(left.integer, right.integer, &out) ? Value(out) : Value(a - b);
    case Kind::kMultiply:
      return whole && !__builtin_mul_overflow(left.integer, right.integer, &out) ? Value(out) : Value(a * b);
    case Kind::kDivide: return b == 0 ? Value() : Value(a / b);
    default:  // the remainder of INT64_MIN and -1 is not computable in the machine's way
      return !whole || right.integer == 0 ? Value()
             : right.integer == -1        ? Value(std::int64_t{0})
                                          : Value(left.integer % right.integer);
  }
}

Value negated(const Value& value) {
  std::int64_t out = 0;
  if (value.kind == ValueKind::kInt && !__builtin_sub_overflow(std::int64_t{0}, value.integer, &out)) {
    return Value(out);
  }
  return value.is_number() ? Value(-value.as_double()) : Value();
}

Value number_of(const Value& value) {
  if (value.kind != ValueKind::kText) {
    return value.is_number() ? value : Value();
  }
  const char* const end = value.text.data() + value.text.size();
  std::int64_t integer = 0;
  if (const auto read = std::from_chars(value.text.data(), end, integer);
      read.ec == std::errc() && read.ptr == end) {
    return Value(integer);
  }
  double real = 0;
  const auto read = std::from_chars(value.text.data(), end, real);
  return read.ec == std::errc() && read.ptr == end && std::isfinite(real) ? Value(real) : Value();
}

bool iequals(std::string_view left, std::string_view right) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::equal(left, right, {}, lower, lower);
}

Value evaluate_node(const Node& node, const Record& record);

bool truth(const Node& node, const Record& record) {
  const Value value = evaluate_node(node, record);
  return value.kind == ValueKind::kBool && value.boolean;
}

template <class Predicate>
Value texts(const Node& node, const Record& record, Predicate&& predicate) {
  const Value left = evaluate_node(*node.parts[0], record);
  const Value right = evaluate_node(*node.parts[1], record);
  return Value(left.kind == ValueKind::kText && right.kind == ValueKind::kText &&
               predicate(left.text, right.text));
}

Value evaluate_node(const Node& node, const Record& record) {
  const auto part = [&](std::size_t i) { return evaluate_node(*node.parts[i], record); };
  const auto is_true = [&](const auto& child) { return truth(*child, record); };
  switch (node.kind) {
    case Kind::kLiteral: return node.literal;
    case Kind::kField: return record.read(node.ref);
    case Kind::kOr: return Value(std::ranges::any_of(node.parts, is_true));
    case Kind::kAnd: return Value(std::ranges::all_of(node.parts, is_true));
    case Kind::kNot: return Value(!truth(*node.parts[0], record));
    case Kind::kEqual: return Value(compare(part(0), part(1)) == 0);
    case Kind::kNotEqual: return Value(compare(part(0), part(1)) != 0);
    case Kind::kLess: return Value(compare(part(0), part(1)) < 0);
    case Kind::kLessOrEqual: return Value(compare(part(0), part(1)) <= 0);
    case Kind::kGreater: return Value(compare(part(0), part(1)) > 0);
    case Kind::kGreaterOrEqual: return Value(compare(part(0), part(1)) >= 0);
    case Kind::kIn: {
      const Value value = part(0);
      return Value(std::any_of(node.parts.begin() + 1, node.parts.end(),
                               [&](const auto& one) { return compare(value, one->literal) == 0; }));
    }
    case Kind::kAdd:
    case Kind::kSubtract:
    case Kind::kMultiply:
    case Kind::kDivide:
    case Kind::kRemainder: return calculate(node.kind, part(0), part(1));
    case Kind::kNegate: return negated(part(0));
    case Kind::kContains: return texts(node, record, [](auto text, auto it) { return text.contains(it); });
    case Kind::kStartsWith:
      return texts(node, record, [](auto text, auto it) { return text.starts_with(it); });
    case Kind::kEndsWith: return texts(node, record, [](auto text, auto it) { return text.ends_with(it); });
    case Kind::kIEquals: return texts(node, record, iequals);
    case Kind::kMatches: {
      const Value text = part(0);
      return Value(
          text.kind == ValueKind::kText &&
          re2::RE2::PartialMatch(re2::StringPiece(text.text.data(), text.text.size()), *node.pattern));
    }
    case Kind::kExists: return Value(!part(0).missing());
    case Kind::kLength: {
      const Value text = part(0);
      return text.kind == ValueKind::kText ? Value(static_cast<std::int64_t>(text.text.size())) : Value();
    }
    case Kind::kNumber: return number_of(part(0));
  }
  return {};
}

void collect_refs(const Node& node, std::vector<std::uint32_t>& out) {
  if (node.kind == Kind::kField && std::ranges::find(out, node.ref) == out.end()) {
    out.push_back(node.ref);
  }
  for (const auto& part : node.parts) {
    collect_refs(*part, out);
  }
}

}  // namespace

std::string Field::text() const {
  return key ? name + "[\"" + *key + "\"]" : name;
}

Result<Expression> Expression::compile(std::string_view text, const Vocabulary& vocabulary) {
  NARU_TRY(std::unique_ptr<const Node> root, parse(text, vocabulary, false));
  std::vector<std::uint32_t> refs;
  collect_refs(*root, refs);
  return Expression(std::move(root), std::move(refs));
}

Result<Expression> Expression::compile_condition(std::string_view text, const Vocabulary& vocabulary) {
  NARU_TRY(std::unique_ptr<const Node> root, parse(text, vocabulary, true));
  std::vector<std::uint32_t> refs;
  collect_refs(*root, refs);
  return Expression(std::move(root), std::move(refs));
}

Type Expression::type() const {
  return root_->type;
}

Value Expression::evaluate(const Record& record) const {
  return evaluate_node(*root_, record);
}

}  // namespace naru::expr
