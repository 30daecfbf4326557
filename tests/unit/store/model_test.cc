// Random documents and queries: the store must answer what a look at every document answers.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "store/analyzer.h"
#include "tests/unit/store/test_store.h"

namespace naru::store {
namespace {

constexpr const char* kWords[] = {"error", "timeout",  "Order", "10.0.0.1",
                                  "나루",  "accepted", "by",    "upstream"};

struct Document {
  std::string id;
  std::optional<std::int64_t> time;  // milliseconds
  std::optional<int> status;
  std::optional<double> took;
  std::vector<std::string> levels;
  std::string body;
  std::map<std::string, std::string> attributes;

  std::string json() const {
    std::string out = fmt::format("{{\"body\":\"{}\"", body);
    if (time) {
      out += fmt::format(",\"@timestamp\":{}", *time);
    }
    if (status) {
      out += fmt::format(",\"status\":{}", *status);
    }
    if (took) {
      out += fmt::format(",\"took\":{}", *took);
    }
    if (levels.size() == 1) {
      out += fmt::format(",\"level\":\"{}\"", levels[0]);
    } else if (!levels.empty()) {
      out += fmt::format(",\"level\":[\"{}\"]", fmt::join(levels, "\",\""));
    }
    out += ",\"attributes\":{";
    const char* comma = "";
    for (const auto& [key, value] : attributes) {
      out += fmt::format("{}\"{}\":\"{}\"", comma, key, value);
      comma = ",";
    }
    return out + "}}";
  }
};

using Random = std::mt19937_64;

Document random_document(Random& random, int number) {
  Document out;
  out.id = fmt::format("doc-{}", number);
  if (random() % 20 != 0) {
    out.time = 1'795'219'200'000 + static_cast<std::int64_t>(number * 100 + random() % 5000);
  }
  if (random() % 4 != 0) {
    out.status = static_cast<int>(200 + random() % 5 * 75);
  }
  if (random() % 3 != 0) {
    out.took = static_cast<double>(random() % 100) / 4;
  }
  for (std::uint64_t i = random() % 8 == 0 ? 2 : random() % 2; i > 0; --i) {
    out.levels.push_back(fmt::format("L{}", random() % 4));
  }
  for (std::uint64_t i = random() % 6; i > 0; --i) {
    out.body += fmt::format("{} ", kWords[random() % std::size(kWords)]);
  }
  if (random() % 200 == 0) {
    out.body += "rare";
  }
  if (random() % 2 == 0) {
    out.attributes["http.method"] = random() % 2 == 0 ? "GET" : "POST";
  }
  if (random() % 3 == 0) {
    out.attributes["request"] = fmt::format("{}", random() % 1000);
  }
  return out;
}

// A query as JSON, and the same as a function over documents.
struct RandomQuery {
  std::string json;
  std::function<bool(const Document&)> matches;
};

RandomQuery random_query(Random& random, int depth) {
  switch (random() % (depth > 0 ? 10 : 8)) {
    case 0: {
      const std::string level = fmt::format("L{}", random() % 5);
      return {fmt::format(R"({{"term":{{"level":"{}"}}}})", level),
              [=](const Document& d) { return std::ranges::find(d.levels, level) != d.levels.end(); }};
    }
    case 1: {
      const int low = static_cast<int>(200 + random() % 350);
      const int high = low + static_cast<int>(random() % 200);
      return {fmt::format(R"({{"range":{{"status":{{"gt":{},"lte":{}}}}}}})", low, high),
              [=](const Document& d) { return d.status && *d.status > low && *d.status <= high; }};
    }
    case 2: {
      const std::int64_t low = 1'795'219'200'000 + static_cast<std::int64_t>(random() % 300'000);
      const std::int64_t high = low + static_cast<std::int64_t>(random() % 100'000);
      return {fmt::format(R"({{"range":{{"@timestamp":{{"gte":{},"lt":{},"format":"epoch_millis"}}}}}})", low,
                          high),
              [=](const Document& d) { return d.time && *d.time >= low && *d.time < high; }};
    }
    case 3: {
      const bool all = random() % 2 == 0;
      const std::string first = random() % 5 == 0 ? "rare" : kWords[random() % std::size(kWords)];
      const std::string second = kWords[random() % std::size(kWords)];
      const std::vector<std::string> wanted = tokens_of(first + " " + second);
      return {fmt::format(R"({{"match":{{"body":{{"query":"{} {}","operator":"{}"}}}}}})", first, second,
                          all ? "and" : "or"),
              [=](const Document& d) {
                const std::vector<std::string> tokens = tokens_of(d.body);
                const auto has = [&](const std::string& word) {
                  return std::ranges::find(tokens, word) != tokens.end();
                };
                return all ? std::ranges::all_of(wanted, has) : std::ranges::any_of(wanted, has);
              }};
    }
    case 4: {
      const std::vector<std::string> phrase = tokens_of(
          fmt::format("{} {}", kWords[random() % std::size(kWords)], kWords[random() % std::size(kWords)]));
      return {fmt::format(R"({{"match_phrase":{{"body":"{}"}}}})", fmt::join(phrase, " ")),
              [=](const Document& d) {
                const std::vector<std::string> tokens = tokens_of(d.body);
                return !std::ranges::search(tokens, phrase).empty();
              }};
    }
    case 5: {
      const std::string value = fmt::format("{}", random() % 1000);
      return {fmt::format(
                  R"({{"query_string":{{"query":"attributes.request:{} OR attributes.http.method:GET"}}}})",
                  value),
              [=](const Document& d) {
                const auto request = d.attributes.find("request");
                const auto method = d.attributes.find("http.method");
                return (request != d.attributes.end() && request->second == value) ||
                       (method != d.attributes.end() && method->second == "GET");
              }};
    }
    case 6: return {R"({"exists":{"field":"took"}})", [](const Document& d) { return d.took.has_value(); }};
    case 7: {
      const double value = static_cast<double>(random() % 100) / 4;
      return {fmt::format(R"({{"terms":{{"took":[{},99.5]}}}})", value),
              [=](const Document& d) { return d.took && *d.took == value; }};
    }
    default: {
      std::vector<RandomQuery> must;
      std::vector<RandomQuery> should;
      std::vector<RandomQuery> must_not;
      for (auto* list : {&must, &should, &must_not}) {
        for (std::uint64_t i = random() % 3; i > 0; --i) {
          list->push_back(random_query(random, depth - 1));
        }
      }
      const std::size_t minimum = should.empty() ? 0 : random() % (should.size() + 1);
      const auto join = [](const std::vector<RandomQuery>& list) {
        std::string out;
        for (const RandomQuery& query : list) {
          out += (out.empty() ? "" : ",") + query.json;
        }
        return out;
      };
      return {
          fmt::format(R"({{"bool":{{"must":[{}],"should":[{}],"must_not":[{}],"minimum_should_match":{}}}}})",
                      join(must), join(should), join(must_not), minimum),
          [=](const Document& d) {
            const auto holds = [&](const RandomQuery& query) { return query.matches(d); };
            return std::ranges::all_of(must, holds) && std::ranges::none_of(must_not, holds) &&
                   static_cast<std::size_t>(std::ranges::count_if(should, holds)) >= minimum;
          }};
    }
  }
}

class ModelTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ModelTest, SearchesFindExactlyWhatALookAtEveryDocumentFinds) {
  Random random(GetParam());
  TestStore store;
  store.ok(
      "PUT", "/m",
      R"({"mappings":{"dynamic":"strict","properties":{"@timestamp":{"type":"date_nanos"},"status":{"type":"integer"},
"took":{"type":"double"},"level":{"type":"keyword"},"body":{"type":"text"},"attributes":{"type":"flat_object"}}}})");
  std::map<std::string, Document> documents;
  int number = 0;
  for (int bulk = 0; bulk < 25; ++bulk) {
    std::string body;
    const int size = random() % 3 == 0 ? 1 : static_cast<int>(1 + random() % 300);
    for (int i = 0; i < size; ++i) {
      const bool again = number > 10 && random() % 30 == 0;  // overwrites an old one
      Document document = random_document(
          random, again ? static_cast<int>(random() % static_cast<std::uint64_t>(number)) : number++);
      body += fmt::format("{{\"index\":{{\"_id\":\"{}\"}}}}\n{}\n", document.id, document.json());
      documents[document.id] = std::move(document);
    }
    EXPECT_EQ(difference(R"({"errors":false})", store.ok("POST", "/m/_bulk", body)), "");
    if (bulk % 8 == 7) {
      store.store->maintain(wall_now());
    }
    if (bulk == 15) {
      store.close();
      store.open();
    }
  }
  simdjson::dom::parser parser;
  for (int round = 0; round < 150; ++round) {
    const RandomQuery query = random_query(random, 3);
    std::vector<std::pair<std::int64_t, std::string>> expected;
    std::map<int, int> by_status;
    std::map<std::int64_t, int> by_minute;
    for (const auto& [id, document] : documents) {
      if (query.matches(document)) {
        expected.emplace_back(document.time ? -*document.time : INT64_MAX, id);
        if (document.status) {
          ++by_status[*document.status];
        }
        if (document.time) {
          ++by_minute[*document.time / 60'000 * 60'000];
        }
      }
    }
    std::ranges::sort(expected);
    const std::size_t size = round % 2 == 0 ? 20 : 10'000;
    const std::string answer = store.ok(
        "POST", "/m/_search",
        fmt::format(
            R"({{"track_total_hits":true,"size":{},"_source":false,"sort":[{{"@timestamp":"desc"}},{{"_id":"asc"}}],"query":{},)"
            R"("aggs":{{"s":{{"terms":{{"field":"status","order":{{"_key":"asc"}}}}}},"t":{{"date_histogram":{{"field":"@timestamp","fixed_interval":"1m","min_doc_count":1}}}}}}}})",
            size, query.json));
    const auto root = parser.parse(answer).value();
    ASSERT_EQ(std::uint64_t(root["hits"]["total"]["value"]), expected.size()) << query.json;
    std::vector<std::string> ids;
    for (simdjson::dom::element hit : simdjson::dom::array(root["hits"]["hits"])) {
      ids.emplace_back(std::string_view(hit["_id"]));
    }
    expected.resize(std::min(expected.size(), size));
    ASSERT_EQ(ids.size(), expected.size()) << query.json;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      ASSERT_EQ(ids[i], expected[i].second) << i << " of " << query.json;
    }
    std::map<int, int> statuses;
    for (simdjson::dom::element bucket : simdjson::dom::array(root["aggregations"]["s"]["buckets"])) {
      statuses[static_cast<int>(std::int64_t(bucket["key"]))] =
          static_cast<int>(std::int64_t(bucket["doc_count"]));
    }
    EXPECT_EQ(statuses, by_status) << query.json;
    std::map<std::int64_t, int> minutes;
    for (simdjson::dom::element bucket : simdjson::dom::array(root["aggregations"]["t"]["buckets"])) {
      minutes[std::int64_t(bucket["key"])] = static_cast<int>(std::int64_t(bucket["doc_count"]));
    }
    EXPECT_EQ(minutes, by_minute) << query.json;
  }
  // Page by page through everything.
  std::set<std::string> seen;
  std::string after;
  for (;;) {
    const std::string answer = store.ok(
        "POST", "/m/_search",
        fmt::format(R"({{"size":97,"_source":false,"sort":[{{"@timestamp":"asc"}},{{"_id":"asc"}}]{}}})",
                    after));
    const auto root = parser.parse(answer).value();
    const simdjson::dom::array hits = root["hits"]["hits"];
    if (hits.size() == 0) {
      break;
    }
    for (simdjson::dom::element hit : hits) {
      EXPECT_TRUE(seen.emplace(std::string_view(hit["_id"])).second);
      after = ",\"search_after\":" + simdjson::minify(hit["sort"].value());
    }
  }
  EXPECT_EQ(seen.size(), documents.size());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Values(1, 2, 3, 4, 5, 6));

}  // namespace
}  // namespace naru::store
