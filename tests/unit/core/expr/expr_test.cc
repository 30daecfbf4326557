#include "core/expr/expr.h"

#include <gtest/gtest.h>

#include <map>

namespace naru::expr {
namespace {

std::optional<Type> types(const Field& field) {
  if (field.key) {
    return field.name == "attributes" ? std::optional(Type::kAny) : std::nullopt;
  }
  static const std::map<std::string, Type> kTypes = {
      {"dl.kind", Type::kText}, {"dl.status", Type::kNumber}, {"dl.late", Type::kBool}};
  const auto at = kTypes.find(field.name);
  return at == kTypes.end() ? std::nullopt : std::optional(at->second);
}

Value values(const Field& field) {
  if (field.key) {
    return *field.key == "http.route" ? Value("/pay") : *field.key == "n" ? Value(1.5) : Value();
  }
  return field.name == "dl.kind"     ? Value("logs")
         : field.name == "dl.status" ? Value(std::int64_t{400})
                                     : Value(true);
}

bool holds(std::string_view text) {
  const auto condition = Condition::compile(text, types);
  EXPECT_TRUE(condition.has_value()) << text << ": " << condition.error().message();
  return condition && condition->matches(values);
}

std::string refusal(std::string_view text) {
  const auto condition = Condition::compile(text, types);
  EXPECT_FALSE(condition.has_value()) << text;
  return condition ? "" : condition.error().message();
}

TEST(Condition, ComparesTextNumbersAndBooleans) {
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

TEST(Condition, AndBindsCloserThanOr) {
  EXPECT_TRUE(holds("true or true and false"));
  EXPECT_FALSE(holds("(true or true) and false"));
  EXPECT_TRUE(holds("not false and true"));
  EXPECT_FALSE(holds("not (false or true)"));
  EXPECT_TRUE(holds("false || !false && dl.status==400"));
}

TEST(Condition, AMissingFieldOrAnotherTypeMakesItFalseAndUnequal) {
  EXPECT_FALSE(holds("attributes['gone'] == 'x'"));
  EXPECT_FALSE(holds("attributes['gone'] < 1"));
  EXPECT_TRUE(holds("attributes['gone'] != 'x'"));
  EXPECT_FALSE(holds("attributes['n'] == '1.5'"));
  EXPECT_FALSE(holds("attributes['n']"));
  EXPECT_FALSE(holds("exists(attributes['gone'])"));
  EXPECT_TRUE(holds("exists(attributes['n'])"));
  EXPECT_FALSE(holds("contains(attributes['gone'], '')"));
}

TEST(Condition, FunctionsOfText) {
  EXPECT_TRUE(holds("contains(dl.kind, 'og') and starts_with(dl.kind, 'lo') and ends_with(dl.kind, 's')"));
  EXPECT_FALSE(holds("contains(dl.kind, 'x') or starts_with(dl.kind, 'og') or ends_with(dl.kind, 'og')"));
  EXPECT_TRUE(holds(R"(contains("a\"b\\\n", '"b\\'))"));
}

TEST(Condition, SaysWhereAndWhatIsWrong) {
  for (const auto& [text, words] : std::map<std::string, std::string>{
           {"",
            "column 1: a field, a text in quotes, a number, true or false is expected here, and not the end"},
           {"dl.kind ==", "column 11: a field"},
           {"dl.kind = 'x'", "column 9: `and`, `or` or the end is expected here, and not `=`"},
           {"dl.kin == 'x'", "column 1: there is no field `dl.kin`"},
           {"dl.kind['x'] == 'x'", "column 1: there is no field `dl.kind[...]`"},
           {"dl.status == '400'", "column 11: `==` compares a number with text"},
           {"dl.kind and true", "column 1: a condition is expected here, and this is text"},
           {"true and 3", "column 10: a condition is expected here, and this is a number"},
           {"dl.kind", "column 1: a condition is expected"},
           {"(true", "column 6: `)`, `and` or `or` is expected here, and not the end"},
           {"true)", "column 5: `and`, `or` or the end"},
           {"'x", "column 1: the text that begins here has no closing '"},
           {R"(dl.kind == "\x")", "a backslash is followed by"},
           {"dl.status == 12x", "column 14: `12x` is no number"},
           {"size(dl.kind)", "column 1: there is no function `size`"},
           {"contains(dl.kind)", "column 17: `,` and another operand is expected"},
           {"contains(dl.kind, 'a', 'b')", "column 22: `)` is expected"},
           {"contains(dl.status, 'a')", "column 10: contains takes text here"},
           {"exists('a')", "column 8: exists takes a field here"},
           {"dl. == 1", "column 5: the next part of the field's name"},
           {"attributes[n] == 1", "column 12: a key in quotes"},
           {"and", "column 1: a field"}}) {
    EXPECT_TRUE(refusal(text).contains(words)) << text << " -> " << refusal(text);
  }
}

TEST(Condition, IsBounded) {
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
TEST(Condition, SurvivesGarbage) {
  const std::string text =
      R"(not (dl.kind == "a\"b" or contains(attributes['n'], 'x')) and dl.status >= -4.5e-1)";
  for (std::size_t i = 0; i <= text.size(); ++i) {
    (void)Condition::compile(text.substr(0, i), types);
    for (const char c : {'\0', '(', ')', '"', '\'', '\\', '[', '.', ',', '=', '-', '9', 'a', '\xff'}) {
      std::string changed = text;
      changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), c);
      if (const auto condition = Condition::compile(changed, types)) {
        (void)condition->matches(values);
      } else {
        EXPECT_TRUE(condition.error().message().starts_with("column ")) << changed;
      }
    }
  }
}

}  // namespace
}  // namespace naru::expr
