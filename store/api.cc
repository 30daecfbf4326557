#include "store/api.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "core/base/json_text.h"

namespace naru::store {

bool glob_match(std::string_view pattern, std::string_view text);
std::vector<std::string_view> split_list(std::string_view list);

namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kSearchesMax = 100;  // of one _msearch

using Parameters = std::map<std::string, std::string>;

// Percent-decoding; `+` stands for a space in a query.
std::string decode(std::string_view text, bool query) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

Parameters parse_parameters(std::string_view query) {
  Parameters out;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (pair.empty()) {
      continue;
    }
    const std::size_t equals = pair.find('=');
    out[decode(pair.substr(0, equals), true)] =
        equals == std::string_view::npos ? std::string() : decode(pair.substr(equals + 1), true);
  }
  return out;
}

std::vector<std::string> parse_path(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (end > at) {
      parts.push_back(decode(path.substr(at, end - at), false));
    }
    at = end + 1;
  }
  return parts;
}

bool truthy(const Parameters& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  return found != parameters.end() && (found->second.empty() || found->second == "true");
}

// filter_path: keeps the members that one of the patterns (dotted, with * and **) names. False: nothing of
// `value`.
using Pattern = std::vector<std::string_view>;
bool append_path_filtered(std::string& out, dom::element value, const std::vector<Pattern>& patterns) {
  dom::object object;
  dom::array array;
  if (value.get(array) == simdjson::SUCCESS) {
    const std::size_t start = out.size();
    out += '[';
    bool some = false;
    for (dom::element item : array) {
      const std::size_t before = out.size();
      out += some ? "," : "";
      if (append_path_filtered(out, item, patterns)) {
        some = true;
      } else {
        out.resize(before);
      }
    }
    out += ']';
    if (!some) {
      out.resize(start);
    }
    return some;
  }
  if (value.get(object) != simdjson::SUCCESS) {
    return false;
  }
  const std::size_t start = out.size();
  out += '{';
  bool some = false;
  for (auto [key, member] : object) {
    std::vector<Pattern> below;
    bool whole = false;
    for (const Pattern& pattern : patterns) {
      if (pattern.front() == "**") {
        below.push_back(pattern);
        if (pattern.size() > 1 && glob_match(pattern[1], key)) {
          whole |= pattern.size() == 2;
          below.emplace_back(pattern.begin() + 2, pattern.end());
        }
      } else if (glob_match(pattern.front(), key)) {
        whole |= pattern.size() == 1;
        below.emplace_back(pattern.begin() + 1, pattern.end());
      }
    }
    std::erase_if(below, [](const Pattern& pattern) { return pattern.empty(); });
    const std::size_t before = out.size();
    out += some ? "," : "";
    append_json_string(out, key);
    out += ':';
    if (whole) {
      out += simdjson::minify(member);
      some = true;
    } else if (!below.empty() && append_path_filtered(out, member, below)) {
      some = true;
    } else {
      out.resize(before);
    }
  }
  out += '}';
  if (!some) {
    out.resize(start);
  }
  return some;
}

std::string apply_filter_path(const std::string& json, std::string_view filter) {
  std::vector<Pattern> patterns;
  for (std::string_view part : split_list(filter)) {
    Pattern pattern;
    for (std::size_t at = 0; at <= part.size();) {
      const std::size_t end = std::min(part.find('.', at), part.size());
      pattern.push_back(part.substr(at, end - at));
      at = end + 1;
    }
    patterns.push_back(std::move(pattern));
  }
  dom::parser parser;
  dom::element root;
  std::string out;
  if (parser.parse(json).get(root) || !append_path_filtered(out, root, patterns)) {
    return "{}";
  }
  return out;
}

net::HttpResponse refusal(const ApiError& error) {
  net::HttpResponse response = net::json_response(error.status, error_body(error));
  if (error.status == 429 || error.status == 503) {
    response.headers.set("Retry-After", "1");
  }
  return response;
}

net::HttpResponse acknowledged() {
  return net::json_response(200, R"({"acknowledged":true})");
}

net::HttpResponse from_outcome(const Outcome<std::string>& outcome) {
  return outcome ? net::json_response(200, *outcome) : refusal(outcome.error());
}
net::HttpResponse from_outcome(const Outcome<void>& outcome) {
  return outcome ? acknowledged() : refusal(outcome.error());
}

std::string human_bytes(std::uint64_t bytes) {
  double value = static_cast<double>(bytes);
  const char* unit = "b";
  for (const char* next : {"kb", "mb", "gb", "tb"}) {
    if (value < 1024) {
      break;
    }
    value /= 1024;
    unit = next;
  }
  return fmt::format("{:.{}f}{}", value, *unit == 'b' ? 0 : 1, unit);
}

// One request on its way to an answer.
class Call {
 public:
  Call(Store& store, net::HttpRequest request)
      : store_(store),
        request_(std::move(request)),
        path_(parse_path(request_.path())),
        parameters_(parse_parameters(request_.query())),
        method_(request_.method) {}

  net::HttpResponse run() {
    net::HttpResponse response = route();
    if (const auto filter = parameters_.find("filter_path");
        filter != parameters_.end() && response.status < 300) {
      response.body = apply_filter_path(response.body, filter->second);
    }
    if (method_ == "HEAD") {
      response.body.clear();
    }
    return response;
  }

 private:
  using Answer = net::HttpResponse;

  Answer no_handler() const {
    return net::json_response(
        400, fmt::format("{{\"error\":{}}}",
                         json_string(fmt::format("no handler found for uri [{}] and method [{}]",
                                                 request_.target, method_))));
  }

  // Says so when the method is none of `allowed`, or a parameter none of `known`.
  std::optional<Answer> check(std::initializer_list<std::string_view> allowed,
                              std::initializer_list<std::string_view> known) const {
    if (std::ranges::find(allowed, method_) == allowed.end()) {
      std::string list;
      for (std::string_view method : allowed) {
        list += fmt::format("{}{}", list.empty() ? "" : ", ", method);
      }
      net::HttpResponse response = net::json_response(
          405, fmt::format("{{\"error\":{},\"status\":405}}",
                           json_string(fmt::format(
                               "Incorrect HTTP method for uri [{}] and method [{}], allowed: [{}]",
                               request_.target, method_, list))));
      response.headers.set("Allow", list);
      return response;
    }
    for (const auto& [name, _] : parameters_) {
      if (name != "pretty" && name != "human" && name != "filter_path" && name != "error_trace" &&
          std::ranges::find(known, name) == known.end()) {
        return refusal(
            {400,
             "illegal_argument_exception",
             fmt::format("request [{}] contains unrecognized parameter: [{}]", request_.path(), name),
             {},
             {},
             {}});
      }
    }
    return std::nullopt;
  }

  std::string part(std::size_t at) const { return at < path_.size() ? path_[at] : std::string(); }

  Answer route() {
    if (path_.empty()) {
      if (auto no = check({"GET", "HEAD"}, {})) {
        return std::move(*no);
      }
      return net::json_response(
          200,
          fmt::format(
              R"({{"name":"naru","cluster_name":{},"cluster_uuid":"{}","version":{{"distribution":"opensearch","number":"2.19.1","build_type":"tar","build_hash":"embedded","build_date":"2025-02-27T01:16:47.726162386Z","build_snapshot":false,"lucene_version":"9.12.1","minimum_wire_compatibility_version":"7.10.0","minimum_index_compatibility_version":"7.0.0"}},"tagline":"The OpenSearch Project: https://opensearch.org/"}})",
              json_string(store_.config().cluster_name), store_.cluster_uuid()));
    }
    const std::string& first = path_[0];
    if (first.front() != '_') {
      return index_route();
    }
    const std::size_t parts = path_.size();
    if (first == "_bulk" && parts == 1) {
      return bulk({});
    }
    if ((first == "_search" || first == "_count") && parts == 1) {
      return search({}, first == "_count");
    }
    if (first == "_msearch" && parts == 1) {
      return multi_search({});
    }
    if (first == "_refresh" && parts == 1) {
      return refresh({});
    }
    if (first == "_cat") {
      return cat();
    }
    if (first == "_cluster" && part(1) == "health" && parts <= 3) {
      return health(part(2));
    }
    if (first == "_cluster" && part(1) == "settings" && parts == 2) {
      return settings();
    }
    if (first == "_nodes" && (parts == 1 || (parts == 2 && path_[1] == "http"))) {
      return nodes();
    }
    if (first == "_index_template" && parts <= 2) {
      return index_template(part(1));
    }
    if (first == "_all") {
      return index_route();
    }
    if ((first == "_mapping" || first == "_settings" || (first == "_aliases" && method_ == "GET")) &&
        parts == 1) {
      path_.insert(path_.begin(), "_all");
      return index_route();
    }
    if (first == "_aliases" && parts == 1) {
      if (auto no = check({"POST"}, {"timeout", "cluster_manager_timeout", "master_timeout"})) {
        return std::move(*no);
      }
      return from_outcome(store_.update_aliases(request_.body));
    }
    if (first == "_alias" && parts <= 2) {
      return alias({}, part(1));
    }
    return no_handler();
  }

  Answer index_route() {
    const std::string& index = path_[0];
    const std::string verb = part(1);
    const std::size_t parts = path_.size();
    if (parts == 1) {
      return whole_index(index);
    }
    if (verb == "_bulk" && parts == 2) {
      return bulk(index);
    }
    if ((verb == "_search" || verb == "_count") && parts == 2) {
      return search(index, verb == "_count");
    }
    if (verb == "_msearch" && parts == 2) {
      return multi_search(index);
    }
    if (verb == "_refresh" && parts == 2) {
      return refresh(index);
    }
    if ((verb == "_mapping" || verb == "_mappings") && parts == 2) {
      if (auto no = check({"GET", "PUT", "POST"},
                          {"ignore_unavailable", "allow_no_indices", "expand_wildcards", "timeout",
                           "cluster_manager_timeout", "master_timeout", "local"})) {
        return std::move(*no);
      }
      return method_ == "GET" ? from_outcome(store_.describe(index, {.mappings = true}))
                              : from_outcome(store_.extend_mapping(index, request_.body));
    }
    if (verb == "_settings" && parts == 2) {
      if (auto no = check({"GET"}, {"flat_settings", "ignore_unavailable", "allow_no_indices",
                                    "expand_wildcards", "local"})) {
        return std::move(*no);
      }
      return from_outcome(
          store_.describe(index, {.settings = true, .flat = truthy(parameters_, "flat_settings")}));
    }
    if ((verb == "_alias" || verb == "_aliases") && parts <= 3) {
      return alias(index, part(2));
    }
    if ((verb == "_doc" || verb == "_create") && parts <= 3) {
      return document(index, verb, part(2));
    }
    return no_handler();
  }

  Answer bulk(std::string_view index) {
    if (auto no = check({"POST", "PUT"}, {"refresh", "timeout", "wait_for_active_shards", "require_alias"})) {
      return std::move(*no);
    }
    if (truthy(parameters_, "require_alias")) {
      return refusal({400,
                      "illegal_argument_exception",
                      "parameter [require_alias] is not supported by the embedded store",
                      {},
                      {},
                      {}});
    }
    BulkOptions options;
    options.index = index;
    return from_outcome(store_.bulk(std::move(request_.body), options));
  }

  Outcome<Store::SearchOptions> search_options(bool count_only) const {
    Store::SearchOptions options;
    options.count_only = count_only;
    options.ignore_unavailable = truthy(parameters_, "ignore_unavailable");
    options.now = wall_now();
    for (const auto& [name, into] : {std::pair("size", &options.size), std::pair("from", &options.from)}) {
      if (const auto found = parameters_.find(name); found != parameters_.end()) {
        std::uint64_t number = 0;
        const std::string& text = found->second;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size()) {
          return illegal(fmt::format("Failed to parse int parameter [{}] with value [{}]", name, text));
        }
        *into = number;
      }
    }
    if (const auto found = parameters_.find("q"); found != parameters_.end()) {
      options.q = found->second;
    }
    if (const auto found = parameters_.find("track_total_hits"); found != parameters_.end()) {
      options.track_total_hits = found->second;
    }
    return options;
  }

  Answer search(std::string_view index, bool count_only) {
    if (auto no = count_only ? check({"GET", "POST"}, {"ignore_unavailable", "allow_no_indices",
                                                       "expand_wildcards", "q", "preference"})
                             : check({"GET", "POST"},
                                     {"ignore_unavailable", "allow_no_indices", "expand_wildcards", "q",
                                      "preference", "size", "from", "track_total_hits", "request_cache",
                                      "search_type", "max_concurrent_shard_requests", "batched_reduce_size",
                                      "ccs_minimize_roundtrips", "ignore_throttled"})) {
      return std::move(*no);
    }
    const auto options = search_options(count_only);
    if (!options) {
      return refusal(options.error());
    }
    return from_outcome(store_.search(index, request_.body, *options));
  }

  Answer multi_search(std::string_view default_index) {
    if (auto no = check({"GET", "POST"}, {"max_concurrent_searches", "max_concurrent_shard_requests",
                                          "ignore_unavailable", "search_type"})) {
      return std::move(*no);
    }
    const std::uint64_t started = monotonic_now();
    std::vector<std::string_view> lines;
    std::string_view body = request_.body;
    while (!body.empty()) {
      const std::size_t end = std::min(body.find('\n'), body.size());
      if (end > 0 && body.substr(0, end) != "\r") {
        lines.push_back(body.substr(0, end));
      }
      body.remove_prefix(std::min(end + 1, body.size()));
    }
    if (lines.empty() || lines.size() % 2 != 0 || lines.size() > 2 * kSearchesMax) {
      return refusal(
          {400,
           "illegal_argument_exception",
           fmt::format("a multi search holds pairs of a header and a body line, at most {}", kSearchesMax),
           {},
           {},
           {}});
    }
    std::string responses;
    dom::parser parser;
    for (std::size_t i = 0; i < lines.size(); i += 2) {
      Outcome<std::string> answer = one_of_many(parser, lines[i], lines[i + 1], default_index);
      responses += i == 0 ? "" : ",";
      if (answer) {
        responses += std::string_view(*answer).substr(0, answer->size() - 1);
        responses += ",\"status\":200}";
      } else {
        responses += error_body(answer.error());
      }
    }
    return net::json_response(200, fmt::format("{{\"took\":{},\"responses\":[{}]}}",
                                               (monotonic_now() - started) / kNanosPerMilli, responses));
  }

  Outcome<std::string> one_of_many(dom::parser& parser, std::string_view header, std::string_view body,
                                   std::string_view default_index) const {
    dom::element root;
    dom::object fields;
    if (parser.parse(header.data(), header.size()).get(root) || root.get(fields)) {
      return illegal("a header line of the multi search is no JSON object");
    }
    std::string index(default_index);
    Store::SearchOptions options;
    options.now = wall_now();
    for (auto [key, value] : fields) {
      std::string_view text;
      dom::array list;
      bool flag = false;
      if (key == "index" && value.get(text) == simdjson::SUCCESS) {
        index = text;
      } else if (key == "index" && value.get(list) == simdjson::SUCCESS) {
        index.clear();
        for (dom::element one : list) {
          if (one.get(text) == simdjson::SUCCESS) {
            index += fmt::format("{}{}", index.empty() ? "" : ",", text);
          }
        }
      } else if (key == "ignore_unavailable" && value.get(flag) == simdjson::SUCCESS) {
        options.ignore_unavailable = flag;
      } else if (key != "search_type" && key != "preference" && key != "allow_no_indices" &&
                 key != "expand_wildcards" && key != "max_concurrent_shard_requests" &&
                 key != "request_cache") {
        return illegal(
            fmt::format("key [{}] is not supported in the metadata section", std::string_view(key)));
      }
    }
    return store_.search(index, body, options);
  }

  Answer refresh(std::string_view index) {
    if (auto no = check({"GET", "POST"}, {"ignore_unavailable", "allow_no_indices", "expand_wildcards"})) {
      return std::move(*no);
    }
    const auto list = store_.summaries(index);  // documents are searchable when their bulk is answered
    if (!list) {
      return refusal(list.error());
    }
    return net::json_response(
        200, fmt::format(R"({{"_shards":{{"total":{0},"successful":{0},"failed":0}}}})", list->size()));
  }

  Answer cat() {
    const std::string what = part(1);
    if (path_.size() > 3 || (what != "indices" && what != "health")) {
      return no_handler();
    }
    if (auto no = check({"GET"},
                        {"format", "v", "h", "s", "bytes", "expand_wildcards", "health", "local", "time"})) {
      return std::move(*no);
    }
    for (const char* name : {"s", "health"}) {
      if (parameters_.contains(name) && !(what == "indices" && parameters_[name] == "index")) {
        return refusal(
            {400,
             "illegal_argument_exception",
             fmt::format("parameter [{}] with this value is not supported by the embedded store", name),
             {},
             {},
             {}});
      }
    }
    const std::string format = parameters_.contains("format") ? parameters_["format"] : "text";
    if (format != "text" && format != "json") {
      return refusal({400,
                      "illegal_argument_exception",
                      fmt::format("format [{}] is not supported, only text and json", format),
                      {},
                      {},
                      {}});
    }
    std::vector<std::vector<std::pair<std::string, std::string>>> rows;
    if (what == "health") {
      rows.push_back({{"cluster", store_.config().cluster_name}, {"status", "green"}, {"node.total", "1"}});
    } else {
      const auto list = store_.summaries(part(2));
      if (!list) {
        return refusal(list.error());
      }
      const bool plain = parameters_.contains("bytes");
      for (const IndexSummary& index : *list) {
        const std::string size =
            plain ? fmt::format("{}", index.stored_bytes) : human_bytes(index.stored_bytes);
        rows.push_back({{"health", "green"},
                        {"status", "open"},
                        {"index", index.name},
                        {"uuid", index.uuid},
                        {"pri", "1"},
                        {"rep", "0"},
                        {"docs.count", fmt::format("{}", index.documents)},
                        {"docs.deleted", fmt::format("{}", index.deleted)},
                        {"store.size", size},
                        {"pri.store.size", size}});
      }
    }
    if (const auto columns = parameters_.find("h"); columns != parameters_.end()) {
      for (auto& row : rows) {
        std::vector<std::pair<std::string, std::string>> chosen;
        for (std::string_view name : split_list(columns->second)) {
          const auto found =
              std::ranges::find(row, name, [](const auto& cell) { return std::string_view(cell.first); });
          if (found == row.end()) {
            return refusal({400,
                            "illegal_argument_exception",
                            fmt::format("column [{}] is not known", name),
                            {},
                            {},
                            {}});
          }
          chosen.push_back(*found);
        }
        row = std::move(chosen);
      }
    }
    std::string out;
    if (format == "json") {
      for (const auto& row : rows) {
        std::string cells;
        for (const auto& [name, value] : row) {
          cells += fmt::format("{}{}:{}", cells.empty() ? "" : ",", json_string(name), json_string(value));
        }
        out += fmt::format("{}{{{}}}", out.empty() ? "" : ",", cells);
      }
      return net::json_response(200, "[" + out + "]");
    }
    if (truthy(parameters_, "v") && !rows.empty()) {
      std::vector<std::pair<std::string, std::string>> head;
      for (const auto& [name, _] : rows[0]) {
        head.emplace_back(name, name);
      }
      rows.insert(rows.begin(), std::move(head));
    }
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
      widths.resize(row.size());
      for (std::size_t i = 0; i < row.size(); ++i) {
        widths[i] = std::max(widths[i], row[i].second.size());
      }
    }
    for (const auto& row : rows) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        out += i + 1 == row.size() ? row[i].second : fmt::format("{:<{}} ", row[i].second, widths[i]);
      }
      out += '\n';
    }
    return net::text_response(200, std::move(out));
  }

  Answer health(std::string_view index) {
    if (auto no = check({"GET"}, {"wait_for_status", "timeout", "level", "local", "cluster_manager_timeout",
                                  "master_timeout", "wait_for_no_relocating_shards"})) {
      return std::move(*no);
    }
    const auto list = store_.summaries(index);
    if (!list) {
      return refusal(list.error());
    }
    return net::json_response(
        200,
        fmt::format(
            R"({{"cluster_name":{0},"status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1,"discovered_master":true,"discovered_cluster_manager":true,"active_primary_shards":{1},"active_shards":{1},"relocating_shards":0,"initializing_shards":0,"unassigned_shards":0,"delayed_unassigned_shards":0,"number_of_pending_tasks":0,"number_of_in_flight_fetch":0,"task_max_waiting_in_queue_millis":0,"active_shards_percent_as_number":100.0}})",
            json_string(store_.config().cluster_name), list->size()));
  }

  Answer settings() {
    if (auto no = check({"GET", "PUT"}, {"flat_settings", "include_defaults", "timeout",
                                         "cluster_manager_timeout", "master_timeout"})) {
      return std::move(*no);
    }
    if (method_ == "GET") {
      return net::json_response(200, store_.cluster_settings(truthy(parameters_, "flat_settings")));
    }
    if (const auto put = store_.put_settings(request_.body); !put) {
      return refusal(put.error());
    }
    return net::json_response(
        200,
        "{\"acknowledged\":true," + store_.cluster_settings(truthy(parameters_, "flat_settings")).substr(1));
  }

  Answer nodes() {
    if (auto no = check({"GET"}, {"timeout", "flat_settings"})) {
      return std::move(*no);
    }
    const std::string name = json_string(store_.config().cluster_name);
    return net::json_response(
        200,
        fmt::format(
            R"({{"_nodes":{{"total":1,"successful":1,"failed":0}},"cluster_name":{},"nodes":{{"{}":{{"name":"naru","version":"2.19.1","roles":["cluster_manager","data","ingest"],"attributes":{{}},"http":{{"max_content_length_in_bytes":67108864}}}}}}}})",
            name, store_.cluster_uuid()));
  }

  Answer index_template(const std::string& name) {
    if (auto no = check({"GET", "HEAD", "PUT", "POST", "DELETE"},
                        {"create", "cause", "timeout", "cluster_manager_timeout", "master_timeout",
                         "flat_settings", "local"})) {
      return std::move(*no);
    }
    if (method_ == "GET" || method_ == "HEAD") {
      return from_outcome(store_.templates(name));
    }
    if (name.empty()) {
      return no_handler();
    }
    if (method_ == "DELETE") {
      return from_outcome(store_.drop_template(name));
    }
    if (truthy(parameters_, "create") && store_.templates(name)) {
      return refusal({400,
                      "illegal_argument_exception",
                      fmt::format("index template [{}] already exists", name),
                      {},
                      {},
                      {}});
    }
    return from_outcome(store_.put_template(name, request_.body));
  }

  Answer alias(const std::string& index, const std::string& name) {
    if (auto no = check({"GET", "HEAD", "PUT", "POST", "DELETE"},
                        {"timeout", "cluster_manager_timeout", "master_timeout", "ignore_unavailable",
                         "allow_no_indices", "expand_wildcards", "local"})) {
      return std::move(*no);
    }
    if (method_ == "GET" || method_ == "HEAD") {
      // The alias stands for its indices, of which only that alias is shown.
      const auto found = store_.aliases(index, name);
      return from_outcome(found);
    }
    if (index.empty() || name.empty()) {
      return no_handler();
    }
    if (!request_.body.empty() && method_ != "DELETE" &&
        request_.body.find_first_not_of(" {}\r\n\t") != std::string::npos) {
      return refusal(
          {400,
           "illegal_argument_exception",
           fmt::format("alias [{}]: options such as filter, routing or is_write_index are not supported",
                       name),
           {},
           {},
           {}});
    }
    return from_outcome(store_.set_alias(index, name, method_ != "DELETE"));
  }

  Answer whole_index(const std::string& index) {
    if (auto no = check({"GET", "HEAD", "PUT", "DELETE"},
                        {"ignore_unavailable", "allow_no_indices", "expand_wildcards", "timeout",
                         "cluster_manager_timeout", "master_timeout", "wait_for_active_shards",
                         "flat_settings", "local", "include_defaults"})) {
      return std::move(*no);
    }
    if (method_ == "PUT") {
      if (const auto made = store_.create_index(index, request_.body); !made) {
        return refusal(made.error());
      }
      return net::json_response(
          200, fmt::format(R"({{"acknowledged":true,"shards_acknowledged":true,"index":{}}})",
                           json_string(index)));
    }
    if (method_ == "DELETE") {
      return from_outcome(store_.drop_indices(index, truthy(parameters_, "ignore_unavailable")));
    }
    return from_outcome(store_.describe(
        index,
        {.aliases = true, .mappings = true, .settings = true, .flat = truthy(parameters_, "flat_settings")}));
  }

  Answer document(const std::string& index, const std::string& verb, const std::string& id) {
    if (auto no = check({"GET", "HEAD", "PUT", "POST"}, {"refresh", "timeout", "op_type", "preference",
                                                         "realtime", "wait_for_active_shards"})) {
      return std::move(*no);
    }
    if (method_ == "GET" || method_ == "HEAD") {
      if (verb != "_doc" || id.empty()) {
        return no_handler();
      }
      const auto found = store_.document(index, id);
      return found ? net::json_response(found->found ? 200 : 404, found->json) : refusal(found.error());
    }
    if (id.empty() && (verb == "_create" || method_ == "PUT")) {
      return no_handler();
    }
    const bool create =
        verb == "_create" || (parameters_.contains("op_type") && parameters_["op_type"] == "create");
    dom::parser parser;
    dom::element root;
    if (parser.parse(request_.body).get(root) || !root.is_object()) {
      return refusal({400,
                      "mapper_parsing_exception",
                      "failed to parse",
                      "json_parse_exception",
                      "the body must be a JSON object",
                      {}});
    }
    std::string body = fmt::format("{{\"{}\":{{", create ? "create" : "index");
    if (!id.empty()) {
      body += fmt::format("\"_id\":{}", json_string(id));
    }
    body += fmt::format("}}}}\n{}\n", simdjson::minify(root));
    BulkOptions options;
    options.index = index;
    const auto stored = store_.bulk(std::move(body), options);
    dom::element item;
    if (!stored) {
      return refusal(stored.error());
    }
    if (parser.parse(*stored).get(root) || root["items"].at(0)[create ? "create" : "index"].get(item)) {
      return refusal({500, "exception", "the store answered what cannot be read", {}, {}, {}});
    }
    std::int64_t status = 0;
    static_cast<void>(item["status"].get(status));
    dom::element error;
    if (item["error"].get(error) == simdjson::SUCCESS) {
      const std::string object = simdjson::minify(error);
      return net::json_response(static_cast<int>(status),
                                fmt::format("{{\"error\":{{\"root_cause\":[{}],{},\"status\":{}}}", object,
                                            object.substr(1), status));
    }
    return net::json_response(static_cast<int>(status), simdjson::minify(item));
  }

  Store& store_;
  net::HttpRequest request_;
  std::vector<std::string> path_;
  Parameters parameters_;
  std::string method_;
};

}  // namespace

class StoreApi::Pool {
 public:
  using Job = std::move_only_function<void()>;
  Pool(std::size_t threads, std::size_t queue_max) : queue_max_(queue_max) {
    for (std::size_t i = 0; i < std::max<std::size_t>(1, threads); ++i) {
      threads_.emplace_back([this] { run(); });
    }
  }
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  // False: the queue is full, the job was not taken.
  bool submit(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() >= queue_max_) {
        return false;
      }
      queue_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
  }

 private:
  void run() {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) {
          return;
        }
        job = std::move(queue_.front());
        queue_.pop_front();
      }
      job();
    }
  }
  std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

StoreApi::StoreApi(Store& store, telemetry::Registry& registry, ApiConfig config)
    : store_(store),
      rejected_(
          registry.counter("naru_store_rejected_total", "Requests refused because too many were waiting.")),
      bulks_(std::make_unique<Pool>(config.bulk_threads, config.queue_max)),
      others_(std::make_unique<Pool>(config.search_threads, config.queue_max)) {}

StoreApi::~StoreApi() = default;

net::HttpResponse StoreApi::answer(net::HttpRequest request) {
  return Call(store_, std::move(request)).run();
}

void StoreApi::handle(net::HttpRequest request, net::Responder respond) {
  const bool bulk = request.path().ends_with("/_bulk");
  // Shared, so that a full queue leaves the request here to be refused.
  struct Pending {
    net::HttpRequest request;
    net::Responder respond;
  };
  auto pending = std::make_shared<Pending>(Pending{std::move(request), std::move(respond)});
  Pool::Job job = [this, pending] { pending->respond(answer(std::move(pending->request))); };
  if (!(bulk ? bulks_ : others_)->submit(job)) {
    rejected_.add();
    pending->respond(refusal({429,
                              "rejected_execution_exception",
                              "too many requests are waiting: try again in a second",
                              {},
                              {},
                              {}}));
  }
}

net::HttpHandler StoreApi::handler() {
  return [this](net::HttpRequest request, net::Responder respond) {
    handle(std::move(request), std::move(respond));
  };
}

}  // namespace naru::store
