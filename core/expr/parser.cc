#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include "core/expr/node.h"

namespace naru::expr {
namespace {

using Node = Expression::Node;
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
  Type type;
};
constexpr std::array<Function, 8> kFunctions = {{
    {"contains", Kind::kContains, 2, Type::kBool},
    {"starts_with", Kind::kStartsWith, 2, Type::kBool},
    {"ends_with", Kind::kEndsWith, 2, Type::kBool},
    {"iequals", Kind::kIEquals, 2, Type::kBool},
    {"matches", Kind::kMatches, 2, Type::kBool},
    {"exists", Kind::kExists, 1, Type::kBool},
    {"length", Kind::kLength, 1, Type::kNumber},
    {"number", Kind::kNumber, 1, Type::kNumber},
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
  Parser(std::string_view text, const Vocabulary* vocabulary) : text_(text), vocabulary_(vocabulary) {}

  Result<NodePtr> run(bool condition) {
    NARU_TRY_VOID(begin());
    NARU_TRY(NodePtr root, parse_or());
    if (token_.kind != Token::Kind::kEnd) {
      return expected("an operator or the end");
    }
    if (condition) {
      NARU_TRY_VOID(check_condition(*root, 1));
    }
    return root;
  }

  Result<Field> run_field() {
    NARU_TRY_VOID(begin());
    if (token_.kind != Token::Kind::kName) {
      return expected("the name of a field");
    }
    NARU_TRY(Field field, parse_field());
    if (token_.kind != Token::Kind::kEnd) {
      return expected("the end");
    }
    return field;
  }

 private:
  Result<void> begin() {
    if (text_.size() > kTextBytesMax) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("column {}: the expression has {} bytes, at most {} are read",
                              kTextBytesMax + 1, text_.size(), kTextBytesMax));
    }
    return advance();
  }

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
    } else if (is_digit(first)) {
      token_.kind = Token::Kind::kNumber;
      ++at_;
      // With the sign of an exponent; from_chars judges the rest.
      while (at_ < text_.size() && (is_name(text_[at_]) || text_[at_] == '.' ||
                                    (text_[at_] == '-' && (text_[at_ - 1] | 0x20) == 'e'))) {
        ++at_;
      }
    } else if (is_name(first) || first == '@') {
      token_.kind = Token::Kind::kName;
      ++at_;
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
        default:
          return at(at_, R"(a backslash is followed by one of " ' \ n t; write \\ for one that stays)");
      }
    }
    return at(token_.column, fmt::format("the text that begins here has no closing {}", quote));
  }

  // Counts how deep parentheses, `not` and `-` stand inside each other, for as long as it lives.
  class Depth {
   public:
    explicit Depth(std::size_t& depth) : depth_(depth) { ++depth_; }
    ~Depth() { --depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    bool over() const { return depth_ > kDepthMax; }

   private:
    std::size_t& depth_;
  };
  std::unexpected<Error> too_deep() const {
    return at(token_.column, fmt::format("more than {} parentheses and `not` inside each other", kDepthMax));
  }

  Result<NodePtr> chain(Kind kind, std::string_view word, std::string_view sign,
                        Result<NodePtr> (Parser::*next)()) {
    const std::size_t column = token_.column;
    NARU_TRY(NodePtr first, (this->*next)());
    if (!is(word) && !is(sign)) {
      return first;
    }
    NARU_TRY_VOID(check_condition(*first, column));
    NodePtr node = make(kind, Type::kBool);
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
    const Depth depth(depth_);
    if (depth.over()) {
      return too_deep();
    }
    return chain(Kind::kOr, "or", "||", &Parser::parse_and);
  }
  Result<NodePtr> parse_and() { return chain(Kind::kAnd, "and", "&&", &Parser::parse_not); }

  Result<NodePtr> parse_not() {
    if (!is("not") && !is("!")) {
      return parse_comparison();
    }
    const Depth depth(depth_);
    if (depth.over()) {
      return too_deep();
    }
    NARU_TRY_VOID(advance());
    const std::size_t at_part = token_.column;
    NodePtr node = make(Kind::kNot, Type::kBool);
    NARU_TRY(NodePtr part, parse_not());
    NARU_TRY_VOID(check_condition(*part, at_part));
    node->parts.push_back(std::move(part));
    return node;
  }

  Result<void> check_condition(const Node& node, std::size_t column) const {
    if (node.type != Type::kBool && node.type != Type::kAny) {
      return at(column, fmt::format("a condition is expected here, and this is {}: compare it with something",
                                    to_string(node.type)));
    }
    return {};
  }

  Result<NodePtr> parse_comparison() {
    NARU_TRY(NodePtr left, parse_sum());
    if (is("in")) {
      return parse_in(std::move(left));
    }
    for (const auto& [sign, kind] : kComparisons) {
      if (token_.kind != Token::Kind::kSign || token_.raw != sign) {
        continue;
      }
      const std::size_t column = token_.column;
      NARU_TRY_VOID(advance());
      NARU_TRY(NodePtr right, parse_sum());
      NARU_TRY_VOID(check_comparable(left->type, right->type, sign, column));
      return joined(kind, Type::kBool, std::move(left), std::move(right));
    }
    return left;
  }

  Result<void> check_comparable(Type left, Type right, std::string_view sign, std::size_t column) const {
    if (left != right && left != Type::kAny && right != Type::kAny) {
      return at(column, fmt::format("`{}` compares {} with {}", sign, to_string(left), to_string(right)));
    }
    return {};
  }

  Result<NodePtr> parse_in(NodePtr left) {
    NARU_TRY_VOID(advance());
    if (!is("(")) {
      return expected("`(` and the values");
    }
    NodePtr node = make(Kind::kIn, Type::kBool);
    node->parts.push_back(std::move(left));
    do {
      NARU_TRY_VOID(advance());
      const std::size_t column = token_.column;
      NARU_TRY(NodePtr value, parse_factor());
      if (value->kind != Kind::kLiteral) {
        return at(column, "the values of `in` are texts, numbers, true or false");
      }
      NARU_TRY_VOID(check_comparable(node->parts[0]->type, value->type, "in", column));
      node->parts.push_back(std::move(value));
    } while (is(","));
    if (!is(")")) {
      return expected("`,` or `)`");
    }
    NARU_TRY_VOID(advance());
    return node;
  }

  Result<NodePtr> arithmetic(std::span<const std::pair<std::string_view, Kind>> signs,
                             Result<NodePtr> (Parser::*next)()) {
    const std::size_t column = token_.column;
    NARU_TRY(NodePtr left, (this->*next)());
    while (token_.kind == Token::Kind::kSign) {
      const auto sign = std::ranges::find(signs, token_.raw, [](const auto& one) { return one.first; });
      if (sign == signs.end()) {
        break;
      }
      NARU_TRY_VOID(check_number(*left, column));
      NARU_TRY_VOID(advance());
      const std::size_t at_right = token_.column;
      NARU_TRY(NodePtr right, (this->*next)());
      NARU_TRY_VOID(check_number(*right, at_right));
      left = joined(sign->second, Type::kNumber, std::move(left), std::move(right));
    }
    return left;
  }
  Result<NodePtr> parse_sum() {
    constexpr std::array<std::pair<std::string_view, Kind>, 2> kSigns = {
        {{"+", Kind::kAdd}, {"-", Kind::kSubtract}}};
    return arithmetic(kSigns, &Parser::parse_product);
  }
  Result<NodePtr> parse_product() {
    constexpr std::array<std::pair<std::string_view, Kind>, 3> kSigns = {
        {{"*", Kind::kMultiply}, {"/", Kind::kDivide}, {"%", Kind::kRemainder}}};
    return arithmetic(kSigns, &Parser::parse_factor);
  }

  Result<void> check_number(const Node& node, std::size_t column) const {
    if (node.type != Type::kNumber && node.type != Type::kAny) {
      return at(column, fmt::format("a number is expected here, and this is {}", to_string(node.type)));
    }
    return {};
  }

  Result<NodePtr> parse_factor() {
    switch (token_.kind) {
      case Token::Kind::kText: {
        NodePtr node = make(Kind::kLiteral, Type::kText);
        node->text = std::move(token_.text);
        node->literal = Value(std::string_view(node->text));
        NARU_TRY_VOID(advance());
        return node;
      }
      case Token::Kind::kNumber: return parse_number();
      case Token::Kind::kName:
        if (is("true") || is("false")) {
          return literal(Type::kBool, Value(is("true")));
        }
        if (!is("and") && !is("or") && !is("not") && !is("in")) {
          return parse_named();
        }
        break;
      case Token::Kind::kSign:
        if (is("-")) {
          return parse_negative();
        }
        if (is("(")) {
          return parse_parentheses();
        }
        break;
      case Token::Kind::kEnd: break;
    }
    return expected("a field, a text in quotes, a number, true or false");
  }

  Result<NodePtr> parse_parentheses() {
    NARU_TRY_VOID(advance());
    NARU_TRY(NodePtr node, parse_or());
    if (!is(")")) {
      return expected("`)` or an operator");
    }
    NARU_TRY_VOID(advance());
    return node;
  }

  Result<NodePtr> parse_negative() {
    const Depth depth(depth_);
    if (depth.over()) {
      return too_deep();
    }
    NARU_TRY_VOID(advance());
    const std::size_t column = token_.column;
    NARU_TRY(NodePtr of, parse_factor());
    NARU_TRY_VOID(check_number(*of, column));
    if (of->kind == Kind::kLiteral) {
      of->literal =
          of->literal.kind == Value::Kind::kInt ? Value(-of->literal.integer) : Value(-of->literal.real);
      return of;
    }
    NodePtr node = make(Kind::kNegate, Type::kNumber);
    node->parts.push_back(std::move(of));
    return node;
  }

  Result<NodePtr> literal(Type type, Value value) {
    NodePtr node = make(Kind::kLiteral, type);
    node->literal = value;
    NARU_TRY_VOID(advance());
    return node;
  }

  Result<NodePtr> parse_number() {
    const char* const end = token_.raw.data() + token_.raw.size();
    std::int64_t integer = 0;
    if (const auto read = std::from_chars(token_.raw.data(), end, integer);
        read.ec == std::errc() && read.ptr == end) {
      return literal(Type::kNumber, Value(integer));
    }
    double real = 0;
    if (const auto read = std::from_chars(token_.raw.data(), end, real);
        read.ec != std::errc() || read.ptr != end) {
      return at(token_.column, fmt::format("`{}` is no number", token_.raw));
    }
    return literal(Type::kNumber, Value(real));
  }

  // From the name that the token is.
  Result<Field> parse_field() {
    Field field;
    field.name = token_.raw;
    NARU_TRY_VOID(advance());
    while (is(".")) {
      NARU_TRY_VOID(advance());
      if (token_.kind != Token::Kind::kName && token_.kind != Token::Kind::kNumber) {
        return expected("the next part of the field's name");
      }
      field.name += '.';
      field.name += token_.raw;
      NARU_TRY_VOID(advance());
    }
    if (is("[")) {
      NARU_TRY_VOID(advance());
      if (token_.kind != Token::Kind::kText) {
        return expected("a key in quotes");
      }
      field.key = std::move(token_.text);
      NARU_TRY_VOID(advance());
      if (!is("]")) {
        return expected("`]`");
      }
      NARU_TRY_VOID(advance());
    }
    return field;
  }

  Result<NodePtr> parse_named() {
    const std::size_t column = token_.column;
    const std::string_view name = token_.raw;
    NARU_TRY(Field field, parse_field());
    if (field.name == name && !field.key && is("(")) {
      const auto function = std::ranges::find(kFunctions, name, &Function::name);
      if (function != kFunctions.end()) {
        return parse_call(*function);
      }
      std::string names;
      for (const Function& one : kFunctions) {
        names += fmt::format("{}{}", names.empty() ? "" : ", ", one.name);
      }
      return at(column, fmt::format("there is no function `{}`; there are {}", name, names));
    }
    const std::optional<KnownField> known = (*vocabulary_)(field);
    if (!known) {
      return at(column, fmt::format("there is no field `{}{}`", field.name, field.key ? "[...]" : ""));
    }
    NodePtr node = make(Kind::kField, known->type);
    node->ref = known->ref;
    return node;
  }

  Result<NodePtr> parse_call(const Function& function) {
    NodePtr node = make(function.kind, function.type);
    do {
      NARU_TRY_VOID(advance());
      const std::size_t column = token_.column;
      NARU_TRY(NodePtr part, parse_sum());
      NARU_TRY_VOID(check_argument(function, *node, *part, column));
      node->parts.push_back(std::move(part));
    } while (is(",") && node->parts.size() < function.parts);
    if (!is(")") || node->parts.size() < function.parts) {
      return expected(node->parts.size() < function.parts ? "`,` and another operand" : "`)`");
    }
    NARU_TRY_VOID(advance());
    return node;
  }

  // Of one more argument; compiles the pattern of matches().
  Result<void> check_argument(const Function& function, Node& call, const Node& part, std::size_t column) {
    if (function.kind == Kind::kExists) {
      return part.kind == Kind::kField ? Result<void>()
                                       : Result<void>(at(column, "exists takes a field here"));
    }
    if (part.type != Type::kText && part.type != Type::kAny) {
      return at(column, fmt::format("{} takes text here", function.name));
    }
    if (function.kind == Kind::kMatches && call.parts.size() == 1) {
      if (part.kind != Kind::kLiteral) {
        return at(column, "the pattern of matches is a text in quotes");
      }
      re2::RE2::Options options(re2::RE2::Quiet);
      options.set_max_mem(kRegexBytesMax);
      auto pattern = std::make_unique<re2::RE2>(part.text, options);
      if (!pattern->ok()) {
        return at(column, fmt::format("the pattern is not one that RE2 takes: {}", pattern->error()));
      }
      call.pattern = std::move(pattern);
    }
    return {};
  }

  static NodePtr make(Kind kind, Type type) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->type = type;
    return node;
  }
  static NodePtr joined(Kind kind, Type type, NodePtr left, NodePtr right) {
    NodePtr node = make(kind, type);
    node->parts.push_back(std::move(left));
    node->parts.push_back(std::move(right));
    return node;
  }

  const std::string_view text_;
  const Vocabulary* const vocabulary_;  // none for a field alone
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  Token token_;
};

}  // namespace

Result<std::unique_ptr<const Node>> parse(std::string_view text, const Vocabulary& vocabulary,
                                          bool condition) {
  NARU_TRY(NodePtr root, Parser(text, &vocabulary).run(condition));
  return std::unique_ptr<const Node>(std::move(root));
}

Result<Field> parse_field(std::string_view text) {
  return Parser(text, nullptr).run_field();
}

}  // namespace naru::expr
