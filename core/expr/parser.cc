#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "core/expr/node.h"

namespace naru::expr {
namespace {

using Node = Condition::Node;
using Kind = Node::Kind;
using NodePtr = std::unique_ptr<Node>;

struct Token {
  enum class Kind : std::uint8_t { kEnd, kName, kText, kNumber, kSign };
  Kind kind = Kind::kEnd;
  std::string_view raw;
  std::string text;  // of kText, without escapes
  std::size_t column = 1;
};

constexpr std::array<std::pair<std::string_view, Kind>, 6> kComparisons = {{
    {"==", Kind::kEqual},
    {"!=", Kind::kNotEqual},
    {"<", Kind::kLess},
    {"<=", Kind::kLessOrEqual},
    {">", Kind::kGreater},
    {">=", Kind::kGreaterOrEqual},
}};
struct Function {
  std::string_view name;
  Kind kind;
  std::size_t parts;
};
constexpr std::array<Function, 4> kFunctions = {{
    {"contains", Kind::kContains, 2},
    {"starts_with", Kind::kStartsWith, 2},
    {"ends_with", Kind::kEndsWith, 2},
    {"exists", Kind::kExists, 1},
}};

std::string_view to_string(Type type) {
  switch (type) {
    case Type::kBool: return "true or false";
    case Type::kNumber: return "a number";
    case Type::kText: return "text";
    case Type::kAny: break;
  }
  return "any value";
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Parser {
 public:
  Parser(std::string_view text, const FieldTypes& types) : text_(text), types_(types) {}

  Result<NodePtr> run() {
    if (text_.size() > kTextBytesMax) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("the condition has {} bytes, at most {} are read",
                                                           text_.size(), kTextBytesMax));
    }
    NARU_TRY_VOID(advance());
    NARU_TRY(NodePtr root, parse_or());
    if (token_.kind != Token::Kind::kEnd) {
      return expected("`and`, `or` or the end");
    }
    NARU_TRY_VOID(check_condition(*root, 1));
    return root;
  }

 private:
  std::unexpected<Error> at(std::size_t column, std::string_view what) const {
    return fail(ErrorCode::kInvalidArgument, fmt::format("column {}: {}", column, what));
  }
  std::unexpected<Error> expected(std::string_view what) const {
    return at(token_.column,
              fmt::format("{} is expected here, and not {}", what,
                          token_.kind == Token::Kind::kEnd ? "the end" : fmt::format("`{}`", token_.raw)));
  }
  bool is(std::string_view raw) const {
    return (token_.kind == Token::Kind::kName || token_.kind == Token::Kind::kSign) && token_.raw == raw;
  }

  Result<void> advance() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) {
      ++at_;
    }
    token_ = {};
    token_.column = at_ + 1;
    if (at_ == text_.size()) {
      return {};
    }
    const std::size_t begin = at_;
    const char first = text_[at_];
    if (first == '"' || first == '\'') {
      NARU_TRY_VOID(read_text(first));
    } else if (is_digit(first) || (first == '-' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))) {
      token_.kind = Token::Kind::kNumber;
      ++at_;
      // With the sign of an exponent; from_chars judges the rest.
      while (at_ < text_.size() && (is_name(text_[at_]) || text_[at_] == '.' ||
                                    (text_[at_] == '-' && (text_[at_ - 1] | 0x20) == 'e'))) {
        ++at_;
      }
    } else if (is_name(first)) {
      token_.kind = Token::Kind::kName;
      while (at_ < text_.size() && is_name(text_[at_])) {
        ++at_;
      }
    } else {
      token_.kind = Token::Kind::kSign;
      constexpr std::array<std::string_view, 6> kDouble = {"==", "!=", "<=", ">=", "&&", "||"};
      ++at_;
      for (const std::string_view sign : kDouble) {
        if (text_.substr(begin).starts_with(sign)) {
          at_ = begin + 2;
        }
      }
    }
    token_.raw = text_.substr(begin, at_ - begin);
    return {};
  }

  Result<void> read_text(char quote) {
    token_.kind = Token::Kind::kText;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == quote) {
        ++at_;
        return {};
      }
      if (c != '\\') {
        token_.text += c;
        continue;
      }
      switch (++at_ < text_.size() ? text_[at_] : '\0') {
        case '"': token_.text += '"'; break;
        case '\'': token_.text += '\''; break;
        case '\\': token_.text += '\\'; break;
        case 'n': token_.text += '\n'; break;
        case 't': token_.text += '\t'; break;
        default: return at(at_, R"(a backslash is followed by one of " ' \ n t)");
      }
    }
    return at(token_.column, fmt::format("the text that begins here has no closing {}", quote));
  }

  Result<NodePtr> chain(Kind kind, std::string_view word, std::string_view sign,
                        Result<NodePtr> (Parser::*next)()) {
    const std::size_t column = token_.column;
    NARU_TRY(NodePtr first, (this->*next)());
    if (!is(word) && !is(sign)) {
      return first;
    }
    NARU_TRY_VOID(check_condition(*first, column));
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->parts.push_back(std::move(first));
    while (is(word) || is(sign)) {
      NARU_TRY_VOID(advance());
      const std::size_t at_part = token_.column;
      NARU_TRY(NodePtr part, (this->*next)());
      NARU_TRY_VOID(check_condition(*part, at_part));
      node->parts.push_back(std::move(part));
    }
    return node;
  }
  Result<NodePtr> parse_or() {
    const std::size_t column = token_.column;
    if (++depth_ > kDepthMax) {
      return at(column, fmt::format("more than {} parentheses and `not` inside each other", kDepthMax));
    }
    NARU_TRY(NodePtr node, chain(Kind::kOr, "or", "||", &Parser::parse_and));
    --depth_;
    return node;
  }
  Result<NodePtr> parse_and() { return chain(Kind::kAnd, "and", "&&", &Parser::parse_not); }

  Result<NodePtr> parse_not() {
    const std::size_t column = token_.column;
    if (is("not") || is("!")) {
      if (++depth_ > kDepthMax) {
        return at(column, fmt::format("more than {} parentheses and `not` inside each other", kDepthMax));
      }
      NARU_TRY_VOID(advance());
      const std::size_t at_part = token_.column;
      auto node = std::make_unique<Node>();
      node->kind = Kind::kNot;
      NARU_TRY(NodePtr part, parse_not());
      NARU_TRY_VOID(check_condition(*part, at_part));
      node->parts.push_back(std::move(part));
      --depth_;
      return node;
    }
    if (is("(")) {
      NARU_TRY_VOID(advance());
      NARU_TRY(NodePtr node, parse_or());
      if (!is(")")) {
        return expected("`)`, `and` or `or`");
      }
      NARU_TRY_VOID(check_condition(*node, column));
      NARU_TRY_VOID(advance());
      return node;
    }
    return parse_comparison();
  }

  Result<void> check_condition(const Node& node, std::size_t column) const {
    if (node.type != Type::kBool && node.type != Type::kAny) {
      return at(column, fmt::format("a condition is expected here, and this is {}: compare it with something",
                                    to_string(node.type)));
    }
    return {};
  }

  Result<NodePtr> parse_comparison() {
    NARU_TRY(NodePtr left, parse_operand());
    for (const auto& [sign, kind] : kComparisons) {
      if (token_.kind != Token::Kind::kSign || token_.raw != sign) {
        continue;
      }
      const std::size_t column = token_.column;
      NARU_TRY_VOID(advance());
      NARU_TRY(NodePtr right, parse_operand());
      if (left->type != right->type && left->type != Type::kAny && right->type != Type::kAny) {
        return at(column, fmt::format("`{}` compares {} with {}", sign, to_string(left->type),
                                      to_string(right->type)));
      }
      auto node = std::make_unique<Node>();
      node->kind = kind;
      node->parts.push_back(std::move(left));
      node->parts.push_back(std::move(right));
      return node;
    }
    return left;
  }

  Result<NodePtr> literal(Type type, Value value) {
    auto node = std::make_unique<Node>();
    node->type = type;
    node->literal = std::move(value);
    NARU_TRY_VOID(advance());
    return node;
  }

  Result<NodePtr> parse_operand() {
    switch (token_.kind) {
      case Token::Kind::kText: return literal(Type::kText, std::move(token_.text));
      case Token::Kind::kNumber: return parse_number();
      case Token::Kind::kName:
        if (is("true") || is("false")) {
          return literal(Type::kBool, is("true"));
        }
        if (!is("and") && !is("or") && !is("not")) {
          return parse_named();
        }
        break;
      default: break;
    }
    return expected("a field, a text in quotes, a number, true or false");
  }

  Result<NodePtr> parse_number() {
    const char* const end = token_.raw.data() + token_.raw.size();
    std::int64_t integer = 0;
    if (const auto read = std::from_chars(token_.raw.data(), end, integer);
        read.ec == std::errc() && read.ptr == end) {
      return literal(Type::kNumber, integer);
    }
    double real = 0;
    if (const auto read = std::from_chars(token_.raw.data(), end, real);
        read.ec != std::errc() || read.ptr != end) {
      return at(token_.column, fmt::format("`{}` is no number", token_.raw));
    }
    return literal(Type::kNumber, real);
  }

  Result<NodePtr> parse_named() {
    const std::size_t column = token_.column;
    const std::string_view name = token_.raw;
    NARU_TRY_VOID(advance());
    if (is("(")) {
      for (const Function& function : kFunctions) {
        if (function.name == name) {
          return parse_call(function);
        }
      }
      return at(column,
                fmt::format("there is no function `{}`; there are contains, starts_with, ends_with and "
                            "exists",
                            name));
    }
    auto node = std::make_unique<Node>();
    node->kind = Kind::kField;
    node->field.name = name;
    while (is(".")) {
      NARU_TRY_VOID(advance());
      if (token_.kind != Token::Kind::kName) {
        return expected("the next part of the field's name");
      }
      node->field.name += '.';
      node->field.name += token_.raw;
      NARU_TRY_VOID(advance());
    }
    if (is("[")) {
      NARU_TRY_VOID(advance());
      if (token_.kind != Token::Kind::kText) {
        return expected("a key in quotes");
      }
      node->field.key = std::move(token_.text);
      NARU_TRY_VOID(advance());
      if (!is("]")) {
        return expected("`]`");
      }
      NARU_TRY_VOID(advance());
    }
    const std::optional<Type> type = types_(node->field);
    if (!type) {
      return at(column,
                fmt::format("there is no field `{}{}`", node->field.name, node->field.key ? "[...]" : ""));
    }
    node->type = *type;
    return node;
  }

  Result<NodePtr> parse_call(const Function& function) {
    auto node = std::make_unique<Node>();
    node->kind = function.kind;
    do {
      NARU_TRY_VOID(advance());
      const std::size_t column = token_.column;
      NARU_TRY(NodePtr part, parse_operand());
      if (function.kind == Kind::kExists ? part->kind != Kind::kField
                                         : part->type != Type::kText && part->type != Type::kAny) {
        return at(column, fmt::format("{} takes {} here", function.name,
                                      function.kind == Kind::kExists ? "a field" : "text"));
      }
      node->parts.push_back(std::move(part));
    } while (is(",") && node->parts.size() < function.parts);
    if (!is(")") || node->parts.size() < function.parts) {
      return expected(node->parts.size() < function.parts ? "`,` and another operand" : "`)`");
    }
    NARU_TRY_VOID(advance());
    return node;
  }

  const std::string_view text_;
  const FieldTypes& types_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  Token token_;
};

}  // namespace

Result<std::unique_ptr<const Node>> parse(std::string_view text, const FieldTypes& types) {
  NARU_TRY(NodePtr root, Parser(text, types).run());
  return std::unique_ptr<const Node>(std::move(root));
}

}  // namespace naru::expr
