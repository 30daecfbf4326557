#include "store/query.h"

#include <fmt/format.h>

#include <algorithm>

namespace naru::store {
namespace {

namespace dom = simdjson::dom;

constexpr int kDepthMax = 30;

std::unexpected<ApiError> unsupported(std::string_view query, std::string_view key) {
  return unparsable(fmt::format("[{}] query does not support [{}]", query, key));
}

std::optional<bool> flag_of(dom::element value) {
  bool flag = false;
  if (value.get(flag) == simdjson::SUCCESS) {
    return flag;
  }
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS && (text == "true" || text == "false")) {
    return text == "true";
  }
  return std::nullopt;
}

// The one member {field: body} of a leaf query.
Outcome<dom::key_value_pair> only_field(std::string_view query, dom::object body) {
  if (body.size() != 1) {
    return unparsable(fmt::format("[{}] query doesn't support multiple fields, or names none", query));
  }
  return *body.begin();
}

Outcome<Query> parse_at(dom::element element, int depth);

Outcome<std::vector<Query>> parse_clauses(std::string_view name, dom::element value, int depth) {
  std::vector<Query> clauses;
  dom::array list;
  if (value.get(list) == simdjson::SUCCESS) {
    for (dom::element clause : list) {
      NARU_TRY(Query query, parse_at(clause, depth));
      clauses.push_back(std::move(query));
    }
  } else if (value.is_object()) {
    NARU_TRY(Query query, parse_at(value, depth));
    clauses.push_back(std::move(query));
  } else {
    return unparsable(fmt::format("[bool] query: [{}] must be a query or a list of queries", name));
  }
  if (clauses.size() > kClausesMax) {
    return refuse(400, "too_many_clauses", fmt::format("maxClauseCount is set to {}", kClausesMax));
  }
  return clauses;
}

Outcome<Query> parse_bool(dom::object body, int depth) {
  Query query;
  query.kind = Query::Kind::kBool;
  for (auto [key, value] : body) {
    if (key == "must" || key == "filter") {
      NARU_TRY(std::vector<Query> clauses, parse_clauses(key, value, depth + 1));
      std::ranges::move(clauses, std::back_inserter(query.must));
    } else if (key == "should") {
      NARU_TRY(query.should, parse_clauses(key, value, depth + 1));
    } else if (key == "must_not") {
      NARU_TRY(query.must_not, parse_clauses(key, value, depth + 1));
    } else if (key == "minimum_should_match") {
      std::int64_t count = 0;
      std::string_view text;
      if (value.get(text) == simdjson::SUCCESS && !text.empty() && text.size() < 5 &&
          std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) {
        count = std::stol(std::string(text));
      } else if (value.get(count) != simdjson::SUCCESS || count < 0 ||
                 count > static_cast<std::int64_t>(kClausesMax)) {
        return unparsable(
            fmt::format("[bool] query: minimum_should_match [{}] is not supported, only a number from 0",
                        simdjson::minify(value)));
      }
      query.minimum_should_match = static_cast<int>(count);
    } else if (double boost = 0; (key != "boost" || value.get(boost) != simdjson::SUCCESS) &&
                                 (key != "adjust_pure_negative" || !flag_of(value))) {
      return unsupported("bool", key);
    }
  }
  return query;
}

Outcome<Query> parse_range(dom::object body) {
  NARU_TRY(const dom::key_value_pair member, only_field("range", body));
  Query query;
  query.kind = Query::Kind::kRange;
  query.field = member.key;
  dom::object bounds;
  if (member.value.get(bounds) != simdjson::SUCCESS) {
    return unparsable("[range] query malformed, no start_object after the field");
  }
  for (auto [key, value] : bounds) {
    const bool low = key == "gte" || key == "gt";
    if (low || key == "lte" || key == "lt") {
      auto text = scalar_text(value);
      if (!text && !value.is_null()) {
        return unparsable(
            fmt::format("[range] query: [{}] must be a number, a string or null", std::string_view(key)));
      }
      (low ? query.low : query.high) = std::move(text);
      (low ? query.low_open : query.high_open) = key == "gt" || key == "lt";
      continue;
    }
    std::string_view text;
    double boost = 0;
    if (key == "format" && value.get(text) == simdjson::SUCCESS) {
      const auto format = date_format(text);
      if (!format) {
        return unparsable(fmt::format("[range] query: date format [{}] is not supported", text));
      }
      query.format = *format;
    } else if (!(key == "time_zone" && value.get(text) == simdjson::SUCCESS && parse_zone(text) == 0) &&
               !(key == "boost" && value.get(boost) == simdjson::SUCCESS)) {
      return unsupported("range", key);
    }
  }
  return query;
}

// {field: value} or {field: {"<name>": value, ...}}
Outcome<Query> parse_leaf(std::string_view name, dom::object body) {
  NARU_TRY(const dom::key_value_pair member, only_field(name, body));
  Query query;
  query.field = member.key;
  const bool term = name == "term" || name == "prefix";
  query.kind = name == "term"           ? Query::Kind::kTerms
               : name == "prefix"       ? Query::Kind::kPrefix
               : name == "match_phrase" ? Query::Kind::kPhrase
                                        : Query::Kind::kMatch;
  std::optional<std::string> text = scalar_text(member.value);
  dom::object options;
  if (!text && member.value.get(options) == simdjson::SUCCESS) {
    for (auto [key, value] : options) {
      std::string_view word;
      double boost = 0;
      std::int64_t slop = 0;
      if (key == (term ? "value" : "query")) {
        text = scalar_text(value);
      } else if (name == "match" && key == "operator" && value.get(word) == simdjson::SUCCESS &&
                 (word == "and" || word == "or" || word == "AND" || word == "OR")) {
        query.all_words = word == "and" || word == "AND";
      } else if (name == "match" && key == "lenient" && flag_of(value)) {
        query.lenient = *flag_of(value);
      } else if (!(key == "boost" && value.get(boost) == simdjson::SUCCESS) &&
                 !(name == "match_phrase" && key == "slop" && value.get(slop) == simdjson::SUCCESS &&
                   slop == 0)) {
        return unsupported(name, key);
      }
    }
  }
  if (!text) {
    return unparsable(fmt::format("[{}] query: no value for field [{}]", name, query.field));
  }
  query.values.push_back(std::move(*text));
  return query;
}

Outcome<Query> parse_terms(dom::object body) {
  Query query;
  query.kind = Query::Kind::kTerms;
  bool named = false;
  for (auto [key, value] : body) {
    dom::array list;
    double boost = 0;
    if (!named && value.get(list) == simdjson::SUCCESS) {
      named = true;
      query.field = key;
      for (dom::element one : list) {
        auto text = scalar_text(one);
        if (!text) {
          return unparsable("[terms] query: a value is neither a string, a number nor a boolean");
        }
        query.values.push_back(std::move(*text));
      }
      if (query.values.size() > 65'536) {
        return illegal(
            "The number of terms used in the Terms Query request has exceeded the allowed maximum of "
            "[65536]");
      }
    } else if (key != "boost" || value.get(boost) != simdjson::SUCCESS) {
      return unsupported("terms", key);
    }
  }
  if (!named) {
    return unparsable("[terms] query requires a field name with a list of values");
  }
  return query;
}

Outcome<std::vector<std::string>> strings_of(std::string_view query, std::string_view key,
                                             dom::element value) {
  std::vector<std::string> out;
  dom::array list;
  if (value.get(list) != simdjson::SUCCESS) {
    return unparsable(fmt::format("[{}] query: [{}] must be a list", query, key));
  }
  for (dom::element one : list) {
    auto text = scalar_text(one);
    if (!text) {
      return unparsable(fmt::format("[{}] query: [{}] must hold strings", query, key));
    }
    out.push_back(std::move(*text));
  }
  return out;
}

Outcome<Query> parse_query_string_body(std::string_view name, dom::object body) {
  std::string text;
  std::vector<std::string> fields;
  bool given = false;
  bool default_and = false;
  bool lenient = false;
  for (auto [key, value] : body) {
    std::string_view word;
    if (key == "query" && value.get(word) == simdjson::SUCCESS) {
      text = word;
      given = true;
    } else if (key == "default_field" && value.get(word) == simdjson::SUCCESS) {
      fields = {std::string(word)};
    } else if (key == "fields") {
      NARU_TRY(fields, strings_of(name, key, value));
    } else if (key == "default_operator" && value.get(word) == simdjson::SUCCESS &&
               (word == "AND" || word == "and" || word == "OR" || word == "or")) {
      default_and = word == "AND" || word == "and";
    } else if (key == "lenient" && flag_of(value)) {
      lenient = *flag_of(value);
    } else if ((key != "analyze_wildcard" && key != "allow_leading_wildcard") || !flag_of(value)) {
      return unsupported(name, key);
    }
  }
  static_cast<void>(lenient);  // values of a wrong type never fail here
  if (!given) {
    return unparsable(fmt::format("[{}] must be provided with a [query]", name));
  }
  std::erase(fields, "*");
  return parse_query_string(text, fields, default_and);
}

Outcome<Query> parse_at(dom::element element, int depth) {
  if (depth > kDepthMax) {
    return unparsable(fmt::format("the query is nested deeper than {}", kDepthMax));
  }
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    return unparsable("a query must be an object");
  }
  if (object.size() != 1) {
    return unparsable(object.size() == 0 ? "query malformed, empty clause found"
                                         : "query malformed, more than one query in one object");
  }
  const dom::key_value_pair member = *object.begin();
  const std::string_view name = member.key;
  dom::object body;
  if (member.value.get(body) != simdjson::SUCCESS) {
    return unparsable(fmt::format("[{}] query malformed, no start_object after query name", name));
  }
  Query query;
  if (name == "bool") {
    return parse_bool(body, depth);
  }
  if (name == "term" || name == "match" || name == "match_phrase" || name == "prefix") {
    return parse_leaf(name, body);
  }
  if (name == "terms") {
    return parse_terms(body);
  }
  if (name == "range") {
    return parse_range(body);
  }
  if (name == "query_string") {
    return parse_query_string_body(name, body);
  }
  if (name == "match_all" || name == "match_none") {
    for (auto [key, value] : body) {
      double boost = 0;
      if (key != "boost" || value.get(boost) != simdjson::SUCCESS) {
        return unsupported(name, key);
      }
    }
    query.kind = name == "match_all" ? Query::Kind::kAll : Query::Kind::kNone;
    return query;
  }
  if (name == "exists") {
    query.kind = Query::Kind::kExists;
    for (auto [key, value] : body) {
      std::string_view field;
      double boost = 0;
      if (key == "field" && value.get(field) == simdjson::SUCCESS) {
        query.field = field;
      } else if (key != "boost" || value.get(boost) != simdjson::SUCCESS) {
        return unsupported(name, key);
      }
    }
    if (query.field.empty()) {
      return unparsable("[exists] must be provided with a [field]");
    }
    return query;
  }
  if (name == "ids") {
    query.kind = Query::Kind::kIds;
    for (auto [key, value] : body) {
      if (key != "values") {
        return unsupported(name, key);
      }
      NARU_TRY(query.values, strings_of(name, key, value));
    }
    return query;
  }
  if (name == "constant_score") {
    for (auto [key, value] : body) {
      double boost = 0;
      if (key != "filter" && (key != "boost" || value.get(boost) != simdjson::SUCCESS)) {
        return unsupported(name, key);
      }
    }
    dom::element filter;
    if (body["filter"].get(filter) != simdjson::SUCCESS) {
      return unparsable("[constant_score] requires a 'filter' element");
    }
    return parse_at(filter, depth + 1);
  }
  return unparsable(fmt::format("unknown query [{}]", name));
}

// Lucene's classic syntax, by recursive descent.
class StringParser {
 public:
  StringParser(std::string_view text, const std::vector<std::string>& fields, bool default_and)
      : text_(text), fields_(fields), default_and_(default_and) {}

  Outcome<Query> parse() {
    NARU_TRY(Query query, clauses(fields_, 0));
    if (at_ < text_.size()) {
      return broken(fmt::format("unexpected [{}]", text_.substr(at_, 10)));
    }
    return query;
  }

 private:
  enum class Word { kAnd, kOr, kNot, kNone };

  std::unexpected<ApiError> broken(std::string_view why) const {
    return refuse(400, "query_shard_exception",
                  fmt::format("Failed to parse query [{}]: {} at position {}", text_, why, at_));
  }
  std::unexpected<ApiError> not_supported(std::string_view what) const {
    return refuse(
        400, "query_shard_exception",
        fmt::format("Failed to parse query [{}]: {} at position {} is not supported by the embedded store",
                    text_, what, at_));
  }
  bool ends() const { return at_ >= text_.size(); }
  char peek() const { return ends() ? '\0' : text_[at_]; }
  void skip_space() {
    while (!ends() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) {
      ++at_;
    }
  }
  bool take(std::string_view token) {
    if (text_.substr(at_).starts_with(token)) {
      at_ += token.size();
      return true;
    }
    return false;
  }
  bool take_word(std::string_view word) {
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with(word) &&
        (rest.size() == word.size() ||
         std::string_view(" \t\n\r()").find(rest[word.size()]) != std::string_view::npos)) {
      at_ += word.size();
      return true;
    }
    return false;
  }

  Outcome<Query> clauses(const std::vector<std::string>& fields, int depth) {
    if (depth > kDepthMax) {
      return broken("nested too deep");
    }
    struct Clause {
      Query query;
      bool required = false;
      bool prohibited = false;
      bool plus = false;
    };
    std::vector<Clause> list;
    for (;;) {
      skip_space();
      if (ends() || peek() == ')') {
        break;
      }
      Word joint = Word::kNone;
      if (take_word("AND") || take("&&")) {
        joint = Word::kAnd;
      } else if (take_word("OR") || take("||")) {
        joint = Word::kOr;
      }
      if (joint != Word::kNone && list.empty()) {
        return broken("an operator without a left side");
      }
      skip_space();
      Clause clause;
      if (take_word("NOT") || take("!") || take("-")) {
        clause.prohibited = true;
      } else if (take("+")) {
        clause.plus = true;
      }
      skip_space();
      if (ends() || peek() == ')') {
        return broken("an operator without a right side");
      }
      NARU_TRY(clause.query, one(fields, depth));
      if (joint == Word::kAnd && !list.back().prohibited) {
        list.back().required = true;
      }
      if (default_and_) {
        if (joint == Word::kOr && !list.back().prohibited && !list.back().plus) {
          list.back().required = false;
        }
        clause.required = !clause.prohibited && (joint != Word::kOr || clause.plus);
      } else {
        clause.required = !clause.prohibited && (clause.plus || joint == Word::kAnd);
      }
      list.push_back(std::move(clause));
      if (list.size() > kClausesMax) {
        return refuse(400, "too_many_clauses", fmt::format("maxClauseCount is set to {}", kClausesMax));
      }
    }
    if (list.size() == 1 && !list[0].prohibited) {
      return std::move(list[0].query);
    }
    Query query;
    if (list.empty()) {
      query.kind = Query::Kind::kNone;
      return query;
    }
    query.kind = Query::Kind::kBool;
    for (Clause& clause : list) {
      (clause.prohibited ? query.must_not
       : clause.required ? query.must
                         : query.should)
          .push_back(std::move(clause.query));
    }
    return query;
  }

  // A bare word or a field name: until a character with a meaning. Escapes are undone; `star` tells of an
  // unescaped * at the end.
  Outcome<std::string> word(bool& star) {
    std::string out;
    star = false;
    while (!ends()) {
      const char c = peek();
      if (std::string_view(" \t\n\r()[]{}\":").find(c) != std::string_view::npos) {
        break;
      }
      if (star) {
        return not_supported("a wildcard before the end of a word");
      }
      if (c == '*') {
        star = true;
      } else if (c == '?' || c == '~' || c == '^' || (c == '/' && out.empty())) {
        return not_supported(c == '?'   ? "the wildcard ?"
                             : c == '~' ? "fuzzy search (~)"
                             : c == '^' ? "boost (^)"
                                        : "a regular expression");
      } else if (c == '\\') {
        if (at_ + 1 >= text_.size()) {
          return broken("nothing to escape");
        }
        out += text_[++at_];
      } else {
        out += c;
      }
      ++at_;
    }
    return out;
  }

  Outcome<std::string> quoted() {
    ++at_;
    std::string out;
    while (!ends() && peek() != '"') {
      if (peek() == '\\' && at_ + 1 < text_.size()) {
        ++at_;
      }
      out += text_[at_++];
    }
    if (ends()) {
      return broken("a quote is not closed");
    }
    ++at_;
    if (peek() == '~' || peek() == '^') {
      return not_supported(peek() == '~' ? "slop (~)" : "boost (^)");
    }
    return out;
  }

  // The leaf for each of the fields, joined by OR.
  Query over_fields(const std::vector<std::string>& fields, Query leaf) const {
    leaf.lenient = true;
    if (fields.size() <= 1) {
      leaf.field = fields.empty() ? std::string() : fields.front();
      return leaf;
    }
    Query any;
    any.kind = Query::Kind::kBool;
    for (const std::string& field : fields) {
      any.should.push_back(leaf);
      any.should.back().field = field;
    }
    return any;
  }

  Outcome<Query> range(const std::vector<std::string>& fields) {
    Query query;
    query.kind = Query::Kind::kRange;
    query.low_open = text_[at_++] == '{';
    const auto bound = [&](std::optional<std::string>& into) -> Outcome<void> {
      skip_space();
      std::string value;
      if (peek() == '"') {
        NARU_TRY(value, quoted());
      } else {
        while (!ends() && peek() != ' ' && peek() != ']' && peek() != '}') {
          value += text_[at_++];
        }
      }
      if (value.empty()) {
        return broken("a range without a bound");
      }
      if (value != "*") {
        into = std::move(value);
      }
      skip_space();
      return {};
    };
    NARU_TRY_VOID(bound(query.low));
    if (!take_word("TO")) {
      return broken("a range without TO");
    }
    NARU_TRY_VOID(bound(query.high));
    if (peek() != ']' && peek() != '}') {
      return broken("a range is not closed");
    }
    query.high_open = text_[at_++] == '}';
    return over_fields(fields, std::move(query));
  }

  Outcome<Query> one(const std::vector<std::string>& fields, int depth) {
    if (depth > kDepthMax) {
      return broken("nested too deep");
    }
    if (peek() == '(') {
      ++at_;
      NARU_TRY(Query group, clauses(fields, depth + 1));
      if (peek() != ')') {
        return broken("a group is not closed");
      }
      ++at_;
      if (peek() == '^') {
        return not_supported("boost (^)");
      }
      return group;
    }
    Query leaf;
    if (peek() == '"') {
      leaf.kind = Query::Kind::kPhrase;
      NARU_TRY(std::string phrase, quoted());
      leaf.values.push_back(std::move(phrase));
      return over_fields(fields, std::move(leaf));
    }
    if (peek() == '[' || peek() == '{') {
      return range(fields);
    }
    if (peek() == '>' || peek() == '<') {
      const bool low = text_[at_++] == '>';
      const bool closed = take("=");
      skip_space();
      std::string value;
      if (peek() == '"') {
        NARU_TRY(value, quoted());
      } else {
        bool star = false;
        NARU_TRY(value, word(star));
      }
      leaf.kind = Query::Kind::kRange;
      (low ? leaf.low : leaf.high) = std::move(value);
      (low ? leaf.low_open : leaf.high_open) = !closed;
      return over_fields(fields, std::move(leaf));
    }
    bool star = false;
    const std::size_t start = at_;
    NARU_TRY(std::string value, word(star));
    if (at_ == start) {
      return broken(fmt::format("unexpected [{}]", peek()));
    }
    if (peek() == ':' && !star) {
      ++at_;
      skip_space();
      if (value == "_exists_") {
        leaf.kind = Query::Kind::kExists;
        if (peek() == '"') {
          NARU_TRY(leaf.field, quoted());
        } else {
          NARU_TRY(leaf.field, word(star));
        }
        return leaf;
      }
      if (ends()) {
        return broken("a field without a value");
      }
      return one({value}, depth + 1);
    }
    if (peek() == ':') {
      ++at_;  // *:* is everything
      if (value.empty() && take("*")) {
        return leaf;
      }
      return not_supported("a wildcard in a field name");
    }
    if (star && value.empty()) {
      if (fields.empty()) {
        return leaf;  // * is everything
      }
      leaf.kind = Query::Kind::kExists;
      return over_fields(fields, std::move(leaf));
    }
    leaf.kind = star ? Query::Kind::kPrefix : Query::Kind::kMatch;
    leaf.all_words = default_and_;
    leaf.values.push_back(std::move(value));
    return over_fields(fields, std::move(leaf));
  }

  std::string_view text_;
  const std::vector<std::string>& fields_;
  bool default_and_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<std::string> scalar_text(dom::element value) {
  switch (value.type()) {
    case dom::element_type::STRING: return std::string(std::string_view(value.get_string().value_unsafe()));
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
    case dom::element_type::DOUBLE:
    case dom::element_type::BOOL: return simdjson::minify(value);
    default: return std::nullopt;
  }
}

Outcome<Query> parse_query(dom::element query) {
  return parse_at(query, 0);
}

Outcome<Query> parse_query_string(std::string_view text, const std::vector<std::string>& fields,
                                  bool default_and) {
  return StringParser(text, fields, default_and).parse();
}

}  // namespace naru::store
