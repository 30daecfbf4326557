#include "naru/rules/rules.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/base/clock.h"
#include "core/base/json_text.h"
#include "core/config/config.h"
#include "core/net/http_client.h"
#include "core/program/service.h"
#include "naru/rules/replay.h"
#include "naru/rules/stored.h"
#include "naru/rules/timeline.h"
#include "prepper/processors/enrichment.h"

namespace naru {
namespace {

constexpr std::size_t kPage = 2'000;
constexpr std::chrono::milliseconds kSearchTimeout{60'000};

Result<std::shared_ptr<const prepper::PipelineSet>> load_pipelines(const std::string& directory) {
  if (directory.empty()) {
    return std::shared_ptr<const prepper::PipelineSet>();
  }
  return prepper::PipelineSet::load(directory, std::make_shared<prepper::EnrichmentStore>());
}

// "2026-11-27T10:00:00Z", "-2h" or "now".
Result<UnixNanos> parse_moment(const std::string& text, UnixNanos now) {
  if (text == "now") {
    return now;
  }
  if (text.starts_with('-')) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const char* const unit = std::from_chars(text.data() + 1, end, number).ptr;
    const std::uint64_t seconds = unit + 1 != end ? 0
                                  : *unit == 's'  ? 1
                                  : *unit == 'm'  ? 60
                                  : *unit == 'h'  ? 3'600
                                  : *unit == 'd'  ? 86'400
                                                  : 0;
    if (seconds == 0 || number == 0) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is no time; write RFC 3339, now, or -2h", text));
    }
    return now - std::min(now, number * seconds * kNanosPerSecond);
  }
  return parse_rfc3339(text);
}

// --- test

Result<int> run_tests(const RulesOptions& options) {
  NARU_TRY(const auto rules, rules::RuleSet::load(options.directory));
  NARU_TRY(const auto pipelines, load_pipelines(options.pipelines));
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(options.directory)) {
    if (entry.path().string().ends_with(".test.yaml")) {
      files.push_back(entry.path().string());
    }
  }
  std::ranges::sort(files);
  if (files.empty()) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} holds no *.test.yaml", options.directory));
  }
  std::size_t passed = 0, failed = 0;
  for (const std::string& file : files) {
    NARU_TRY(const auto tests, config::load_file<timeline::Tests>(file));
    for (const timeline::Test& test : tests.tests) {
      Result<std::string> differences = timeline::run(test, rules, pipelines);
      if (!differences) {
        return fail(differences.error().with_context(fmt::format("{}: {}", file, test.name)));
      }
      fmt::print("{} {}: {}\n{}", differences->empty() ? "ok  " : "FAIL", file, test.name, *differences);
      ++(differences->empty() ? passed : failed);
    }
  }
  fmt::print("{} tests as expected, {} not\n", passed, failed);
  return failed == 0 ? program::kExitDone : program::kExitFailure;
}

// --- backtest

struct Page {
  std::vector<StoredRecord> records;
  std::string after;  // JSON of the last sort values; empty: the end
};

Result<Page> read_page(net::HttpTransport& store, otlp::Signal signal, UnixNanos from, UnixNanos to,
                       const std::string& after) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = signal == otlp::Signal::kLogs ? "/logs/_search" : "/traces/_search";
  request.headers.set("Content-Type", "application/json");
  request.body = fmt::format(
      R"({{"size":{},"track_total_hits":false,"sort":[{{"@timestamp":"asc"}},{{"_id":"asc"}}],"query":{{"range":{{)"
      R"("@timestamp":{{"gte":"{}","lt":"{}"}}}}}}{}}})",
      kPage, format_rfc3339(from), format_rfc3339(to), after.empty() ? "" : ",\"search_after\":" + after);
  NARU_TRY(const net::HttpResponse answer, store.exchange(std::move(request), kSearchTimeout));
  if (answer.status != 200) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("the store answered {}: {}", answer.status, answer.body.substr(0, 300)));
  }
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::array hits;
  if (parser.parse(answer.body).get(root) != simdjson::SUCCESS ||
      root.at_pointer("/hits/hits").get(hits) != simdjson::SUCCESS) {
    return fail(ErrorCode::kUnavailable, "the store answered in an unknown form");
  }
  Page page;
  for (const simdjson::dom::element hit : hits) {
    simdjson::dom::element source, sort;
    if (hit["_source"].get(source) != simdjson::SUCCESS || hit["sort"].get(sort) != simdjson::SUCCESS) {
      return fail(ErrorCode::kUnavailable, "the store answered in an unknown form");
    }
    page.after = std::string(simdjson::minify(sort));
    NARU_TRY(StoredRecord record, record_of(signal, std::string(simdjson::minify(source))));
    page.records.push_back(std::move(record));
  }
  if (page.records.size() < kPage) {
    page.after.clear();
  }
  return page;
}

Result<int> run_backtest(const RulesOptions& options) {
  const UnixNanos now = wall_now();
  NARU_TRY(const UnixNanos from, parse_moment(options.from, now));
  NARU_TRY(const UnixNanos to, parse_moment(options.to, now));
  if (from >= to) {
    return fail(ErrorCode::kInvalidArgument, "--from must be before --to");
  }
  NARU_TRY(auto rules, rules::RuleSet::load(options.directory));
  if (!options.rule.empty()) {
    const rules::Rule* const rule = rules->find(options.rule);
    if (rule == nullptr) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("there is no rule \"{}\" in {}", options.rule, options.directory));
    }
    NARU_TRY(rules, rules::RuleSet::of({*rule}));
  }
  NARU_TRY(const auto pipelines, load_pipelines(options.pipelines));
  net::HttpClientConfig config;
  config.url = options.opensearch;
  config.basic_user = options.user;
  if (!options.password_file.empty()) {
    NARU_TRY(config.basic_password, config::read_config_file(options.password_file));
    while (!config.basic_password.empty() && config.basic_password.back() == '\n') {
      config.basic_password.pop_back();
    }
  }
  NARU_TRY(const auto store, net::make_http_client(config));
  // One signal at a time: each has its own clock in the rules, and a target's signals are told apart.
  std::uint64_t read = 0;
  std::size_t shown = 0;
  for (const otlp::Signal signal : {otlp::Signal::kLogs, otlp::Signal::kTraces}) {
    if (std::ranges::none_of(rules->rules(),
                             [&](const rules::Rule& rule) { return rule.signal == signal; })) {
      continue;
    }
    NARU_TRY(const auto own, Replay::make(rules, pipelines, from));
    std::string after;
    do {
      NARU_TRY(const Page page, read_page(*store, signal, from, to, after));
      for (const StoredRecord& record : page.records) {
        own->take(signal, record.request, std::max(record.at, from));
      }
      read += page.records.size();
      after = page.after;
      fmt::print(stderr, "\r{} records of {} read", read, otlp::to_string(signal));
    } while (!after.empty());
    own->advance(to);
    fmt::print(stderr, "\n");
    for (const Replay::Change& change : own->changes()) {
      ++shown;
      if (options.output == "json") {
        std::string reason;
        append_json_string(reason, change.reason);
        std::string target;
        append_json_string(target, change.target);
        fmt::print("{{\"at\":\"{}\",\"target\":{},\"status\":\"{}\",\"prevStatus\":\"{}\",\"reason\":{}}}\n",
                   format_rfc3339(change.at), target, to_string(change.status), to_string(change.previous),
                   reason);
      } else {
        fmt::print("{}  {:8} {}  ({})\n", format_rfc3339(change.at).substr(0, 19), to_string(change.status),
                   change.target, change.reason);
      }
    }
  }
  fmt::print(stderr, "{} records, {} changes of a status\n", read, shown);
  return program::kExitDone;
}

}  // namespace

void add_flags(CLI::App& app, RulesOptions& options) {
  app.require_subcommand(1);
  CLI::App* test = app.add_subcommand("test", "run the golden time lines of rules (*.test.yaml)");
  test->callback([&] { options.action = RulesOptions::Action::kTest; });
  test->add_option("directory", options.directory, "directory of rules")->capture_default_str();
  test->add_option("--pipelines", options.pipelines, "directory of pipelines that rules name");
  CLI::App* backtest =
      app.add_subcommand("backtest", "what rules would have decided on the logs and traces that are stored");
  backtest->callback([&] { options.action = RulesOptions::Action::kBacktest; });
  backtest->add_option("rule", options.rule, "name of one rule (default: all)");
  backtest->add_option("--rules", options.directory, "directory of rules")->capture_default_str();
  backtest->add_option("--pipelines", options.pipelines, "directory of pipelines that rules name");
  backtest->add_option("--from", options.from, "RFC 3339, or how long ago: -2h")->required();
  options.to = "now";
  backtest->add_option("--to", options.to, "likewise, or now")->capture_default_str();
  backtest->add_option("--opensearch", options.opensearch, "the store")->capture_default_str();
  backtest->add_option("--user", options.user, "user of the store");
  backtest->add_option("--password-file", options.password_file, "file with its password");
  backtest->add_option("--output", options.output, "text or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "json"}));
}

int run_rules(const RulesOptions& options) {
  const Result<int> ended =
      options.action == RulesOptions::Action::kTest ? run_tests(options) : run_backtest(options);
  if (!ended) {
    fmt::print(stderr, "naru rules: {}\n", ended.error().message());
    return ended.error().code() == ErrorCode::kNotFound ? program::kExitUsage
                                                        : program::exit_code(ended.error());
  }
  return *ended;
}

}  // namespace naru
