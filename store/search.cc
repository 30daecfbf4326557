#include "store/search.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <thread>

#include "core/base/clock.h"
#include "core/base/json_text.h"

namespace naru::store {

bool glob_match(std::string_view pattern, std::string_view text);

namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kLookAhead = 1024;      // blocks whose filters are asked at once
constexpr std::size_t kLookAheadAlone = 128;  // so few are not worth a thread
constexpr std::size_t kLookAheadThreads = 2;

struct Value {
  enum class Kind : std::uint8_t { kMissing, kInteger, kReal, kText };
  Kind kind = Kind::kMissing;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;

  static Value of(std::int64_t value) { return {Kind::kInteger, value, 0, {}}; }
  static Value of(double value) { return {Kind::kReal, 0, value, {}}; }
  static Value of(std::string_view value) { return {Kind::kText, 0, 0, std::string(value)}; }
  double number() const { return kind == Kind::kInteger ? static_cast<double>(integer) : real; }

  std::strong_ordering operator<=>(const Value& other) const {
    if (kind == Kind::kInteger && other.kind == Kind::kInteger) {
      return integer <=> other.integer;
    }
    if (kind == Kind::kText || other.kind == Kind::kText || kind == Kind::kMissing ||
        other.kind == Kind::kMissing) {
      return kind == other.kind ? text <=> other.text : kind <=> other.kind;
    }
    return std::strong_order(number(), other.number());
  }
  bool operator==(const Value& other) const { return (*this <=> other) == 0; }
};

class CaptureSink : public DocumentSink {
 public:
  explicit CaptureSink(const Field& field) : field_(field) {}
  std::vector<Value> values;

  void text(const Field&, std::string_view) override {}
  void keyword(const Field& field, std::string_view value) override {
    if (&field == &field_) {
      values.push_back(Value::of(value));
    }
  }
  void integral(const Field& field, std::int64_t value) override {
    if (&field == &field_) {
      values.push_back(Value::of(value));
    }
  }
  void real(const Field& field, double value) override {
    if (&field == &field_) {
      values.push_back(Value::of(value));
    }
  }
  void flat(const Field&, std::string_view, std::string_view) override {}

 private:
  const Field& field_;
};

// The values of one field of a block, from its column or from the documents.
class FieldValues {
 public:
  // A null field has no values.
  static Result<FieldValues> open(BlockReader& block, const Field* field) {
    FieldValues out(block, field);
    if (field != nullptr) {
      NARU_TRY(const ColumnsView* columns, block.columns());
      out.column_ = columns->find(field->path);
    }
    return out;
  }
  const ColumnView* column() const {
    return column_ != nullptr && column_->kind != ColumnView::kInDocuments ? column_ : nullptr;
  }
  bool empty() const { return column_ == nullptr; }

  Result<void> read(std::size_t row, std::vector<Value>& out) const {
    out.clear();
    if (column_ == nullptr) {
      return {};
    }
    switch (column_->kind) {
      case ColumnView::kInDocuments: {
        CaptureSink sink(*field_);
        NARU_TRY_VOID(block_->read(row, sink));
        out = std::move(sink.values);
        return {};
      }
      case ColumnView::kIntegral:
        if (column_->present(row)) {
          out.push_back(Value::of(column_->integral(row)));
        }
        return {};
      case ColumnView::kReal:
        if (column_->present(row)) {
          out.push_back(Value::of(column_->real(row)));
        }
        return {};
      case ColumnView::kDictionary:
        if (column_->present(row)) {
          out.push_back(Value::of(column_->dictionary[column_->raw(row)]));
        }
        return {};
    }
    return {};
  }

 private:
  FieldValues(BlockReader& block, const Field* field) : block_(&block), field_(field) {}
  BlockReader* block_;
  const Field* field_;
  const ColumnView* column_ = nullptr;
};

// A field that a sort or an aggregation reads; null: it has no values there.
Outcome<const Field*> value_field(const IndexView& view, const std::string& name) {
  const Mapping::Found found = view.mapping->resolve(name);
  if (found.field == nullptr || found.field->type == FieldType::kFlat || found.field->in_nested ||
      found.field->is_object()) {
    return nullptr;  // as OpenSearch: a leaf of a flat_object has no doc values
  }
  if (found.field->type == FieldType::kText) {
    return illegal(fmt::format(
        "Text fields are not optimised for operations that require per-document field data like "
        "aggregations and sorting, so these operations are disabled by default. Please use a keyword "
        "field instead. Field: [{}]",
        name));
  }
  return found.field;
}

void append_real(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
  } else if (value == std::floor(value) && std::abs(value) < 1e15) {
    fmt::format_to(std::back_inserter(out), "{:.1f}", value);
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

// Aggregations
// -------------------------------------------------------------------------------------------------

struct AggregationState;

struct Bucket {
  std::uint64_t count = 0;
  std::vector<std::unique_ptr<AggregationState>> children;
};

struct AggregationState {
  explicit AggregationState(const Aggregation& given) : spec(given), filters(given.filters.size()) {
    for (Bucket& bucket : filters) {
      add_children(bucket);
    }
  }
  void add_children(Bucket& bucket) const {
    for (const Aggregation& child : spec.children) {
      bucket.children.push_back(std::make_unique<AggregationState>(child));
    }
  }
  const Aggregation& spec;
  std::map<Nanos, Bucket> times;
  std::map<Value, Bucket> keys;
  std::vector<Bucket> filters;
  FieldType type = FieldType::kKeyword;  // of the field, for how keys are written
  std::uint64_t count = 0;               // metrics
  double sum = 0;
  double least = INFINITY, greatest = -INFINITY;
};

// What an aggregation is bound to in one view.
struct BoundAggregation {
  const Field* field = nullptr;
  std::vector<BoundQuery> filters;
  std::vector<BoundAggregation> children;
};

// The bucket of a date_histogram that holds `time`.
DateSpan bucket_span(const Aggregation& spec, Nanos time) {
  const Nanos local = time + spec.offset;
  if (spec.interval == 0) {
    const DateSpan span = calendar_span(local, spec.unit);
    return {span.first - spec.offset, span.last - spec.offset};
  }
  const Nanos start = local - (local % spec.interval + spec.interval) % spec.interval;
  return {start - spec.offset, start - spec.offset + spec.interval - 1};
}

class AggregationRunner {
 public:
  Outcome<BoundAggregation> bind(const Aggregation& spec, const IndexView& view, Nanos now,
                                 const FindIds& find_ids) const {
    BoundAggregation out;
    if (!spec.field.empty()) {
      NARU_TRY(out.field, value_field(view, spec.field));
    }
    if (out.field != nullptr && spec.kind == Aggregation::Kind::kDateHistogram && !out.field->is_date()) {
      return illegal(fmt::format("Field [{}] of type [{}] is not supported for aggregation [date_histogram]",
                                 spec.field, type_name(out.field->type)));
    }
    if (out.field != nullptr && spec.kind >= Aggregation::Kind::kMin &&
        spec.kind != Aggregation::Kind::kValueCount && out.field->type == FieldType::kKeyword) {
      return illegal(fmt::format("Field [{}] of type [keyword] is not supported for aggregation [{}]",
                                 spec.field, spec.name));
    }
    for (const auto& [_, query] : spec.filters) {
      NARU_TRY(BoundQuery bound, bind_query(query, view, now, find_ids));
      out.filters.push_back(std::move(bound));
    }
    for (const Aggregation& child : spec.children) {
      NARU_TRY(BoundAggregation bound, bind(child, view, now, find_ids));
      out.children.push_back(std::move(bound));
    }
    return out;
  }

  // kOverloaded: more buckets than allowed.
  Result<void> collect(AggregationState& state, const BoundAggregation& bound, BlockReader& block,
                       const Rows& rows) {
    if (bound.field != nullptr) {
      state.type = bound.field->type;
    }
    switch (state.spec.kind) {
      case Aggregation::Kind::kDateHistogram: return collect_times(state, bound, block, rows);
      case Aggregation::Kind::kTerms: return collect_terms(state, bound, block, rows);
      case Aggregation::Kind::kFilter:
      case Aggregation::Kind::kFilters:
        for (std::size_t i = 0; i < bound.filters.size(); ++i) {
          NARU_TRY(const Rows part, match(bound.filters[i], block, rows));
          NARU_TRY_VOID(into(state.filters[i], bound, block, part));
        }
        return {};
      default: return collect_metric(state, bound, block, rows);
    }
  }

 private:
  Result<void> into(Bucket& bucket, const BoundAggregation& bound, BlockReader& block, const Rows& rows) {
    bucket.count += rows.count();
    for (std::size_t i = 0; i < bucket.children.size(); ++i) {
      NARU_TRY_VOID(collect(*bucket.children[i], bound.children[i], block, rows));
    }
    return {};
  }

  template <class Map, class Key>
  Result<Bucket*> bucket_of(AggregationState& state, Map& map, const Key& key, std::size_t limit) {
    const auto [at, added] = map.try_emplace(key);
    if (added) {
      state.add_children(at->second);
      if (++buckets_ > limit) {
        return fail(
            ErrorCode::kOverloaded,
            fmt::format("Trying to create too many buckets. Must be less than or equal to: [{}]", limit));
      }
    }
    return &at->second;
  }

  Result<void> collect_times(AggregationState& state, const BoundAggregation& bound, BlockReader& block,
                             const Rows& rows) {
    if (bound.field == nullptr || rows.none()) {
      return {};
    }
    const BlockInfo& info = block.block();
    if (bound.field->path == kTimeField && info.every_row_timed) {
      const DateSpan span = bucket_span(state.spec, info.min_time);
      if (info.max_time <= span.last) {  // the whole block is of one bucket
        NARU_TRY(Bucket * bucket, bucket_of(state, state.times, span.first, kBucketsMax));
        return into(*bucket, bound, block, rows);
      }
    }
    NARU_TRY(const FieldValues values, FieldValues::open(block, bound.field));
    if (values.empty()) {
      return {};
    }
    std::map<Nanos, Rows> parts;
    DateSpan span{1, 0};
    Rows* part = nullptr;
    const auto add = [&](std::size_t row, Nanos time) {
      if (time < span.first || time > span.last) {
        span = bucket_span(state.spec, time);
        part = &parts.try_emplace(span.first, block.rows(), false).first->second;
      }
      part->set(row);
    };
    if (const ColumnView* column = values.column()) {
      rows.for_each([&](std::size_t row) {
        if (column->present(row)) {
          add(row, column->integral(row));
        }
      });
    } else {
      Result<void> read;
      std::vector<Value> found;
      rows.for_each([&](std::size_t row) {
        if (read && (read = values.read(row, found))) {
          for (const Value& value : found) {
            add(row, value.integer);
          }
        }
      });
      NARU_TRY_VOID(std::move(read));
    }
    for (const auto& [start, some] : parts) {
      NARU_TRY(Bucket * bucket, bucket_of(state, state.times, start, kBucketsMax));
      NARU_TRY_VOID(into(*bucket, bound, block, some));
    }
    return {};
  }

  Result<void> collect_terms(AggregationState& state, const BoundAggregation& bound, BlockReader& block,
                             const Rows& rows) {
    NARU_TRY(const FieldValues values, FieldValues::open(block, bound.field));
    if (values.empty() || rows.none()) {
      return {};
    }
    if (const ColumnView* column = values.column();
        column != nullptr && column->kind == ColumnView::kDictionary) {
      std::vector<Rows> parts(column->dictionary.size());
      std::vector<std::uint64_t> counts(column->dictionary.size());
      const bool nested = !state.spec.children.empty();
      rows.for_each([&](std::size_t row) {
        if (column->present(row)) {
          const std::uint64_t code = column->raw(row);
          if (nested && counts[code] == 0) {
            parts[code] = Rows(block.rows(), false);
          }
          ++counts[code];
          if (nested) {
            parts[code].set(row);
          }
        }
      });
      for (std::size_t code = 0; code < counts.size(); ++code) {
        if (counts[code] == 0) {
          continue;
        }
        NARU_TRY(Bucket * bucket,
                 bucket_of(state, state.keys, Value::of(column->dictionary[code]), kDistinctMax));
        if (nested) {
          NARU_TRY_VOID(into(*bucket, bound, block, parts[code]));
        } else {
          bucket->count += counts[code];
        }
      }
      return {};
    }
    std::map<Value, Rows> parts;
    Result<void> read;
    std::vector<Value> found;
    rows.for_each([&](std::size_t row) {
      if (read && (read = values.read(row, found))) {
        for (Value& value : found) {
          parts.try_emplace(std::move(value), block.rows(), false).first->second.set(row);
        }
      }
    });
    NARU_TRY_VOID(std::move(read));
    for (const auto& [value, some] : parts) {
      NARU_TRY(Bucket * bucket, bucket_of(state, state.keys, value, kDistinctMax));
      NARU_TRY_VOID(into(*bucket, bound, block, some));
    }
    return {};
  }

  Result<void> collect_metric(AggregationState& state, const BoundAggregation& bound, BlockReader& block,
                              const Rows& rows) {
    NARU_TRY(const FieldValues values, FieldValues::open(block, bound.field));
    if (values.empty()) {
      return {};
    }
    const double scale = bound.field->is_date() ? 1e-6 : 1;  // dates count in milliseconds
    const auto add = [&](double value) {
      ++state.count;
      state.sum += value;
      state.least = std::min(state.least, value);
      state.greatest = std::max(state.greatest, value);
    };
    Result<void> read;
    std::vector<Value> found;
    rows.for_each([&](std::size_t row) {
      if (read && (read = values.read(row, found))) {
        for (const Value& value : found) {
          add(value.kind == Value::Kind::kText ? 0
              : scale == 1                     ? value.number()
                                               : std::floor(value.number() * scale));
        }
      }
    });
    return read;
  }

  std::size_t buckets_ = 0;
};

double metric_value(const AggregationState& state) {
  switch (state.spec.kind) {
    case Aggregation::Kind::kMin: return state.least;
    case Aggregation::Kind::kMax: return state.greatest;
    case Aggregation::Kind::kSum: return state.sum;
    case Aggregation::Kind::kAvg:
      return state.count == 0 ? INFINITY : state.sum / static_cast<double>(state.count);
    default: return static_cast<double>(state.count);
  }
}

// `left`: how many buckets may still be written. At 0 the writing ends, and the text is of no use.
void append_aggregations(std::string& out, const std::vector<std::unique_ptr<AggregationState>>& states,
                         std::size_t& left);

void append_bucket_rest(std::string& out, const Bucket& bucket, const Aggregation& spec, std::size_t& left) {
  left -= left > 0;
  fmt::format_to(std::back_inserter(out), "\"doc_count\":{}", bucket.count);
  if (bucket.children.empty() && !spec.children.empty()) {  // an empty bucket shows its empty children
    Bucket empty;
    for (const Aggregation& child : spec.children) {
      empty.children.push_back(std::make_unique<AggregationState>(child));
    }
    out += ',';
    append_aggregations(out, empty.children, left);
  } else if (!bucket.children.empty()) {
    out += ',';
    append_aggregations(out, bucket.children, left);
  }
  out += '}';
}

void append_times(std::string& out, const AggregationState& state, std::size_t& left) {
  const Aggregation& spec = state.spec;
  out += "\"buckets\":[";
  bool first = true;
  const auto write = [&](Nanos start, const Bucket& bucket) {
    if (bucket.count < spec.min_doc_count) {
      return;
    }
    const std::string text = spec.epoch_format ? fmt::format("{}", start / kMilli)
                                               : format_millis(start + spec.offset, spec.offset);
    fmt::format_to(std::back_inserter(out), "{}{{\"key_as_string\":\"{}\",\"key\":{},", first ? "" : ",",
                   text, start / kMilli);
    append_bucket_rest(out, bucket, spec, left);
    first = false;
  };
  if (spec.min_doc_count > 0) {
    for (const auto& [start, bucket] : state.times) {
      write(start, bucket);
    }
  } else if (!state.times.empty() || (spec.bound_min && spec.bound_max)) {
    // Every bucket from the first to the last, empty ones too.
    Nanos at = state.times.empty() ? bucket_span(spec, *spec.bound_min).first : state.times.begin()->first;
    Nanos last = state.times.empty() ? bucket_span(spec, *spec.bound_max).first : state.times.rbegin()->first;
    if (spec.bound_min) {
      at = std::min(at, bucket_span(spec, *spec.bound_min).first);
    }
    if (spec.bound_max) {
      last = std::max(last, bucket_span(spec, *spec.bound_max).first);
    }
    const Bucket empty;
    while (at <= last && left > 0) {
      const auto found = state.times.find(at);
      write(at, found == state.times.end() ? empty : found->second);
      at = bucket_span(spec, at).last + 1;
    }
  }
  out += ']';
}

void append_terms(std::string& out, const AggregationState& state, std::size_t& left) {
  const Aggregation& spec = state.spec;
  std::vector<const std::pair<const Value, Bucket>*> sorted;
  std::uint64_t total = 0;
  for (const auto& entry : state.keys) {
    total += entry.second.count;
    if (entry.second.count >= spec.min_doc_count) {
      sorted.push_back(&entry);
    }
  }
  std::vector<Aggregation::Order> order = spec.order;
  if (order.empty()) {
    order.push_back({"_count", true});
  }
  const auto before = [&](const auto* a, const auto* b) {
    for (const Aggregation::Order& by : order) {
      std::strong_ordering result = std::strong_ordering::equal;
      if (by.by == "_count") {
        result = a->second.count <=> b->second.count;
      } else if (by.by == "_key") {
        result = a->first <=> b->first;
      } else {
        const auto child = static_cast<std::size_t>(
            std::ranges::find(spec.children, by.by, &Aggregation::name) - spec.children.begin());
        result = std::strong_order(metric_value(*a->second.children[child]),
                                   metric_value(*b->second.children[child]));
      }
      if (result != 0) {
        return by.descending ? result > 0 : result < 0;
      }
    }
    return a->first < b->first;
  };
  const std::size_t shown = std::min(spec.size, sorted.size());
  std::partial_sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(shown), sorted.end(),
                    before);
  sorted.resize(shown);
  std::uint64_t listed = 0;
  for (const auto* entry : sorted) {
    listed += entry->second.count;
  }
  fmt::format_to(std::back_inserter(out),
                 "\"doc_count_error_upper_bound\":0,\"sum_other_doc_count\":{},\"buckets\":[",
                 total - listed);
  const char* comma = "{";
  for (const auto* entry : sorted) {
    const Value& key = entry->first;
    out += comma;
    comma = ",{";
    out += "\"key\":";
    if (key.kind == Value::Kind::kText) {
      append_json_string(out, key.text);
    } else if (key.kind == Value::Kind::kReal) {
      append_real(out, key.real);
    } else if (state.type == FieldType::kDate || state.type == FieldType::kDateNanos) {
      fmt::format_to(std::back_inserter(out), "{},\"key_as_string\":\"{}\"", key.integer / kMilli,
                     format_millis(key.integer));
    } else {
      fmt::format_to(std::back_inserter(out), "{}", key.integer);
      if (state.type == FieldType::kBoolean) {
        out += key.integer != 0 ? ",\"key_as_string\":\"true\"" : ",\"key_as_string\":\"false\"";
      }
    }
    out += ',';
    append_bucket_rest(out, entry->second, spec, left);
  }
  out += ']';
}

void append_aggregations(std::string& out, const std::vector<std::unique_ptr<AggregationState>>& states,
                         std::size_t& left) {
  const char* comma = "";
  for (const auto& state : states) {
    const Aggregation& spec = state->spec;
    out += comma;
    comma = ",";
    append_json_string(out, spec.name);
    out += ":{";
    switch (spec.kind) {
      case Aggregation::Kind::kDateHistogram: append_times(out, *state, left); break;
      case Aggregation::Kind::kTerms: append_terms(out, *state, left); break;
      case Aggregation::Kind::kFilter: append_bucket_rest(out, state->filters[0], spec, left); continue;
      case Aggregation::Kind::kFilters: {
        out += "\"buckets\":{";
        const char* separator = "";
        for (std::size_t i = 0; i < spec.filters.size(); ++i) {
          out += separator;
          separator = ",";
          append_json_string(out, spec.filters[i].first);
          out += ":{";
          append_bucket_rest(out, state->filters[i], spec, left);
        }
        out += '}';
        break;
      }
      case Aggregation::Kind::kStats:
        fmt::format_to(std::back_inserter(out), "\"count\":{}", state->count);
        for (const auto& [name, value] :
             {std::pair("min", state->least), std::pair("max", state->greatest),
              std::pair("avg", state->count == 0 ? INFINITY : state->sum / static_cast<double>(state->count)),
              std::pair("sum", state->sum)}) {
          fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
          append_real(out, value);
        }
        break;
      case Aggregation::Kind::kValueCount:
        fmt::format_to(std::back_inserter(out), "\"value\":{}", state->count);
        break;
      default: {
        const double value = metric_value(*state);
        out += "\"value\":";
        append_real(out, value);
        if ((state->type == FieldType::kDate || state->type == FieldType::kDateNanos) &&
            std::isfinite(value)) {
          fmt::format_to(std::back_inserter(out), ",\"value_as_string\":\"{}\"",
                         format_millis(static_cast<Nanos>(value) * kMilli));
        }
      }
    }
    out += '}';
  }
}

// Hits
// ---------------------------------------------------------------------------------------------------------

struct Hit {
  std::vector<Value> keys;
  std::size_t view = 0;
  const BlockInfo* block = nullptr;
  std::size_t row = 0;
};

class HitOrder {
 public:
  explicit HitOrder(const std::vector<SortField>& sort) : sort_(sort) {}
  std::strong_ordering keys(const std::vector<Value>& a, const std::vector<Value>& b) const {
    for (std::size_t i = 0; i < sort_.size(); ++i) {
      const bool no_a = a[i].kind == Value::Kind::kMissing;
      const bool no_b = b[i].kind == Value::Kind::kMissing;
      if (no_a || no_b) {
        if (no_a == no_b) {
          continue;
        }
        return no_a == sort_[i].missing_first ? std::strong_ordering::less : std::strong_ordering::greater;
      }
      const std::strong_ordering result = a[i] <=> b[i];
      if (result != 0) {
        return sort_[i].descending ? 0 <=> result : result;
      }
    }
    return std::strong_ordering::equal;
  }
  bool operator()(const Hit& a, const Hit& b) const {
    const std::strong_ordering result = keys(a.keys, b.keys);
    if (result != 0) {
      return result < 0;
    }
    return std::tuple(a.view, a.block->first_sequence, a.row) <
           std::tuple(b.view, b.block->first_sequence, b.row);
  }

 private:
  const std::vector<SortField>& sort_;
};

// Writes the part of `value` that the patterns let through; false: nothing of it.
bool append_filtered(std::string& out, dom::element value, const std::string& path, bool included,
                     const std::vector<std::string>& includes, const std::vector<std::string>& excludes) {
  const auto any = [&](const std::vector<std::string>& patterns, const std::string& name) {
    return std::ranges::any_of(patterns,
                               [&](const std::string& pattern) { return glob_match(pattern, name); });
  };
  dom::object object;
  dom::array array;
  if (value.get(object) == simdjson::SUCCESS) {
    const std::size_t start = out.size();
    out += '{';
    bool some = false;
    for (auto [key, member] : object) {
      const std::string name =
          path.empty() ? std::string(key) : fmt::format("{}.{}", path, std::string_view(key));
      if (any(excludes, name)) {
        continue;
      }
      const bool in = included || any(includes, name);
      const std::size_t before = out.size();
      if (some) {
        out += ',';
      }
      append_json_string(out, key);
      out += ':';
      if (append_filtered(out, member, name, in, includes, excludes)) {
        some = true;
      } else {
        out.resize(before);
      }
    }
    out += '}';
    if (!some && !included && !path.empty()) {
      out.resize(start);
      return false;
    }
    return true;
  }
  if (value.get(array) == simdjson::SUCCESS) {
    const std::size_t start = out.size();
    out += '[';
    bool some = false;
    for (dom::element item : array) {
      const std::size_t before = out.size();
      if (some) {
        out += ',';
      }
      if (append_filtered(out, item, path, included, includes, excludes)) {
        some = true;
      } else {
        out.resize(before);
      }
    }
    out += ']';
    if (!some && !included) {
      out.resize(start);
      return false;
    }
    return true;
  }
  if (!included) {
    return false;
  }
  out += simdjson::minify(value);
  return true;
}

// Everything of one search that depends on one view.
struct ViewState {
  BoundQuery query;
  std::vector<const Field*> sort_fields;
  std::vector<Value> after;
  std::vector<BoundAggregation> aggregations;
};

class Search {
 public:
  Search(const std::vector<IndexView>& views, const SearchRequest& request, Nanos now,
         const FindIdsIn& find_ids)
      : views_(views), request_(request), now_(now), find_ids_(find_ids), order_(request.sort) {}

  Outcome<std::string> run() {
    auto answer = search();
    if (!answer) {
      answer.error().of_search = true;
    }
    return answer;
  }

 private:
  Outcome<std::string> search() {
    const std::uint64_t started = monotonic_now();
    std::size_t window = 10'000;
    for (const IndexView& view : views_) {
      window = std::min(std::max<std::size_t>(window, view.result_window), view.result_window);
    }
    if (request_.from + request_.size > window) {
      return illegal(fmt::format(
          "Result window is too large, from + size must be less than or equal to: [{}] but was [{}]", window,
          request_.from + request_.size));
    }
    NARU_TRY_VOID(bind());
    if (auto collected = collect(started); !collected) {
      if (collected.error().code() == ErrorCode::kOverloaded) {
        return refuse(503, "too_many_buckets_exception", collected.error().message());
      }
      return std::unexpected(from_error(collected.error()));
    }
    std::string out;
    const std::string shards = fmt::format(
        "\"_shards\":{{\"total\":{0},\"successful\":{0},\"skipped\":0,\"failed\":0}}", views_.size());
    if (request_.count_only) {
      return fmt::format("{{\"count\":{},{}}}", total_, shards);
    }
    std::vector<std::string> hits;
    if (auto fetched = fetch(hits); !fetched) {
      return std::unexpected(from_error(fetched.error()));
    }
    fmt::format_to(std::back_inserter(out), "{{\"took\":{},\"timed_out\":{},{},\"hits\":{{",
                   (monotonic_now() - started) / kNanosPerMilli, timed_out_, shards);
    if (request_.track_total > 0) {
      const bool more = total_ > request_.track_total || stopped_early_;
      fmt::format_to(std::back_inserter(out), "\"total\":{{\"value\":{},\"relation\":\"{}\"}},",
                     more ? std::min(total_, request_.track_total) : total_, more ? "gte" : "eq");
    }
    out += "\"max_score\":";
    out += views_.empty() ? "0.0" : scored() && !hits.empty() ? "1.0" : "null";
    out += ",\"hits\":[";
    for (std::size_t i = 0; i < hits.size(); ++i) {
      if (i != 0) {
        out += ',';
      }
      out += hits[i];
    }
    out += "]}";
    if (!aggregations_.empty()) {
      out += ",\"aggregations\":{";
      std::size_t buckets_left = kBucketsMax;
      append_aggregations(out, aggregations_, buckets_left);
      out += '}';
      if (buckets_left == 0) {
        return refuse(503, "too_many_buckets_exception",
                      fmt::format("Trying to create too many buckets. Must be less than or equal to: [{}]",
                                  kBucketsMax));
      }
    }
    out += '}';
    return out;
  }

  bool scored() const {
    return request_.sort.empty() || std::ranges::any_of(request_.sort, [](const SortField& field) {
             return field.kind == SortField::Kind::kScore;
           });
  }

  Outcome<void> bind() {
    for (const IndexView& view : views_) {
      const FindIds find_ids = [&](const std::vector<std::string>& ids) { return find_ids_(view, ids); };
      ViewState state;
      NARU_TRY(state.query, bind_query(request_.query, view, now_, find_ids));
      for (std::size_t i = 0; i < request_.sort.size(); ++i) {
        const SortField& sort = request_.sort[i];
        const Field* field = nullptr;
        if (sort.kind == SortField::Kind::kField) {
          NARU_TRY(field, value_field(view, sort.field));
          if (field == nullptr && !sort.unmapped_ok && view.mapping->resolve(sort.field).field == nullptr) {
            return refuse(400, "query_shard_exception",
                          fmt::format("No mapping found for [{}] in order to sort on", sort.field));
          }
        }
        state.sort_fields.push_back(field);
        if (!request_.search_after.empty()) {
          NARU_TRY(Value after, after_value(sort, field, request_.search_after[i]));
          state.after.push_back(std::move(after));
        }
      }
      for (const Aggregation& spec : request_.aggregations) {
        NARU_TRY(BoundAggregation bound, runner_.bind(spec, view, now_, find_ids));
        state.aggregations.push_back(std::move(bound));
      }
      states_.push_back(std::move(state));
    }
    for (const Aggregation& spec : request_.aggregations) {
      aggregations_.push_back(std::make_unique<AggregationState>(spec));
    }
    return {};
  }

  static Outcome<Value> after_value(const SortField& sort, const Field* field, const std::string& text) {
    if (text == "null") {
      return Value{};
    }
    if (sort.kind == SortField::Kind::kId) {
      return Value::of(std::string_view(text));
    }
    std::int64_t whole = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
    const bool is_whole = error == std::errc() && end == text.data() + text.size();
    if (sort.kind == SortField::Kind::kDocument || (field != nullptr && field->is_integral())) {
      if (is_whole) {
        return Value::of(field != nullptr && field->type == FieldType::kDate ? whole * kMilli : whole);
      }
      if (field != nullptr && field->is_date()) {
        if (const auto span = parse_date(text)) {
          return Value::of(span->first);
        }
      }
      return illegal(
          fmt::format("Failed to parse search_after value [{}] for field [{}].", text, sort.field));
    }
    if (sort.kind == SortField::Kind::kScore || (field != nullptr && field->is_real())) {
      double real = 0;
      const auto [real_end, real_error] = std::from_chars(text.data(), text.data() + text.size(), real);
      if (real_error != std::errc() || real_end != text.data() + text.size()) {
        return illegal(
            fmt::format("Failed to parse search_after value [{}] for field [{}].", text, sort.field));
      }
      return Value::of(real);
    }
    return Value::of(std::string_view(text));
  }

  struct Place {
    std::size_t view;
    const BlockInfo* block;
  };

  // Sorted by @timestamp first: blocks in that order, so that a full list of hits ends the work early.
  bool by_time() const {
    return !request_.sort.empty() && request_.sort[0].kind == SortField::Kind::kField &&
           request_.sort[0].field == kTimeField;
  }

  Result<void> collect(std::uint64_t started) {
    std::vector<Place> places;
    for (std::size_t view = 0; view < views_.size(); ++view) {
      for (const BlockInfo& block : views_[view].blocks) {
        places.push_back({view, &block});
      }
    }
    const bool timed = by_time();
    const bool descending = timed && request_.sort[0].descending;
    if (timed) {
      std::ranges::sort(places, [&](const Place& a, const Place& b) {
        return descending ? a.block->max_time > b.block->max_time : a.block->min_time < b.block->min_time;
      });
    }
    const std::size_t wanted = request_.from + request_.size;
    const std::uint64_t deadline =
        request_.timeout_millis ? started + *request_.timeout_millis * kNanosPerMilli : UINT64_MAX;
    for (std::size_t at = 0; at < places.size(); ++at) {
      const Place& place = places[at];
      if (monotonic_now() > deadline) {
        timed_out_ = true;
        break;
      }
      bool competes = wanted > 0;
      if (competes && timed && top_.size() == wanted && top_.front().keys[0].kind == Value::Kind::kInteger &&
          place.block->every_row_timed) {
        const std::int64_t worst = top_.front().keys[0].integer;
        competes = descending ? place.block->max_time >= worst : place.block->min_time <= worst;
      } else if (competes && request_.sort.empty() && top_.size() == wanted) {
        competes = false;  // in order of storage: later blocks cannot come first
      }
      if (!competes && aggregations_.empty() && total_ >= request_.track_total) {
        stopped_early_ = true;
        continue;
      }
      if (at >= looked_at_) {
        NARU_TRY_VOID(look_ahead(places, at));
      }
      if (hopeless_[at] != 0) {
        continue;
      }
      NARU_TRY_VOID(collect_block(place, competes, wanted));
    }
    return {};
  }

  // Asks the filters of the next blocks which of them cannot match, on several threads: a rare term is looked
  // up in every block, and that is nearly all of such a search.
  Result<void> look_ahead(const std::vector<Place>& places, std::size_t first) {
    hopeless_.resize(places.size());
    looked_at_ = std::min(first + kLookAhead, places.size());
    const bool filters = std::ranges::any_of(states_, [](const ViewState& state) {
      return std::ranges::any_of(state.query.leaves, [](const Leaf& leaf) { return !leaf.terms.empty(); });
    });
    if (!filters) {
      return {};
    }
    const std::size_t threads = looked_at_ - first < kLookAheadAlone ? 1 : kLookAheadThreads;
    std::vector<Result<void>> results(threads);
    const auto look = [&](std::size_t thread) {
      for (std::size_t at = first + thread; at < looked_at_ && results[thread]; at += threads) {
        BlockReader block(views_[places[at].view], *places[at].block, reader_);
        const auto possible = may_match(states_[places[at].view].query, block);
        if (possible) {
          hopeless_[at] = *possible ? 0 : 1;
        } else {
          results[thread] = fail(possible.error());
        }
      }
    };
    {
      std::vector<std::jthread> others;
      for (std::size_t thread = 1; thread < threads; ++thread) {
        others.emplace_back(look, thread);
      }
      look(0);
    }
    for (Result<void>& result : results) {
      NARU_TRY_VOID(std::move(result));
    }
    return {};
  }

  Result<void> collect_block(const Place& place, bool competes, std::size_t wanted) {
    const ViewState& state = states_[place.view];
    BlockReader block(views_[place.view], *place.block, reader_);
    NARU_TRY(const Rows rows, match(state.query, block, block.live_rows()));
    if (rows.none()) {
      return {};
    }
    total_ += rows.count();
    for (std::size_t i = 0; i < aggregations_.size(); ++i) {
      NARU_TRY_VOID(runner_.collect(*aggregations_[i], state.aggregations[i], block, rows));
    }
    if (!competes) {
      return {};
    }
    std::vector<FieldValues> values;
    for (const Field* field : state.sort_fields) {
      NARU_TRY(FieldValues opened, FieldValues::open(block, field));
      values.push_back(std::move(opened));
    }
    Result<void> read;
    std::vector<Value> found;
    Hit hit;
    rows.for_each([&](std::size_t row) {
      if (!read) {
        return;
      }
      hit = Hit{{}, place.view, place.block, row};
      for (std::size_t i = 0; i < request_.sort.size() && read; ++i) {
        const SortField& sort = request_.sort[i];
        switch (sort.kind) {
          case SortField::Kind::kDocument:  // unique over all views of this search
            hit.keys.push_back(
                Value::of(static_cast<std::int64_t>(place.view << 40 | (place.block->first_sequence + row))));
            break;
          case SortField::Kind::kScore: hit.keys.push_back(Value::of(1.0)); break;
          case SortField::Kind::kId: {
            auto ids = block.ids();
            if (!ids) {
              read = fail(std::move(ids).error());
              break;
            }
            hit.keys.push_back(Value::of(std::string_view((*ids)->id(row))));
            break;
          }
          case SortField::Kind::kField:
            read = values[i].read(row, found);
            hit.keys.push_back(found.empty()     ? Value{}
                               : sort.descending ? std::ranges::max(found)
                                                 : std::ranges::min(found));
            break;
        }
      }
      if (!read || (!state.after.empty() && order_.keys(hit.keys, state.after) <= 0)) {
        return;
      }
      if (top_.size() < wanted) {
        top_.push_back(std::move(hit));
        std::ranges::push_heap(top_, order_);
      } else if (order_(hit, top_.front())) {
        std::ranges::pop_heap(top_, order_);
        top_.back() = std::move(hit);
        std::ranges::push_heap(top_, order_);
      }
    });
    return read;
  }

  // Documents of the hits, block by block so that one block is in memory at a time.
  Result<void> fetch(std::vector<std::string>& out) {
    std::ranges::sort_heap(top_, order_);
    if (request_.from >= top_.size()) {
      return {};
    }
    top_.erase(top_.begin(), top_.begin() + static_cast<std::ptrdiff_t>(request_.from));
    std::vector<std::size_t> by_block(top_.size());
    for (std::size_t i = 0; i < by_block.size(); ++i) {
      by_block[i] = i;
    }
    std::ranges::sort(by_block, {}, [&](std::size_t i) {
      return std::tuple(top_[i].view, top_[i].block->first_sequence, top_[i].row);
    });
    out.resize(top_.size());
    std::optional<BlockReader> block;
    for (std::size_t i : by_block) {
      const Hit& hit = top_[i];
      if (!block || &block->block() != hit.block) {
        block.emplace(views_[hit.view], *hit.block, reader_);
      }
      NARU_TRY(const IdsView* ids, block->ids());
      std::string& text = out[i];
      text = "{\"_index\":";
      append_json_string(text, views_[hit.view].index->name);
      text += ",\"_id\":";
      append_json_string(text, ids->id(hit.row));
      if (request_.version) {
        text += ",\"_version\":1";
      }
      text += scored() ? ",\"_score\":1.0" : ",\"_score\":null";
      if (request_.source) {
        NARU_TRY(const std::string_view document, block->document(hit.row));
        text += ",\"_source\":";
        if (request_.source_includes.empty() && request_.source_excludes.empty()) {
          text += document;
        } else {
          dom::element root;
          if (parser_.parse(document.data(), document.size()).get(root)) {
            return fail(ErrorCode::kCorrupt, "a stored document is no JSON");
          }
          append_filtered(text, root, {}, request_.source_includes.empty(), request_.source_includes,
                          request_.source_excludes);
        }
      }
      NARU_TRY_VOID(append_fields(text, hit, *block));
      if (!request_.sort.empty()) {
        append_sort(text, hit);
      }
      text += '}';
    }
    return {};
  }

  Result<void> append_fields(std::string& out, const Hit& hit, BlockReader& block) {
    const char* comma = ",\"fields\":{";
    std::vector<Value> found;
    for (const std::string& name : request_.fields) {
      const auto field = value_field(views_[hit.view], name);
      if (!field || *field == nullptr) {
        continue;
      }
      NARU_TRY(const FieldValues values, FieldValues::open(block, *field));
      NARU_TRY_VOID(values.read(hit.row, found));
      if (found.empty()) {
        continue;
      }
      out += comma;
      comma = ",";
      append_json_string(out, name);
      out += ":[";
      for (std::size_t i = 0; i < found.size(); ++i) {
        out += i == 0 ? "" : ",";
        if ((*field)->is_date()) {
          out += fmt::format("\"{}\"", format_millis(found[i].integer));
        } else if ((*field)->type == FieldType::kBoolean) {
          out += found[i].integer != 0 ? "true" : "false";
        } else {
          append_value(out, found[i]);
        }
      }
      out += ']';
    }
    if (*comma == ',' && comma[1] == '\0') {
      out += '}';
    }
    return {};
  }

  static void append_value(std::string& out, const Value& value) {
    switch (value.kind) {
      case Value::Kind::kMissing: out += "null"; break;
      case Value::Kind::kInteger: out += fmt::format("{}", value.integer); break;
      case Value::Kind::kReal: append_real(out, value.real); break;
      case Value::Kind::kText: append_json_string(out, value.text); break;
    }
  }

  void append_sort(std::string& out, const Hit& hit) const {
    out += ",\"sort\":[";
    for (std::size_t i = 0; i < hit.keys.size(); ++i) {
      out += i == 0 ? "" : ",";
      const Field* field = states_[hit.view].sort_fields[i];
      Value value = hit.keys[i];
      if (field != nullptr && field->type == FieldType::kDate && value.kind == Value::Kind::kInteger) {
        value.integer /= kMilli;
      }
      append_value(out, value);
    }
    out += ']';
  }

  const std::vector<IndexView>& views_;
  const SearchRequest& request_;
  Nanos now_;
  const FindIdsIn& find_ids_;
  HitOrder order_;
  AggregationRunner runner_;
  std::vector<ViewState> states_;
  std::vector<std::unique_ptr<AggregationState>> aggregations_;
  std::vector<Hit> top_;        // a heap, the worst in front
  std::vector<char> hopeless_;  // by place, up to looked_at_
  std::size_t looked_at_ = 0;
  std::uint64_t total_ = 0;
  bool stopped_early_ = false;
  bool timed_out_ = false;
  DocumentReader reader_;
  dom::parser parser_;
};

}  // namespace

Outcome<std::string> run_search(const std::vector<IndexView>& views, const SearchRequest& request, Nanos now,
                                const FindIdsIn& find_ids) {
  return Search(views, request, now, find_ids).run();
}

}  // namespace naru::store
