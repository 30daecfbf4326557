#include "console/console.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>

namespace naru::console {
namespace {

using net::HttpRequest;
using net::HttpResponse;
using net::Responder;
using std::chrono::milliseconds;

// What the search API was asked, and what it answers.
struct FakeSearch {
  std::mutex mutex;
  std::vector<HttpRequest> asked;
  Result<HttpResponse> answer = net::json_response(200, R"({"took":1})");
  std::shared_future<void> gate;  // when set, answers wait for it
  std::atomic<int> running = 0;

  struct Transport : net::HttpTransport {
    explicit Transport(FakeSearch& owner_in) : owner(owner_in) {}
    Result<HttpResponse> exchange(HttpRequest request, milliseconds) override {
      std::shared_future<void> opened;
      {
        const std::lock_guard lock(owner.mutex);
        owner.asked.push_back(std::move(request));
        opened = owner.gate;
      }
      ++owner.running;
      if (opened.valid()) {
        opened.wait();
      }
      return owner.answer;
    }
    FakeSearch& owner;
  };

  net::HttpTransportFactory factory() {
    return [this] { return std::make_unique<Transport>(*this); };
  }
};

HttpResponse ask(const net::HttpHandler& handler, const std::string& method, const std::string& target,
                 const std::string& body = {}, const std::string& type = "application/json") {
  HttpRequest request;
  request.method = method;
  request.target = target;
  request.body = body;
  request.headers.add("Content-Type", type);
  auto response = net::LocalTransport(handler).exchange(std::move(request), milliseconds(10'000));
  EXPECT_TRUE(response.has_value());
  return response ? *response : HttpResponse();
}

TEST(Console, ServesThePageAndAnswersNotModified) {
  FakeSearch search;
  const auto handler = make_console_handler(search.factory());
  const HttpResponse page = ask(handler, "GET", "/?q=x");
  EXPECT_EQ(page.status, 200);
  HttpRequest again;
  again.headers.add("If-None-Match", std::string(page.headers.get("ETag")));
  const auto response = net::LocalTransport(handler).exchange(std::move(again), milliseconds(1000));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 304);
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(ask(handler, "GET", "/nothing").status, 404);
  EXPECT_EQ(ask(handler, "POST", "/").status, 405);
}

TEST(Console, AnswersNoNameThatAnotherSiteCouldPointHere) {
  FakeSearch search;
  const auto status_of = [&](const std::string& host, bool any_host) {
    ConsoleConfig config;
    config.any_host = any_host;
    HttpRequest request;
    request.headers.add("Host", host);
    return net::LocalTransport(make_console_handler(search.factory(), config))
        .exchange(std::move(request), milliseconds(10'000))
        .value()
        .status;
  };
  for (const char* host : {"127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:8080", "10.0.0.7:80"}) {
    EXPECT_EQ(status_of(host, false), 200) << host;
  }
  for (const char* host :
       {"evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:8080", "[evil]"}) {
    EXPECT_EQ(status_of(host, false), 403) << host;
    EXPECT_EQ(status_of(host, true), 200) << host;
  }
}

TEST(Console, ForwardsSearchesWithoutWhatTheBrowserAdds) {
  FakeSearch search;
  const auto handler = make_console_handler(search.factory());
  HttpRequest request;
  request.method = "POST";
  request.target = "/api/logs/_search?scroll=1m";
  request.headers.add("Content-Type", "application/json");
  request.headers.add("Cookie", "secret");
  request.body = R"({"size":1})";
  const auto response = net::LocalTransport(handler).exchange(std::move(request), milliseconds(10'000));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, R"({"took":1})");
  ASSERT_EQ(search.asked.size(), 1u);
  EXPECT_EQ(search.asked[0].method, "POST");
  EXPECT_EQ(search.asked[0].target, "/logs/_search");
  EXPECT_EQ(search.asked[0].body, R"({"size":1})");
  EXPECT_FALSE(search.asked[0].headers.has("Cookie"));
}

TEST(Console, SearchesTheIndicesOfTheTimeRangeOnly) {
  FakeSearch search;
  const auto handler = make_console_handler(search.factory());
  ask(handler, "POST", "/api/logs/_search?from=1793793600000&to=1793793600001", "{}");
  EXPECT_EQ(search.asked.back().target, "/logs-otel-v1-*-2026.11,logs-otel-v1-*-2026.11.04*/_search");
  ask(handler, "POST", "/api/logs/_count?from=x&to=1793793600001", "{}");
  EXPECT_EQ(search.asked.back().target, "/logs/_count") << "garbage means all of it";
  ask(handler, "POST", "/api/logs-otel-v1-web-2026.11.21/_search?from=1&to=2", "{}");
  EXPECT_EQ(search.asked.back().target, "/logs-otel-v1-web-2026.11.21/_search");
}

TEST(Console, ForwardsEveryReadingTarget) {
  FakeSearch search;
  const auto handler = make_console_handler(search.factory());
  for (const char* target :
       {"/api/traces/_search", "/api/metrics/_count", "/api/logs-otel-v1-web-2026.11.21/_search",
        "/api/otel-v1-apm-span-x-2026.11.21/_count"}) {
    EXPECT_EQ(ask(handler, "POST", target, "{}").status, 200) << target;
  }
  EXPECT_EQ(ask(handler, "GET", "/api/").status, 200);
  EXPECT_EQ(search.asked.back().target, "/");
}

TEST(Console, ForwardsNothingElse) {
  FakeSearch search;
  const auto handler = make_console_handler(search.factory());
  for (const auto& [method, target] : {
           std::pair("POST", "/api/_bulk"),
           std::pair("POST", "/api/logs/_bulk"),
           std::pair("POST", "/api/logs/_delete_by_query"),
           std::pair("POST", "/api/_search"),
           std::pair("POST", "/api/_all/_search"),
           std::pair("POST", "/api/*/_search"),
           std::pair("POST", "/api/logs,.secret/_search"),
           std::pair("POST", "/api/.secret/_search"),
           std::pair("POST", "/api/logs-otel-v1-*/_search"),
           std::pair("POST", "/api/logs-otel-v1-x%2f..%2f_all/_search"),
           std::pair("POST", "/api/logs-otel-v1-x/../_all/_search"),
           std::pair("POST", "/api/logs/_search/template"),
           std::pair("POST", "/api/"),
           std::pair("GET", "/api/_cluster/settings"),
           std::pair("GET", "/api/_cat/indices"),
           std::pair("DELETE", "/api/logs-otel-v1-web-2026.11.21"),
       }) {
    EXPECT_EQ(ask(handler, method, target, "{}").status, 404) << target;
  }
  EXPECT_EQ(ask(handler, "GET", "/api/logs/_search").status, 405);
  EXPECT_EQ(ask(handler, "POST", "/api/logs/_search", "{}", "text/plain").status, 415);
  EXPECT_TRUE(search.asked.empty());
}

TEST(Console, BoundsTheBodyOfASearch) {
  FakeSearch search;
  ConsoleConfig config;
  config.request_bytes_max = 10;
  const auto handler = make_console_handler(search.factory(), config);
  EXPECT_EQ(ask(handler, "POST", "/api/logs/_search", std::string(10, ' ')).status, 200);
  EXPECT_EQ(ask(handler, "POST", "/api/logs/_search", std::string(11, ' ')).status, 413);
}

TEST(Console, SaysInWordsThatTheSearchServiceIsAway) {
  FakeSearch search;
  search.answer =
      fail(ErrorCode::kUnavailable, "cannot connect to http://127.0.0.1:9200: Connection refused");
  const auto handler = make_console_handler(search.factory());
  const HttpResponse response = ask(handler, "POST", "/api/logs/_search", "{}");
  EXPECT_EQ(response.status, 502);
  EXPECT_NE(response.body.find("127.0.0.1:9200"), std::string::npos);
}

TEST(Console, PassesErrorsOfTheSearchServiceOn) {
  FakeSearch search;
  search.answer = net::json_response(400, R"({"error":"x"})");
  const auto handler = make_console_handler(search.factory());
  const HttpResponse response = ask(handler, "POST", "/api/logs/_search", "{}");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, R"({"error":"x"})");
}

TEST(Console, RefusesSearchesWhenTooManyWaitAndAnswersTheRestAtTheEnd) {
  FakeSearch search;
  std::promise<void> open;
  search.gate = open.get_future().share();
  ConsoleConfig config;
  config.searches_max = 1;
  config.waiting_max = 1;
  std::vector<std::future<HttpResponse>> answers;
  {
    net::HttpHandler handler = make_console_handler(search.factory(), config);
    auto begin = [&] {
      auto answered = std::make_shared<std::promise<HttpResponse>>();
      answers.push_back(answered->get_future());
      HttpRequest request;
      request.method = "POST";
      request.target = "/api/logs/_search";
      request.headers.add("Content-Type", "application/json");
      handler(std::move(request),
              Responder([answered](HttpResponse response) { answered->set_value(std::move(response)); }));
    };
    begin();
    while (search.running == 0) {
      std::this_thread::yield();
    }
    begin();  // waits
    begin();  // one too many
    EXPECT_EQ(answers[2].get().status, 503);
    open.set_value();
    EXPECT_EQ(answers[0].get().status, 200);
  }
  const int status = answers[1].get().status;
  EXPECT_TRUE(status == 200 || status == 503) << status;
}

}  // namespace
}  // namespace naru::console
