// The query language: OpenSearch's query DSL and query_string as a tree. Pure.
//
// Everything that is not known is refused by name (parsing_exception), never skipped. Scores do not exist, so
// `filter` and `must` are one, and optional `should` clauses beside them change nothing.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/dates.h"
#include "store/outcome.h"

namespace naru::store {

struct Query {
  enum class Kind : std::uint8_t {
    kAll,
    kNone,
    kTerms,   // field holds one of values, exactly
    kMatch,   // field holds any word of values[0], or every one with all_words
    kPhrase,  // the words of values[0] in a row
    kPrefix,  // a term of the field begins with values[0]
    kRange,
    kExists,
    kIds,
    kBool,
  };
  Kind kind = Kind::kAll;
  std::string field;  // empty: the default fields (query_string without a field)
  std::vector<std::string> values;
  bool all_words = false;
  bool lenient = false;  // a value that the field's type cannot hold matches nothing instead of being refused

  std::optional<std::string> low, high;  // kRange
  bool low_open = false, high_open = false;
  DateFormat format = DateFormat::kDefault;

  std::vector<Query> must, should, must_not;  // kBool
  int minimum_should_match = -1;              // -1: 1 without must, else 0
};

inline constexpr std::size_t kClausesMax = 1024;  // as indices.query.bool.max_clause_count

// A query object: {"term":{...}}.
Outcome<Query> parse_query(simdjson::dom::element query);
// Lucene's syntax: field:value, "phrases", AND OR NOT + - && || !, groups, value*, [a TO b], {a TO b}, >=5,
// _exists_:field. `fields` as given (empty: the default ones). Fuzzy, boost, regular expressions and other
// wildcards are refused.
Outcome<Query> parse_query_string(std::string_view text, const std::vector<std::string>& fields,
                                  bool default_and);

// The text of a scalar as a query means it ("200", "true", "x"); nullopt for objects, arrays and null.
std::optional<std::string> scalar_text(simdjson::dom::element value);

}  // namespace naru::store
