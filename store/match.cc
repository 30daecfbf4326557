#include "store/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "store/analyzer.h"

namespace naru::store {
namespace {

constexpr std::size_t kWordsMax = 64;  // of one text query: found words are bits of one integer

std::unexpected<ApiError> cannot(const Field& field, std::string_view why) {
  return refuse(400, "query_shard_exception",
                fmt::format("failed to create query: field [{}] of type [{}]: {}", field.path,
                            type_name(field.type), why));
}

std::optional<double> to_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !std::isnan(value) ? std::optional(value)
                                                                                        : std::nullopt;
}

class Binder {
 public:
  Binder(const IndexView& view, Nanos now, const FindIds& find_ids)
      : view_(view), now_(now), find_ids_(find_ids) {}

  Outcome<Node> bind(const Query& query) {
    switch (query.kind) {
      case Query::Kind::kAll: return Node{};
      case Query::Kind::kNone: return none();
      case Query::Kind::kIds: return sequences(query.values);
      case Query::Kind::kBool: return bind_bool(query);
      default: break;
    }
    if (query.field.empty()) {
      return over_default_fields(query);
    }
    if (query.field == "_id") {
      return query.kind == Query::Kind::kTerms || query.kind == Query::Kind::kMatch ||
                     query.kind == Query::Kind::kPhrase
                 ? sequences(query.values)
             : query.kind == Query::Kind::kExists ? Outcome<Node>(Node{})
                                                  : illegal("field [_id] is searched by whole values only");
    }
    if (query.field == "_index") {
      return std::ranges::find(query.values, view_.index->name) != query.values.end() ? Node{} : none();
    }
    Mapping::Found found = view_.mapping->resolve(query.field);
    if (found.field == nullptr) {
      return none();  // an unmapped field matches nothing, as in OpenSearch
    }
    return bind_field(query, *found.field, std::move(found.leaf));
  }

  std::vector<Leaf> take_leaves() { return std::move(leaves_); }

 private:
  static Node none() {
    Node node;
    node.kind = Node::Kind::kNone;
    return node;
  }

  Node add(Leaf leaf) {
    Node node;
    node.kind = Node::Kind::kLeaf;
    node.leaf = leaves_.size();
    leaves_.push_back(std::move(leaf));
    return node;
  }

  Outcome<Node> sequences(const std::vector<std::string>& ids) {
    Leaf leaf;
    leaf.kind = Leaf::Kind::kSequences;
    auto found = find_ids_(ids);
    if (!found) {
      return std::unexpected(from_error(found.error()));
    }
    leaf.sequences = std::move(*found);
    std::ranges::sort(leaf.sequences);
    return add(std::move(leaf));
  }

  Outcome<Node> bind_bool(const Query& query) {
    Node node;
    node.kind = Node::Kind::kBool;
    for (const auto& [from, to] : {std::pair(&query.must, &node.must), std::pair(&query.should, &node.should),
                                   std::pair(&query.must_not, &node.must_not)}) {
      for (const Query& clause : *from) {
        NARU_TRY(Node bound, bind(clause));
        to->push_back(std::move(bound));
      }
    }
    node.minimum = query.minimum_should_match >= 0 ? static_cast<std::size_t>(query.minimum_should_match)
                   : query.must.empty() && !query.should.empty() ? 1
                                                                 : 0;
    return node;
  }

  Outcome<Node> over_default_fields(const Query& query) {
    Node any;
    any.kind = Node::Kind::kBool;
    any.minimum = 1;
    for (std::uint32_t ordinal = 1; ordinal < view_.mapping->size(); ++ordinal) {
      const Field& field = view_.mapping->field(ordinal);
      if (field.is_object() || field.in_nested || !field.indexed || field.is_date() ||
          (query.kind == Query::Kind::kRange && !field.is_integral() && !field.is_real())) {
        continue;
      }
      NARU_TRY(Node bound, bind_field(query, field, {}));
      if (bound.kind != Node::Kind::kNone) {
        any.should.push_back(std::move(bound));
      }
    }
    return any.should.empty() ? none() : std::move(any);
  }

  Outcome<Node> bind_field(const Query& query, const Field& field, std::string leaf_path) {
    if (field.is_object()) {
      if (query.kind != Query::Kind::kExists) {
        return none();
      }
      Node any;
      any.kind = Node::Kind::kBool;
      any.minimum = 1;
      for (std::uint32_t child : field.children) {
        NARU_TRY(Node bound, bind_field(query, view_.mapping->field(child), {}));
        any.should.push_back(std::move(bound));
      }
      return any.should.empty() ? none() : std::move(any);
    }
    if (!field.indexed || field.in_nested) {
      if (query.lenient || query.kind == Query::Kind::kExists || field.in_nested) {
        return none();
      }
      return cannot(field, "it is not indexed");
    }
    Leaf leaf;
    leaf.field = &field;
    leaf.leaf = std::move(leaf_path);
    const bool flat = field.type == FieldType::kFlat;
    const std::uint64_t path =
        flat && !leaf.leaf.empty() ? flat_leaf_hash(field.path_hash, leaf.leaf) : field.path_hash;
    if (query.kind == Query::Kind::kExists) {
      leaf.kind = Leaf::Kind::kExists;
      if (!field.has_column()) {
        leaf.terms = {{exists_hash(path)}};
      }
      return add(std::move(leaf));
    }
    if (field.is_integral() || field.is_real()) {
      return bind_number(query, std::move(leaf));
    }
    if (query.kind == Query::Kind::kRange) {
      if (field.type == FieldType::kText) {
        return query.lenient ? Outcome<Node>(none())
                             : cannot(field, "a range of a text field is not supported");
      }
      leaf.kind = Leaf::Kind::kRange;
      leaf.text_low = query.low;
      leaf.text_high = query.high;
      leaf.low_open = query.low_open;
      leaf.high_open = query.high_open;
      return add(std::move(leaf));
    }
    if (query.kind == Query::Kind::kPrefix) {
      leaf.kind = Leaf::Kind::kPrefix;
      leaf.words = query.values;
      if (field.type == FieldType::kText) {
        const std::vector<std::string> tokens = tokens_of(query.values[0]);
        leaf.words = {tokens.size() == 1 ? tokens[0] : query.values[0]};
      }
      return add(std::move(leaf));
    }
    if (field.type == FieldType::kText && query.kind != Query::Kind::kTerms) {
      leaf.words = tokens_of(query.values[0]);
      if (leaf.words.size() > kWordsMax) {
        return refuse(400, "too_many_clauses",
                      fmt::format("a text query may hold at most {} words", kWordsMax));
      }
      if (leaf.words.empty()) {
        return none();
      }
      leaf.kind = query.kind == Query::Kind::kPhrase ? Leaf::Kind::kPhrase : Leaf::Kind::kWords;
      leaf.all_words = query.all_words || leaf.kind == Leaf::Kind::kPhrase;
      if (leaf.all_words) {
        leaf.terms.emplace_back();
        for (const std::string& word : leaf.words) {
          leaf.terms[0].push_back(term_hash(path, value_hash(word)));
        }
      } else {
        for (const std::string& word : leaf.words) {
          leaf.terms.push_back({term_hash(path, value_hash(word))});
        }
      }
      return add(std::move(leaf));
    }
    leaf.kind = Leaf::Kind::kTerms;
    leaf.words = query.values;
    std::ranges::sort(leaf.words);
    for (const std::string& word : leaf.words) {
      leaf.terms.push_back({term_hash(path, value_hash(word))});
    }
    return leaf.words.empty() ? none() : add(std::move(leaf));
  }

  Outcome<Node> bind_number(const Query& query, Leaf leaf) {
    const Field& field = *leaf.field;
    const auto refused = [&](std::string_view value) -> Outcome<Node> {
      if (query.lenient) {
        return none();
      }
      return cannot(field, fmt::format("For input string: \"{}\"", value));
    };
    if (query.kind == Query::Kind::kPrefix) {
      return query.lenient ? Outcome<Node>(none()) : cannot(field, "a prefix needs a keyword or text field");
    }
    if (query.kind == Query::Kind::kRange) {
      leaf.kind = Leaf::Kind::kRange;
      if (field.is_date()) {
        return bind_dates(query, std::move(leaf));
      }
      leaf.real_low = -std::numeric_limits<double>::infinity();
      leaf.real_high = std::numeric_limits<double>::infinity();
      leaf.low_open = query.low_open;
      leaf.high_open = query.high_open;
      for (const auto& [text, low] : {std::pair(&query.low, true), std::pair(&query.high, false)}) {
        if (!*text) {
          continue;
        }
        std::string_view value = **text;
        if (field.type == FieldType::kBoolean) {
          value = value == "true" ? "1" : value == "false" ? "0" : value;
        }
        const auto real = to_real(value);
        if (!real) {
          return refused(**text);
        }
        (low ? leaf.real_low : leaf.real_high) = *real;
        std::int64_t whole = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), whole);
        const bool exact = error == std::errc() && end == value.data() + value.size();
        const bool open = low ? query.low_open : query.high_open;
        if (!exact) {  // the next whole number inside; beyond 64 bits the end of them
          const double edge = low ? std::ceil(*real) : std::floor(*real);
          const bool strict = open && edge == *real;
          if (edge >= 9223372036854775808.0 || edge < -9223372036854775808.0) {
            const bool outside = low ? edge > 0 : edge < 0;
            if (outside && field.is_integral()) {
              return none();
            }
            whole = edge > 0 ? INT64_MAX : INT64_MIN;
          } else {
            whole = static_cast<std::int64_t>(edge);
            if (strict) {
              whole += low ? 1 : -1;
            }
          }
        } else if (open) {
          if (whole == (low ? INT64_MAX : INT64_MIN)) {
            return field.is_integral() ? Outcome<Node>(none()) : add(std::move(leaf));
          }
          whole += low ? 1 : -1;
        }
        (low ? leaf.low : leaf.high) = whole;
      }
      return add(std::move(leaf));
    }
    leaf.kind = Leaf::Kind::kTerms;
    for (const std::string& value : query.values) {
      if (field.is_date()) {
        auto span = parse_date_bound(value, query.format, now_);
        if (!span) {
          return query.lenient ? Outcome<Node>(none()) : std::unexpected(std::move(span).error());
        }
        Leaf day = leaf;
        day.kind = Leaf::Kind::kRange;
        day.low = span->first;
        day.high = span->last;
        if (query.values.size() == 1) {
          return add(std::move(day));
        }
        leaf.integers.push_back(span->first);
        continue;
      }
      if (field.type == FieldType::kBoolean) {
        if (value != "true" && value != "false" && !value.empty()) {
          return query.lenient
                     ? Outcome<Node>(none())
                     : cannot(field, fmt::format("Can't parse boolean value [{}], expected [true] or [false]",
                                                 value));
        }
        leaf.integers.push_back(value == "true");
        continue;
      }
      const auto real = to_real(value);
      if (!real) {
        return refused(value);
      }
      if (field.is_real()) {
        leaf.reals.push_back(field.type == FieldType::kFloat ? static_cast<double>(static_cast<float>(*real))
                                                             : *real);
        continue;
      }
      std::int64_t whole = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), whole);
      if (error != std::errc() || end != value.data() + value.size()) {
        if (*real != std::floor(*real) || std::abs(*real) >= 9223372036854775808.0) {
          continue;  // no whole number equals it
        }
        whole = static_cast<std::int64_t>(*real);
      }
      leaf.integers.push_back(whole);
    }
    return leaf.integers.empty() && leaf.reals.empty() ? none() : add(std::move(leaf));
  }

  Outcome<Node> bind_dates(const Query& query, Leaf leaf) {
    if (query.low) {
      auto span = parse_date_bound(*query.low, query.format, now_);
      if (!span) {
        return query.lenient ? Outcome<Node>(none()) : std::unexpected(std::move(span).error());
      }
      leaf.low = query.low_open ? span->last + 1 : span->first;
    }
    if (query.high) {
      auto span = parse_date_bound(*query.high, query.format, now_);
      if (!span) {
        return query.lenient ? Outcome<Node>(none()) : std::unexpected(std::move(span).error());
      }
      leaf.high = query.high_open ? span->first - 1 : span->last;
    }
    return add(std::move(leaf));
  }

  const IndexView& view_;
  Nanos now_;
  const FindIds& find_ids_;
  std::vector<Leaf> leaves_;
};

// What is known without reading documents: rows that match for certain, and rows that may.
struct Known {
  Rows yes;
  Rows maybe;  // holds `yes`
};

bool range_holds(const Leaf& leaf, double value) {
  return (leaf.low_open ? value > leaf.real_low : value >= leaf.real_low) &&
         (leaf.high_open ? value < leaf.real_high : value <= leaf.real_high);
}
bool range_holds(const Leaf& leaf, std::string_view value) {
  return (!leaf.text_low || (leaf.low_open ? value > *leaf.text_low : value >= *leaf.text_low)) &&
         (!leaf.text_high || (leaf.high_open ? value < *leaf.text_high : value <= *leaf.text_high));
}
bool holds_integer(const Leaf& leaf, std::int64_t value) {
  switch (leaf.kind) {
    case Leaf::Kind::kTerms: return std::ranges::find(leaf.integers, value) != leaf.integers.end();
    case Leaf::Kind::kRange: return value >= leaf.low && value <= leaf.high;
    default: return leaf.kind == Leaf::Kind::kExists;
  }
}
bool holds_real(const Leaf& leaf, double value) {
  switch (leaf.kind) {
    case Leaf::Kind::kTerms: return std::ranges::find(leaf.reals, value) != leaf.reals.end();
    case Leaf::Kind::kRange: return range_holds(leaf, value);
    default: return leaf.kind == Leaf::Kind::kExists;
  }
}
bool holds_string(const Leaf& leaf, std::string_view value) {
  switch (leaf.kind) {
    case Leaf::Kind::kTerms: return std::ranges::binary_search(leaf.words, value);
    case Leaf::Kind::kPrefix: return value.starts_with(leaf.words[0]);
    case Leaf::Kind::kRange: return range_holds(leaf, value);
    default: return leaf.kind == Leaf::Kind::kExists;
  }
}

// Collects what a document says about the leaves that columns could not decide.
class LeafSink : public DocumentSink {
 public:
  explicit LeafSink(const BoundQuery& query, const Mapping& mapping)
      : query_(query), mapping_(mapping), holds_(query.leaves.size()) {}

  void begin() { holds_.assign(holds_.size(), false); }
  bool holds(std::size_t leaf) const { return holds_[leaf]; }

  void text(const Field& field, std::string_view value) override {
    for (std::size_t number : leaves_of(field)) {
      const Leaf& leaf = query_.leaves[number];
      if (holds_[number]) {
        continue;
      }
      if (leaf.kind == Leaf::Kind::kExists) {
        holds_[number] = true;
        continue;
      }
      std::uint64_t found = 0;
      std::size_t tokens = 0;
      std::vector<std::size_t>& runs = runs_;  // kPhrase: how far each phrase that began has come
      runs.clear();
      for_each_token(value, [&](std::string_view token) {
        ++tokens;
        if (leaf.kind == Leaf::Kind::kPhrase) {
          std::size_t kept = 0;
          for (std::size_t length : runs) {
            if (leaf.words[length] == token) {
              holds_[number] = holds_[number] || length + 1 == leaf.words.size();
              if (length + 1 < leaf.words.size()) {
                runs[kept++] = length + 1;
              }
            }
          }
          runs.resize(kept);
          if (leaf.words[0] == token) {
            if (leaf.words.size() == 1) {
              holds_[number] = true;
            } else {
              runs.push_back(1);
            }
          }
          return;
        }
        if (leaf.kind == Leaf::Kind::kWords) {
          for (std::size_t word = 0; word < leaf.words.size(); ++word) {
            found |= static_cast<std::uint64_t>(leaf.words[word] == token) << word;
          }
          return;
        }
        holds_[number] = holds_[number] || holds_string(leaf, token);
      });
      if (leaf.kind == Leaf::Kind::kWords) {
        const std::uint64_t all = leaf.words.size() == 64 ? ~0ull : (1ull << leaf.words.size()) - 1;
        holds_[number] = leaf.all_words ? found == all : found != 0;
      }
    }
  }
  void keyword(const Field& field, std::string_view value) override {
    for (std::size_t number : leaves_of(field)) {
      holds_[number] = holds_[number] || holds_string(query_.leaves[number], value);
    }
  }
  void integral(const Field& field, std::int64_t value) override {
    for (std::size_t number : leaves_of(field)) {
      holds_[number] = holds_[number] || holds_integer(query_.leaves[number], value);
    }
  }
  void real(const Field& field, double value) override {
    for (std::size_t number : leaves_of(field)) {
      holds_[number] = holds_[number] || holds_real(query_.leaves[number], value);
    }
  }
  void flat(const Field& field, std::string_view path, std::string_view value) override {
    for (std::size_t number : leaves_of(field)) {
      const Leaf& leaf = query_.leaves[number];
      holds_[number] =
          holds_[number] || ((leaf.leaf.empty() || leaf.leaf == path) && holds_string(leaf, value));
    }
  }

 private:
  const std::vector<std::size_t>& leaves_of(const Field& field) const {
    return query_.by_field[mapping_.ordinal(field)];
  }
  const BoundQuery& query_;
  const Mapping& mapping_;
  std::vector<bool> holds_;
  std::vector<std::size_t> runs_;
};

class Matcher {
 public:
  Matcher(const BoundQuery& query, BlockReader& block)
      : query_(query), block_(block), known_(query.leaves.size()) {}

  Result<bool> possible() {
    columns_ = false;
    NARU_TRY(const Known result, evaluate(query_.root));
    return !result.maybe.none();
  }

  Result<Rows> run(const Rows& within) {
    NARU_TRY(Known result, evaluate(query_.root));
    result.yes &= within;
    result.maybe &= within;
    if (result.yes == result.maybe) {
      return std::move(result.yes);
    }
    Rows rest = result.maybe;
    rest.subtract(result.yes);
    LeafSink sink(query_, *block_.view().mapping);
    Result<void> read;
    rest.for_each([&](std::size_t row) {
      if (!read) {
        return;
      }
      sink.begin();
      read = block_.read(row, sink);
      if (read && holds(query_.root, row, sink)) {
        result.yes.set(row);
      }
    });
    if (!read) {
      return fail(std::move(read).error());
    }
    return std::move(result.yes);
  }

 private:
  Known constant(bool value) const { return {Rows(block_.rows(), value), Rows(block_.rows(), value)}; }

  Result<Known> evaluate(const Node& node) {
    switch (node.kind) {
      case Node::Kind::kAll: return constant(true);
      case Node::Kind::kNone: return constant(false);
      case Node::Kind::kLeaf: {
        if (!known_[node.leaf]) {
          NARU_TRY(Known leaf, evaluate_leaf(query_.leaves[node.leaf]));
          known_[node.leaf] = std::move(leaf);
        }
        return *known_[node.leaf];
      }
      case Node::Kind::kBool: break;
    }
    Known result = constant(true);
    for (const Node& clause : node.must) {
      NARU_TRY(const Known part, evaluate(clause));
      result.yes &= part.yes;
      result.maybe &= part.maybe;
      if (result.maybe.none()) {
        return result;  // the rest needs no reading
      }
    }
    for (const Node& clause : node.must_not) {
      NARU_TRY(const Known part, evaluate(clause));
      result.yes.subtract(part.maybe);
      result.maybe.subtract(part.yes);
    }
    if (node.minimum == 1) {
      Known any = constant(false);
      for (const Node& clause : node.should) {
        NARU_TRY(const Known part, evaluate(clause));
        any.yes |= part.yes;
        any.maybe |= part.maybe;
      }
      result.yes &= any.yes;
      result.maybe &= any.maybe;
    } else if (node.minimum > 1) {
      std::vector<std::size_t> certain(block_.rows());
      std::vector<std::size_t> possible(block_.rows());
      for (const Node& clause : node.should) {
        NARU_TRY(const Known part, evaluate(clause));
        part.yes.for_each([&](std::size_t row) { ++certain[row]; });
        part.maybe.for_each([&](std::size_t row) { ++possible[row]; });
      }
      for (std::size_t row = 0; row < block_.rows(); ++row) {
        if (certain[row] < node.minimum) {
          result.yes.reset(row);
        }
        if (possible[row] < node.minimum) {
          result.maybe.reset(row);
        }
      }
    }
    return result;
  }

  Result<Known> evaluate_leaf(const Leaf& leaf) {
    const BlockInfo& info = block_.block();
    if (leaf.kind == Leaf::Kind::kSequences) {
      Known found = constant(false);
      auto at = std::ranges::lower_bound(leaf.sequences, info.first_sequence);
      for (; at != leaf.sequences.end() && *at - info.first_sequence < info.rows; ++at) {
        found.yes.set(*at - info.first_sequence);
      }
      found.maybe = found.yes;
      return found;
    }
    const Field& field = *leaf.field;
    if (leaf.kind == Leaf::Kind::kRange && field.is_date() && field.path == kTimeField) {
      if (info.min_time > leaf.high || info.max_time < leaf.low) {
        return constant(false);
      }
      if (info.every_row_timed && info.min_time >= leaf.low && info.max_time <= leaf.high) {
        return constant(true);
      }
    }
    if (!leaf.terms.empty()) {
      bool possible = false;
      for (std::size_t i = 0; i < leaf.terms.size() && !possible; ++i) {
        possible = true;
        for (std::size_t k = 0; k < leaf.terms[i].size() && possible; ++k) {
          NARU_TRY(possible, block_.may_hold(leaf.terms[i][k]));
        }
      }
      if (!possible) {
        return constant(false);
      }
    }
    Known unknown{Rows(block_.rows(), false), Rows(block_.rows(), true)};
    if (!field.has_column() || !columns_) {
      return unknown;
    }
    NARU_TRY(const ColumnsView* columns, block_.columns());
    const ColumnView* column = columns->find(field.path);
    if (column == nullptr) {
      return constant(false);
    }
    if (column->kind == ColumnView::kInDocuments) {
      return unknown;
    }
    Known found = constant(false);
    if (leaf.kind == Leaf::Kind::kExists) {
      found.yes = column->present_rows();
    } else if (column->kind == ColumnView::kDictionary) {
      std::vector<char> hits;
      bool any = false;
      for (const std::string_view value : column->dictionary) {
        hits.push_back(holds_string(leaf, value));
        any |= hits.back() != 0;
      }
      for (std::size_t row = 0; any && row < column->rows; ++row) {
        if (column->present(row) && hits[column->raw(row)] != 0) {
          found.yes.set(row);
        }
      }
    } else if (column->kind == ColumnView::kIntegral) {
      if (leaf.kind != Leaf::Kind::kRange || (column->top >= leaf.low && column->base <= leaf.high)) {
        for (std::size_t row = 0; row < column->rows; ++row) {
          if (column->present(row) && holds_integer(leaf, column->integral(row))) {
            found.yes.set(row);
          }
        }
      }
    } else {
      for (std::size_t row = 0; row < column->rows; ++row) {
        if (column->present(row) && holds_real(leaf, column->real(row))) {
          found.yes.set(row);
        }
      }
    }
    found.maybe = found.yes;
    return found;
  }

  // One row whose document the sink has read.
  bool holds(const Node& node, std::size_t row, const LeafSink& sink) const {
    switch (node.kind) {
      case Node::Kind::kAll: return true;
      case Node::Kind::kNone: return false;
      case Node::Kind::kLeaf: {
        const std::optional<Known>& known = known_[node.leaf];
        if (known && known->yes.test(row)) {
          return true;
        }
        return (!known || known->maybe.test(row)) && sink.holds(node.leaf);
      }
      case Node::Kind::kBool: break;
    }
    const auto of = [&](const Node& clause) { return holds(clause, row, sink); };
    return std::ranges::all_of(node.must, of) && std::ranges::none_of(node.must_not, of) &&
           (node.minimum == 0 ||
            static_cast<std::size_t>(std::ranges::count_if(node.should, of)) >= node.minimum);
  }

  const BoundQuery& query_;
  BlockReader& block_;
  bool columns_ = true;
  std::vector<std::optional<Known>> known_;
};

}  // namespace

Outcome<BoundQuery> bind_query(const Query& query, const IndexView& view, Nanos now,
                               const FindIds& find_ids) {
  Binder binder(view, now, find_ids);
  BoundQuery bound;
  NARU_TRY(bound.root, binder.bind(query));
  bound.leaves = binder.take_leaves();
  bound.by_field.resize(view.mapping->size());
  for (std::size_t i = 0; i < bound.leaves.size(); ++i) {
    if (bound.leaves[i].field != nullptr) {
      bound.by_field[view.mapping->ordinal(*bound.leaves[i].field)].push_back(i);
    }
  }
  return bound;
}

Result<bool> may_match(const BoundQuery& query, BlockReader& block) {
  return Matcher(query, block).possible();
}

Result<Rows> match(const BoundQuery& query, BlockReader& block, const Rows& within) {
  return Matcher(query, block).run(within);
}

Result<const IdsView*> BlockReader::ids() {
  if (!ids_) {
    NARU_TRY(ids_, view_.ids(block_));
    chunks_.resize(ids_->chunks());
  }
  return &*ids_;
}

Result<const ColumnsView*> BlockReader::columns() {
  if (!columns_) {
    NARU_TRY(std::string bytes, view_.part(block_, BlockPart::kColumns));
    NARU_TRY(columns_, ColumnsView::open(std::move(bytes)));
    if (columns_->rows() != block_.rows) {
      return fail(ErrorCode::kCorrupt, "block part C: its rows differ from the block's");
    }
  }
  return &*columns_;
}

Result<bool> BlockReader::may_hold(std::uint64_t term) {
  filters_.resize(block_.filters);
  const std::size_t piece = filter_piece(term, block_.filters);
  if (filters_[piece].empty()) {
    NARU_TRY(filters_[piece], view_.part(block_, BlockPart::kFilter, piece));
  }
  NARU_TRY(const FilterView filter, open_filter(filters_[piece]));
  return filter.may_contain(term);
}

Result<std::string_view> BlockReader::document(std::size_t row) {
  NARU_TRY(const IdsView* places, ids());
  const std::size_t chunk = places->chunk_of(row);
  if (!chunks_[chunk]) {
    NARU_TRY(const std::string bytes, view_.part(block_, BlockPart::kChunk, chunk));
    NARU_TRY(chunks_[chunk], ChunkView::open(bytes));
  }
  const std::size_t index = row - places->first_row(chunk);
  if (index >= chunks_[chunk]->rows()) {
    return fail(ErrorCode::kCorrupt, "block part S: it holds fewer documents than the block");
  }
  return chunks_[chunk]->document(index);
}

Result<void> BlockReader::read(std::size_t row, DocumentSink& sink) {
  NARU_TRY(const std::string_view text, document(row));
  NewField learned;
  // What an older mapping took and a newer one refuses was read up to there; the same answer for every
  // search.
  static_cast<void>(reader_.read(*view_.mapping, text, {}, sink, learned));
  return {};
}

Rows BlockReader::live_rows() const {
  Rows rows(block_.rows, true);
  if (view_.deleted != nullptr) {
    auto at = std::ranges::lower_bound(*view_.deleted, block_.first_sequence);
    for (; at != view_.deleted->end() && *at - block_.first_sequence < block_.rows; ++at) {
      rows.reset(*at - block_.first_sequence);
    }
  }
  return rows;
}

}  // namespace naru::store
