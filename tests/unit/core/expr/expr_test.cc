#include "core/expr/expr.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace naru::expr {
namespace {

// Numbers of the fields are places in kFields.
struct Known {
  std::string_view text;
  Type type;
  Value value;
};
const std::vector<Known>& fields() {
  static const std::vector<Known> kFields = {
      {"dl.kind", Type::kText, Value(std::string_view("logs"))},
      {"dl.status", Type::kNumber, Value(std::int64_t{400})},
      {"dl.late", Type::kBool, Value(true)},
      {"attributes[\"http.route\"]", Type::kAny, Value(std::string_view("/pay"))},
      {"attributes[\"n\"]", Type::kAny, Value(1.5)},
      {"attributes[\"text\"]", Type::kAny, Value(std::string_view("-12"))},
      {"attributes[\"big\"]", Type::kAny, Value(INT64_MIN)},
      {"attributes[\"gone\"]", Type::kAny, Value()},
  };
  return kFields;
}

std::optional<KnownField> vocabulary(const Field& field) {
  const auto at = std::ranges::find(fields(), field.text(), &Known::text);
  return at == fields().end()
             ? std::nullopt
             : std::optional(KnownField{at->type, static_cast<std::uint32_t>(at - fields().begin())});
}

class TestRecord : public Record {
 public:
  Value read(std::uint32_t ref) const override { return fields()[ref].value; }
};

bool holds(std::string_view text) {
  const auto condition = Expression::compile_condition(text, vocabulary);
  EXPECT_TRUE(condition.has_value()) << text << ": " << condition.error().message();
  return condition && condition->matches(TestRecord());
}

Value value(std::string_view text) {
  const auto expression = Expression::compile(text, vocabulary);
  EXPECT_TRUE(expression.has_value()) << text << ": " << expression.error().message();
  return expression ? expression->evaluate(TestRecord()) : Value();
}

std::string refusal(std::string_view text) {
  const auto condition = Expression::compile_condition(text, vocabulary);
  EXPECT_FALSE(condition.has_value()) << text;
  return condition ? "" : condition.error().message();
}

TEST(Expression, ComparesTextNumbersAndBooleans) {
  for (const char* text :
       {"dl.kind == \"logs\"", "dl.kind == 'logs'", "dl.kind != 'spans'", "dl.status == 400",
        "dl.status >= 4e2", "dl.status < 400.5", "-1 < dl.status", "dl.late", "dl.late == true", "true",
        "attributes['n'] > 1", "attributes[\"http.route\"] == '/pay'", "dl.kind < 'm'"}) {
    EXPECT_TRUE(holds(text)) << text;
  }
  for (const char* text :
       {"dl.kind == 'spans'", "dl.status != 400", "dl.status > 400", "false", "not dl.late"}) {
    EXPECT_FALSE(holds(text)) << text;
  }
}

TEST(Expression, AndBindsCloserThanOr) {
  EXPECT_TRUE(holds("true or true and false"));
  EXPECT_FALSE(holds("(true or true) and false"));
  EXPECT_TRUE(holds("not false and true"));
  EXPECT_FALSE(holds("not (false or true)"));
  EXPECT_TRUE(holds("false || !false && dl.status==400"));
}

TEST(Expression, AMissingFieldOrAnotherTypeMakesItFalseAndUnequal) {
  EXPECT_FALSE(holds("attributes['gone'] == 'x'"));
  EXPECT_FALSE(holds("attributes['gone'] < 1"));
  EXPECT_TRUE(holds("attributes['gone'] != 'x'"));
  EXPECT_FALSE(holds("attributes['n'] == '1.5'"));
  EXPECT_FALSE(holds("attributes['n']"));
  EXPECT_FALSE(holds("exists(attributes['gone'])"));
  EXPECT_TRUE(holds("exists(attributes['n'])"));
  EXPECT_FALSE(holds("contains(attributes['gone'], '')"));
}

TEST(Expression, FunctionsOfText) {
  EXPECT_TRUE(holds("contains(dl.kind, 'og') and starts_with(dl.kind, 'lo') and ends_with(dl.kind, 's')"));
  EXPECT_FALSE(holds("contains(dl.kind, 'x') or starts_with(dl.kind, 'og') or ends_with(dl.kind, 'og')"));
  EXPECT_TRUE(holds(R"(contains("a\"b\\\n", '"b\\'))"));
}

TEST(Expression, MatchesPatternsAndIgnoresCase) {
  EXPECT_TRUE(holds("matches(dl.kind, '^l.gs$') and matches(dl.kind, 'og') and iequals(dl.kind, 'LoGs')"));
  EXPECT_FALSE(holds("matches(dl.kind, '^og') or matches(attributes['n'], '.') or iequals(dl.kind, 'log')"));
}

TEST(Expression, FindsAValueAmongOthers) {
  EXPECT_TRUE(holds("dl.kind in ('spans', 'logs') and dl.status in (1, -2, 400.0) and dl.late in (true)"));
  EXPECT_TRUE(holds("attributes['n'] in ('1.5', 1.5)"));
  EXPECT_FALSE(
      holds("dl.kind in ('LOGS') or attributes['gone'] in ('', 0, false) or not dl.status in (400)"));
}

TEST(Expression, Calculates) {
  EXPECT_EQ(value("1 + 2 * 3 - 4").integer, 3);
  EXPECT_EQ(value("(1 + 2) * 3 % 4").integer, 1);
  EXPECT_EQ(value("-dl.status - -1").integer, -399);
  EXPECT_EQ(value("dl.status / 1000").real, 0.4);
  EXPECT_EQ(value("attributes['n'] * 2").real, 3);
  EXPECT_EQ(value("9223372036854775807 + 1").real, 9223372036854775808.0);
  EXPECT_EQ(value("length(dl.kind) + number(attributes['text'])").integer, -8);
  EXPECT_EQ(value("-attributes['big']").real, 9223372036854775808.0);
  EXPECT_EQ(value("attributes['big'] % -1").integer, 0);
  for (const char* text : {"1 / 0", "1 % 0", "1.5 % 1", "attributes['gone'] + 1", "number(dl.kind)",
                           "attributes['http.route'] * 2", "length(attributes['n'])"}) {
    EXPECT_TRUE(value(text).missing()) << text;
  }
  EXPECT_FALSE(holds("1 / 0 < 1"));
  EXPECT_TRUE(holds("1 / 0 != 1 and dl.status-400 == 0"));
}

TEST(Expression, TellsItsTypeAndFields) {
  const auto expression = Expression::compile("dl.status + dl.status * length(dl.kind)", vocabulary);
  ASSERT_TRUE(expression.has_value());
  EXPECT_EQ(expression->type(), Type::kNumber);
  EXPECT_EQ(expression->refs(), (std::vector<std::uint32_t>{1, 0}));
}

TEST(Expression, ReadsAFieldAlone) {
  EXPECT_EQ(parse_field("body")->text(), "body");
  EXPECT_EQ(parse_field("attributes.http.status")->name, "attributes.http.status");
  EXPECT_EQ(parse_field("attributes[\"a b\"]")->key, "a b");
  for (const char* text : {"", "a b", "'a'", "a.", "a[b]", "a == 1", "f(a)"}) {
    EXPECT_FALSE(parse_field(text).has_value()) << text;
  }
}

TEST(Expression, SaysWhereAndWhatIsWrong) {
  for (const auto& [text, words] : std::map<std::string, std::string>{
           {"",
            "column 1: a field, a text in quotes, a number, true or false is expected here, and not the end"},
           {"dl.kind ==", "column 11: a field"},
           {"dl.kind = 'x'", "column 9: an operator or the end is expected here, and not `=`"},
           {"dl.kin == 'x'", "column 1: there is no field `dl.kin`"},
           {"dl.kind['x'] == 'x'", "column 1: there is no field `dl.kind[...]`"},
           {"dl.status == '400'", "column 11: `==` compares a number with text"},
           {"dl.kind and true", "column 1: a condition is expected here, and this is text"},
           {"true and 3", "column 10: a condition is expected here, and this is a number"},
           {"dl.kind", "column 1: a condition is expected"},
           {"(true", "column 6: `)` or an operator is expected here, and not the end"},
           {"true)", "column 5: an operator or the end"},
           {"'x", "column 1: the text that begins here has no closing '"},
           {R"(dl.kind == "\x")", "a backslash is followed by"},
           {"dl.status == 12x", "column 14: `12x` is no number"},
           {"size(dl.kind)", "column 1: there is no function `size`"},
           {"contains(dl.kind)", "column 17: `,` and another operand is expected"},
           {"contains(dl.kind, 'a', 'b')", "column 22: `)` is expected"},
           {"contains(dl.status, 'a')", "column 10: contains takes text here"},
           {"exists('a')", "column 8: exists takes a field here"},
           {"dl.status in ('a')", "column 15: `in` compares a number with text"},
           {"dl.status in (dl.status)", "column 15: the values of `in` are texts"},
           {"dl.status in 4", "column 14: `(` and the values"},
           {"dl.status in (4", "column 16: `,` or `)`"},
           {"matches(dl.kind, dl.kind)", "column 18: the pattern of matches is a text"},
           {"matches(dl.kind, '(')", "column 18: the pattern is not one that RE2 takes: missing )"},
           {"dl.kind + 1 == 2", "column 1: a number is expected here, and this is text"},
           {"1 + 'a' == 2", "column 5: a number is expected here, and this is text"},
           {"1 - -dl.kind == 2", "column 6: a number is expected here"},
           {"dl. == 1", "column 5: the next part of the field's name"},
           {"attributes[n] == 1", "column 12: a key in quotes"},
           {"and", "column 1: a field"}}) {
    EXPECT_TRUE(refusal(text).contains(words)) << text << " -> " << refusal(text);
  }
}

TEST(Expression, IsBounded) {
  EXPECT_TRUE(refusal(std::string(kTextBytesMax + 1, ' ')).contains("at most 16384"));
  EXPECT_TRUE(refusal(std::string(1'000, '(')).contains("more than 64"));
  std::string nots;
  for (int i = 0; i < 1'000; ++i) {
    nots += "not ";
  }
  EXPECT_TRUE(refusal(nots + "true").contains("more than 64"));
  EXPECT_TRUE(holds(std::string(60, '(') + "true" + std::string(60, ')')));
}

// Whatever is cut or changed, it is refused with a column or compiled; nothing else happens.
TEST(Expression, SurvivesGarbage) {
  const std::string text =
      R"(not (dl.kind == "a\"b" or matches(attributes['n'], 'x+')) and dl.status * 2 in (-4.5e-1, 3))";
  for (std::size_t i = 0; i <= text.size(); ++i) {
    (void)Expression::compile_condition(text.substr(0, i), vocabulary);
    for (const char c : {'\0', '(', ')', '"', '\'', '\\', '[', '.', ',', '=', '-', '9', 'a', '\xff'}) {
      std::string changed = text;
      changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), c);
      if (const auto condition = Expression::compile_condition(changed, vocabulary)) {
        (void)condition->matches(TestRecord());
      } else {
        EXPECT_TRUE(condition.error().message().starts_with("column ")) << changed;
      }
    }
  }
}

}  // namespace
}  // namespace naru::expr
