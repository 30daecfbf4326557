// The body of `_search` and `_count`.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "store/search.h"

namespace naru::store {
namespace {

namespace dom = simdjson::dom;

constexpr int kAggregationDepthMax = 6;

std::unexpected<ApiError> unknown_key(std::string_view where, std::string_view key) {
  return unparsable(fmt::format("[{}] unknown or unsupported field [{}]", where, key));
}

Outcome<std::vector<std::string>> string_list(std::string_view key, dom::element value) {
  std::vector<std::string> out;
  std::string_view one;
  dom::array list;
  if (value.get(one) == simdjson::SUCCESS) {
    out.emplace_back(one);
  } else if (value.get(list) == simdjson::SUCCESS) {
    for (dom::element item : list) {
      if (item.get(one) != simdjson::SUCCESS) {
        return unparsable(fmt::format("[{}] must hold strings", key));
      }
      out.emplace_back(one);
    }
  } else {
    return unparsable(fmt::format("[{}] must be a string or a list of strings", key));
  }
  return out;
}

Outcome<bool> descending_of(std::string_view order) {
  if (order != "asc" && order != "desc") {
    return illegal(fmt::format("unknown sort order [{}]", order));
  }
  return order == "desc";
}

SortField sort_field(std::string_view name) {
  SortField field;
  field.kind = name == "_doc" || name == "_shard_doc" ? SortField::Kind::kDocument
               : name == "_id"                        ? SortField::Kind::kId
               : name == "_score"                     ? SortField::Kind::kScore
                                                      : SortField::Kind::kField;
  field.field = name;
  field.descending = field.kind == SortField::Kind::kScore;
  return field;
}

Outcome<void> parse_sort(dom::element value, std::vector<SortField>& out) {
  dom::array list;
  if (value.get(list) == simdjson::SUCCESS) {
    for (dom::element item : list) {
      NARU_TRY_VOID(parse_sort(item, out));
    }
    return {};
  }
  std::string_view name;
  if (value.get(name) == simdjson::SUCCESS) {
    out.push_back(sort_field(name));
    return {};
  }
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    return unparsable("[sort] must hold field names or objects");
  }
  for (auto [key, body] : object) {
    SortField field = sort_field(key);
    dom::object options;
    if (body.get(name) == simdjson::SUCCESS) {
      NARU_TRY(field.descending, descending_of(name));
    } else if (body.get(options) == simdjson::SUCCESS) {
      for (auto [option, setting] : options) {
        if (setting.get(name) != simdjson::SUCCESS) {
          return unknown_key("field_sort", option);
        }
        if (option == "order") {
          NARU_TRY(field.descending, descending_of(name));
        } else if (option == "unmapped_type") {
          field.unmapped_ok = true;
        } else if (option == "missing" && (name == "_last" || name == "_first")) {
          field.missing_first = name == "_first";
        } else {
          return unknown_key("field_sort", option);
        }
      }
    } else {
      return unparsable(fmt::format("[sort] of [{}] must be an order or an object", std::string_view(key)));
    }
    out.push_back(std::move(field));
  }
  return {};
}

Outcome<std::vector<Aggregation>> parse_aggregations(dom::element value, int depth, Nanos now);

Outcome<void> parse_histogram(Aggregation& out, dom::object body, Nanos now) {
  out.min_doc_count = 0;
  for (auto [key, value] : body) {
    std::string_view text;
    dom::object object;
    bool flag = false;
    if (key == "field" && value.get(text) == simdjson::SUCCESS) {
      out.field = text;
    } else if ((key == "fixed_interval" || key == "interval") && value.get(text) == simdjson::SUCCESS &&
               parse_interval(text)) {
      out.interval = *parse_interval(text);
    } else if (key == "fixed_interval" && value.get(text) == simdjson::SUCCESS) {
      return illegal(fmt::format(
          "failed to parse [fixed_interval] with value [{}]: a number and ms, s, m, h or d is needed", text));
    } else if ((key == "calendar_interval" || key == "interval") && value.get(text) == simdjson::SUCCESS) {
      static constexpr std::pair<std::string_view, char> kUnits[] = {
          {"second", 's'},  {"1s", 's'}, {"minute", 'm'}, {"1m", 'm'}, {"hour", 'h'},  {"1h", 'h'},
          {"day", 'd'},     {"1d", 'd'}, {"week", 'w'},   {"1w", 'w'}, {"month", 'M'}, {"1M", 'M'},
          {"quarter", 'q'}, {"1q", 'q'}, {"year", 'y'},   {"1y", 'y'}};
      const auto* unit = std::ranges::find(kUnits, text, [](const auto& entry) { return entry.first; });
      if (unit == std::end(kUnits)) {
        return illegal(
            fmt::format("The supplied interval [{}] could not be parsed as a calendar interval.", text));
      }
      out.unit = unit->second;
    } else if (key == "min_doc_count" && value.get(out.min_doc_count) == simdjson::SUCCESS) {
      continue;
    } else if (key == "extended_bounds" && value.get(object) == simdjson::SUCCESS) {
      for (auto [side, bound] : object) {
        const auto given = scalar_text(bound);
        if (!given || (side != "min" && side != "max")) {
          return unknown_key("extended_bounds", side);
        }
        NARU_TRY(const DateSpan span, parse_date_bound(*given, DateFormat::kDefault, now));
        (side == "min" ? out.bound_min : out.bound_max) = span.first;
      }
    } else if (key == "time_zone" && value.get(text) == simdjson::SUCCESS && parse_zone(text)) {
      out.offset = *parse_zone(text);
    } else if (key == "format" && value.get(text) == simdjson::SUCCESS && date_format(text)) {
      out.epoch_format = *date_format(text) == DateFormat::kEpochMillis;
    } else if (!(key == "keyed" && value.get(flag) == simdjson::SUCCESS && !flag)) {
      return unknown_key("date_histogram", key);
    }
  }
  if (out.field.empty()) {
    return illegal("Required one of fields [field, script], but none were specified.");
  }
  return {};
}

Outcome<void> parse_terms(Aggregation& out, dom::object body) {
  for (auto [key, value] : body) {
    std::string_view text;
    std::uint64_t number = 0;
    bool flag = false;
    if (key == "field" && value.get(text) == simdjson::SUCCESS) {
      out.field = text;
    } else if (key == "size" && value.get(number) == simdjson::SUCCESS && number > 0) {
      out.size = number;
    } else if (key == "min_doc_count" && value.get(number) == simdjson::SUCCESS && number > 0) {
      out.min_doc_count = number;
    } else if (key == "order") {
      std::vector<dom::element> orders;
      dom::array list;
      if (value.get(list) == simdjson::SUCCESS) {
        orders.assign(list.begin(), list.end());
      } else {
        orders.push_back(value);
      }
      for (dom::element order : orders) {
        dom::object pair;
        if (order.get(pair) != simdjson::SUCCESS) {
          return unknown_key("terms", "order");
        }
        for (auto [by, direction] : pair) {
          if (direction.get(text) != simdjson::SUCCESS) {
            return unknown_key("terms", "order");
          }
          NARU_TRY(const bool descending, descending_of(text));
          out.order.push_back({by == "_term" ? std::string("_key") : std::string(by), descending});
        }
      }
    } else if (!(key == "shard_size" && value.get(number) == simdjson::SUCCESS) &&
               !(key == "show_term_doc_count_error" && value.get(flag) == simdjson::SUCCESS && !flag)) {
      return unknown_key("terms", key);
    }
  }
  if (out.field.empty()) {
    return illegal("Required one of fields [field, script], but none were specified.");
  }
  return {};
}

Outcome<Aggregation> parse_aggregation(std::string_view name, dom::object object, int depth, Nanos now) {
  static constexpr std::pair<std::string_view, Aggregation::Kind> kKinds[] = {
      {"date_histogram", Aggregation::Kind::kDateHistogram},
      {"terms", Aggregation::Kind::kTerms},
      {"filter", Aggregation::Kind::kFilter},
      {"filters", Aggregation::Kind::kFilters},
      {"min", Aggregation::Kind::kMin},
      {"max", Aggregation::Kind::kMax},
      {"sum", Aggregation::Kind::kSum},
      {"avg", Aggregation::Kind::kAvg},
      {"stats", Aggregation::Kind::kStats},
      {"value_count", Aggregation::Kind::kValueCount}};
  Aggregation out;
  out.name = name;
  bool named = false;
  for (auto [key, value] : object) {
    if (key == "aggs" || key == "aggregations") {
      NARU_TRY(out.children, parse_aggregations(value, depth + 1, now));
      continue;
    }
    const auto* kind =
        std::ranges::find(kKinds, std::string_view(key), [](const auto& entry) { return entry.first; });
    if (kind == std::end(kKinds)) {
      return unparsable(fmt::format("Unknown aggregation type [{}]", std::string_view(key)));
    }
    dom::object body;
    if (named || value.get(body) != simdjson::SUCCESS) {
      return unparsable(fmt::format("aggregation [{}] must have one type with an object", name));
    }
    named = true;
    out.kind = kind->second;
    switch (out.kind) {
      case Aggregation::Kind::kDateHistogram: NARU_TRY_VOID(parse_histogram(out, body, now)); break;
      case Aggregation::Kind::kTerms: NARU_TRY_VOID(parse_terms(out, body)); break;
      case Aggregation::Kind::kFilter: {
        NARU_TRY(Query query, parse_query(value));
        out.filters.emplace_back("", std::move(query));
        break;
      }
      case Aggregation::Kind::kFilters:
        for (auto [part, content] : body) {
          dom::object filters;
          if (part != "filters" || content.get(filters) != simdjson::SUCCESS) {
            return unknown_key("filters", part);
          }
          for (auto [label, filter] : filters) {
            NARU_TRY(Query query, parse_query(filter));
            out.filters.emplace_back(label, std::move(query));
          }
        }
        break;
      default:
        for (auto [part, content] : body) {
          std::string_view field;
          if (part != "field" || content.get(field) != simdjson::SUCCESS) {
            return unknown_key(key, part);
          }
          out.field = field;
        }
        if (out.field.empty()) {
          return illegal("Required one of fields [field, script], but none were specified.");
        }
    }
  }
  if (!named) {
    return unparsable(fmt::format("Missing definition for aggregation [{}]", name));
  }
  if (out.kind >= Aggregation::Kind::kMin && !out.children.empty()) {
    return refuse(400, "aggregation_initialization_exception",
                  fmt::format("Aggregator [{}] of a metric cannot accept sub-aggregations", name));
  }
  for (const Aggregation::Order& order : out.order) {
    const auto child = std::ranges::find(out.children, order.by, &Aggregation::name);
    if (order.by != "_count" && order.by != "_key" &&
        (child == out.children.end() || child->kind < Aggregation::Kind::kMin ||
         child->kind == Aggregation::Kind::kStats)) {
      return refuse(400, "aggregation_execution_exception",
                    fmt::format("Invalid aggregation order path [{}]", order.by));
    }
  }
  return out;
}

Outcome<std::vector<Aggregation>> parse_aggregations(dom::element value, int depth, Nanos now) {
  dom::object object;
  if (depth > kAggregationDepthMax || value.get(object) != simdjson::SUCCESS) {
    return unparsable(fmt::format("[aggs] must be an object, at most {} deep", kAggregationDepthMax));
  }
  std::vector<Aggregation> out;
  for (auto [name, body] : object) {
    dom::object definition;
    if (body.get(definition) != simdjson::SUCCESS) {
      return unparsable(
          fmt::format("Aggregation definition for [{}] must be an object", std::string_view(name)));
    }
    NARU_TRY(Aggregation made, parse_aggregation(name, definition, depth, now));
    out.push_back(std::move(made));
  }
  return out;
}

Outcome<void> parse_source(dom::element value, SearchRequest& out) {
  bool flag = false;
  if (value.get(flag) == simdjson::SUCCESS) {
    out.source = flag;
    return {};
  }
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    NARU_TRY(out.source_includes, string_list("_source", value));
    return {};
  }
  for (auto [key, list] : object) {
    if (key == "includes" || key == "include") {
      NARU_TRY(out.source_includes, string_list(key, list));
    } else if (key == "excludes" || key == "exclude") {
      NARU_TRY(out.source_excludes, string_list(key, list));
    } else {
      return unknown_key("_source", key);
    }
  }
  return {};
}

}  // namespace

Outcome<SearchRequest> parse_search(std::string_view body, bool count_only, Nanos now) {
  SearchRequest out;
  out.count_only = count_only;
  if (count_only) {
    out.size = 0;
    out.track_total = UINT64_MAX;
  }
  if (body.empty()) {
    return out;
  }
  dom::parser parser;
  dom::element root;
  dom::object members;
  if (auto code = parser.parse(body.data(), body.size()).get(root)) {
    return refuse(400, "parse_exception",
                  fmt::format("request body is not JSON: {}", simdjson::error_message(code)));
  }
  if (root.get(members) != simdjson::SUCCESS) {
    return unparsable("Expected [START_OBJECT] at the start of the request");
  }
  for (auto [key, value] : members) {
    std::string_view text;
    bool flag = false;
    dom::object object;
    if (key == "query") {
      NARU_TRY(out.query, parse_query(value));
      continue;
    }
    if (count_only) {
      return unparsable(fmt::format("request does not support [{}]", std::string_view(key)));
    }
    if (key == "size" || key == "from") {
      std::int64_t number = 0;
      if (value.get(number) != simdjson::SUCCESS || number < 0) {
        return illegal(
            fmt::format("[{}] parameter cannot be negative, and must be a number", std::string_view(key)));
      }
      (key == "size" ? out.size : out.from) = static_cast<std::size_t>(number);
    } else if (key == "sort") {
      NARU_TRY_VOID(parse_sort(value, out.sort));
    } else if (key == "search_after") {
      dom::array list;
      if (value.get(list) != simdjson::SUCCESS) {
        return unparsable("[search_after] must be a list");
      }
      for (dom::element one : list) {
        if (one.is_object() || one.is_array()) {
          return unparsable("[search_after] must hold scalars");
        }
        out.search_after.push_back(one.is_null() ? "null" : *scalar_text(one));
      }
    } else if (key == "track_total_hits") {
      std::int64_t number = 0;
      if (value.get(flag) == simdjson::SUCCESS) {
        out.track_total = flag ? UINT64_MAX : 0;
      } else if (value.get(number) == simdjson::SUCCESS && number >= -1) {
        out.track_total = number == -1 ? UINT64_MAX : static_cast<std::uint64_t>(number);
      } else {
        return illegal("[track_total_hits] parameter must be positive or equals to -1");
      }
    } else if (key == "_source") {
      NARU_TRY_VOID(parse_source(value, out));
    } else if (key == "aggs" || key == "aggregations") {
      NARU_TRY(out.aggregations, parse_aggregations(value, 1, now));
    } else if (key == "timeout" && value.get(text) == simdjson::SUCCESS) {
      const auto timeout = parse_interval(text);
      if (!timeout) {
        return illegal(
            fmt::format("failed to parse setting [timeout] with value [{}] as a time value", text));
      }
      out.timeout_millis = static_cast<std::uint64_t>(*timeout / kMilli);
    } else if (key == "version" && value.get(flag) == simdjson::SUCCESS) {
      out.version = flag;
    } else if (key == "docvalue_fields") {
      dom::array list;
      if (value.get(list) != simdjson::SUCCESS) {
        return unparsable("[docvalue_fields] must be a list");
      }
      for (dom::element one : list) {
        dom::object named;
        if (one.get(named) == simdjson::SUCCESS) {
          for (auto [option, content] : named) {
            if (option == "field" && content.get(text) == simdjson::SUCCESS) {
              out.fields.emplace_back(text);
            } else if (option != "format" || content.get(text) != simdjson::SUCCESS || !date_format(text)) {
              return unknown_key("docvalue_fields", option);
            }
          }
        } else if (one.get(text) == simdjson::SUCCESS) {
          out.fields.emplace_back(text);
        } else {
          return unparsable("[docvalue_fields] must hold names");
        }
      }
    } else if (!((key == "script_fields" || key == "ext") && value.get(object) == simdjson::SUCCESS &&
                 object.size() == 0) &&
               !((key == "explain" || key == "profile" || key == "track_scores" ||
                  key == "seq_no_primary_term") &&
                 value.get(flag) == simdjson::SUCCESS && !flag) &&
               !(key == "stored_fields" && value.is_array() && value.get_array().value_unsafe().size() == 1 &&
                 value.at(0).get(text) == simdjson::SUCCESS && text == "*")) {
      return unparsable(fmt::format("Unknown key for a {} in [{}].",
                                    value.is_object()   ? "START_OBJECT"
                                    : value.is_array()  ? "START_ARRAY"
                                    : value.is_string() ? "VALUE_STRING"
                                    : value.is_bool()   ? "VALUE_BOOLEAN"
                                    : value.is_null()   ? "VALUE_NULL"
                                                        : "VALUE_NUMBER",
                                    std::string_view(key)));
    }
  }
  if (!out.search_after.empty()) {
    if (out.from > 0) {
      return illegal("`from` parameter must be set to 0 when `search_after` is used.");
    }
    if (out.sort.size() != out.search_after.size()) {
      return illegal(fmt::format("search_after has {} value(s) but sort has {}.", out.search_after.size(),
                                 out.sort.size()));
    }
  }
  return out;
}

}  // namespace naru::store
