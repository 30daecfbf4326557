// One search: request -> blocks of the views -> JSON. Private to the store.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/index.h"
#include "store/match.h"
#include "store/query.h"

namespace naru::store {

inline constexpr std::size_t kBucketsMax = 65'535;      // search.max_buckets
inline constexpr std::size_t kDistinctMax = 1'000'000;  // different keys one terms aggregation may count

struct SortField {
  enum class Kind : std::uint8_t { kField, kId, kDocument, kScore };
  Kind kind = Kind::kField;
  std::string field;
  bool descending = false;
  bool unmapped_ok = false;
  bool missing_first = false;
};

struct Aggregation {
  enum class Kind : std::uint8_t {
    kDateHistogram,
    kTerms,
    kFilter,
    kFilters,
    kMin,
    kMax,
    kSum,
    kAvg,
    kStats,
    kValueCount
  };
  Kind kind = Kind::kTerms;
  std::string name;
  std::string field;
  Nanos interval = 0;  // kDateHistogram; 0: calendar
  char unit = 'd';
  Nanos offset = 0;                           // of the time zone
  std::optional<Nanos> bound_min, bound_max;  // extended_bounds
  bool epoch_format = false;
  std::uint64_t min_doc_count = 1;
  std::size_t size = 10;
  struct Order {
    std::string by;  // _count, _key, or the name of a metric below
    bool descending = true;
  };
  std::vector<Order> order;
  std::vector<std::pair<std::string, Query>> filters;
  std::vector<Aggregation> children;
};

struct SearchRequest {
  Query query;
  std::size_t size = 10;
  std::size_t from = 0;
  std::vector<SortField> sort;
  std::vector<std::string> search_after;  // as JSON
  std::uint64_t track_total = 10'000;     // count exactly up to here; 0: no total
  bool source = true;
  bool version = false;
  std::vector<std::string> source_includes, source_excludes;
  std::vector<std::string> fields;  // docvalue_fields
  std::vector<Aggregation> aggregations;
  std::optional<std::uint64_t> timeout_millis;
  bool count_only = false;
};

// `body` may be empty. parsing_exception names what is not known.
Outcome<SearchRequest> parse_search(std::string_view body, bool count_only, Nanos now);

using FindIdsIn = std::function<Result<std::vector<std::uint64_t>>(const IndexView& view,
                                                                   const std::vector<std::string>& ids)>;

Outcome<std::string> run_search(const std::vector<IndexView>& views, const SearchRequest& request, Nanos now,
                                const FindIdsIn& find_ids);

}  // namespace naru::store
