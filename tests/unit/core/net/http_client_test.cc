#include "core/net/http_client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "core/net/http_server.h"
#include "tests/unit/core/net/test_bytes.h"
#include "tests/unit/core/net/test_sockets.h"

namespace naru::net {
namespace {

using std::chrono::milliseconds;
using testing::RawListener;
using testing::RawSocket;
using testing::sample_text;

constexpr milliseconds kLong{10'000};

std::unique_ptr<HttpTransport> client_of(const std::string& endpoint, HttpClientConfig config = {}) {
  config.url = "http://" + endpoint + config.url;
  auto client = make_http_client(config);
  EXPECT_TRUE(client.has_value()) << client.error().message();
  return std::move(*client);
}

HttpRequest request_of(std::string method, std::string target, std::string body = {}) {
  HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  return request;
}

// Runs a script against one listener on a thread of its own.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::function<void(RawListener&)> script)
      : thread_([this, script = std::move(script)] { script(listener_); }) {}
  ~ScriptedServer() { thread_.join(); }
  std::string endpoint() const { return listener_.endpoint(); }

 private:
  RawListener listener_;
  std::thread thread_;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(HttpClient, KeepsOneConnectionForManyRequests) {
  auto server = HttpServer::start({}, [](HttpRequest request, Responder respond) {
    respond(text_response(200, request.method + " " + request.target + " " + request.body));
  });
  ASSERT_TRUE(server.has_value());
  const auto client = client_of((*server)->endpoint());
  for (int i = 0; i < 3; ++i) {
    const auto response = client->exchange(request_of("POST", "/x?y=1", std::to_string(i)), kLong);
    ASSERT_TRUE(response.has_value()) << response.error().message();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, fmt::format("POST /x?y=1 {}", i));
    EXPECT_EQ(response->headers.get("content-type"), "text/plain; charset=utf-8");
  }
  EXPECT_EQ((*server)->stats().connections, 1u);
}

TEST(HttpClient, CarriesLargeBodiesBothWays) {
  const std::string body = sample_text(20u << 20);
  auto server = HttpServer::start({}, [](HttpRequest request, Responder respond) {
    respond(text_response(200, std::move(request.body)));
  });
  const auto client = client_of((*server)->endpoint());
  const auto response = client->exchange(request_of("POST", "/", body), kLong);
  ASSERT_TRUE(response.has_value()) << response.error().message();
  EXPECT_TRUE(response->body == body);
}

TEST(HttpClient, PutsPrefixAndCredentialsIntoEveryRequest) {
  std::string seen;
  auto server = HttpServer::start({}, [&](HttpRequest request, Responder respond) {
    seen = request.target + " " + std::string(request.headers.get("authorization"));
    respond(text_response(200, ""));
  });
  HttpClientConfig basic;
  basic.url = "/prefix/";
  basic.basic_user = "user";
  basic.basic_password = "pass:word";
  ASSERT_TRUE(client_of((*server)->endpoint(), basic)->exchange(request_of("GET", "/t"), kLong).has_value());
  EXPECT_EQ(seen, "/prefix/t Basic dXNlcjpwYXNzOndvcmQ=");
  HttpClientConfig bearer;
  bearer.bearer_token = "secret";
  ASSERT_TRUE(client_of((*server)->endpoint(), bearer)->exchange(request_of("GET", "/t"), kLong).has_value());
  EXPECT_EQ(seen, "/t Bearer secret");
}

TEST(HttpClient, EndsAtItsDeadlineWithTimeout) {
  std::promise<Responder> arrived;
  auto server =
      HttpServer::start({}, [&](HttpRequest, Responder respond) { arrived.set_value(std::move(respond)); });
  const auto client = client_of((*server)->endpoint());
  const auto response = client->exchange(request_of("POST", "/slow"), milliseconds(50));
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code(), ErrorCode::kTimeout);
  EXPECT_NE(response.error().message().find("/slow"), std::string::npos);
  arrived.get_future().get()(text_response(200, ""));
}

TEST(HttpClient, EndsAtOnceWhenItIsCancelled) {
  std::promise<void> asked, ended;
  ScriptedServer server([&](RawListener& listener) {
    RawSocket peer = listener.accept();
    peer.read_until("\r\n\r\n");
    asked.set_value();
    ended.get_future().wait();
  });
  const auto client = client_of(server.endpoint());
  auto answer = std::async(std::launch::async,
                           [&] { return client->exchange(request_of("POST", "/"), std::chrono::hours(1)); });
  asked.get_future().wait();
  client->cancel();
  const auto first = answer.get();
  ASSERT_FALSE(first.has_value());
  EXPECT_EQ(first.error().code(), ErrorCode::kTimeout);
  EXPECT_FALSE(client->exchange(request_of("GET", "/"), std::chrono::hours(1)).has_value());
  ended.set_value();
}

TEST(HttpClient, SaysUnavailableWhenNobodyListens) {
  std::string endpoint;
  {
    RawListener gone;
    endpoint = gone.endpoint();
  }
  const auto response = client_of(endpoint)->exchange(request_of("POST", "/"), kLong);
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(response.error().message().find(endpoint), std::string::npos);
}

TEST(HttpClient, SendsAPostAnewWhenTheIdleConnectionHasEnded) {
  std::promise<void> closed;
  ScriptedServer server([&](RawListener& listener) {
    {
      RawSocket peer = listener.accept();
      peer.read_until("\r\n\r\n");
      peer.send(kOk);
    }
    closed.set_value();
    RawSocket peer = listener.accept();
    peer.read_until("\r\n\r\n");
    peer.send(kOk);
  });
  const auto client = client_of(server.endpoint());
  ASSERT_TRUE(client->exchange(request_of("POST", "/1"), kLong).has_value());
  closed.get_future().wait();
  const auto response = client->exchange(request_of("POST", "/2"), kLong);
  EXPECT_TRUE(response.has_value()) << response.error().message();
}

TEST(HttpClient, RepeatsAGetWhoseConnectionEndedBeforeAnyByteOfTheAnswer) {
  ScriptedServer server([&](RawListener& listener) {
    {
      RawSocket peer = listener.accept();
      peer.read_until("\r\n\r\n");
      peer.send(kOk);
      peer.read_until("\r\n\r\n");  // the second request is read, then the connection ends
    }
    RawSocket peer = listener.accept();
    peer.read_until("\r\n\r\n");
    peer.send(kOk);
  });
  const auto client = client_of(server.endpoint());
  ASSERT_TRUE(client->exchange(request_of("GET", "/1"), kLong).has_value());
  ASSERT_TRUE(client->exchange(request_of("GET", "/2"), kLong).has_value());
}

TEST(HttpClient, NeverRepeatsAPostThatThePeerMayHaveRead) {
  ScriptedServer server([&](RawListener& listener) {
    RawSocket peer = listener.accept();
    peer.read_until("\r\n\r\n");
    peer.send(kOk);
    peer.read_until("\r\n\r\n");
  });
  const auto client = client_of(server.endpoint());
  ASSERT_TRUE(client->exchange(request_of("POST", "/1"), kLong).has_value());
  const auto response = client->exchange(request_of("POST", "/2"), kLong);
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code(), ErrorCode::kIo);
}

TEST(HttpClient, RefusesAnAnswerOverItsLimit) {
  auto server = HttpServer::start(
      {}, [](HttpRequest, Responder respond) { respond(text_response(200, std::string(1001, 'x'))); });
  HttpClientConfig config;
  config.response_bytes_max = 1000;
  const auto response = client_of((*server)->endpoint(), config)->exchange(request_of("GET", "/"), kLong);
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code(), ErrorCode::kTooLarge);
}

TEST(HttpClient, ReadsInterimChunkedAndUnboundedAnswers) {
  for (const auto& [answer, body] :
       {std::pair("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\na", "a"),
        std::pair("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                  "abc"),
        std::pair("HTTP/1.1 201 Created\r\n\r\nuntil the end", "until the end")}) {
    ScriptedServer server([text = std::string(answer)](RawListener& listener) {
      RawSocket peer = listener.accept();
      peer.read_until("\r\n\r\n");
      peer.send(text);
    });
    const auto response = client_of(server.endpoint())->exchange(request_of("GET", "/"), kLong);
    ASSERT_TRUE(response.has_value()) << response.error().message();
    EXPECT_EQ(response->status, 201);
    EXPECT_EQ(response->body, body);
  }
}

TEST(HttpClient, ReportsBrokenAnswersAsUnknownOutcome) {
  for (const char* answer : {"garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ""}) {
    ScriptedServer server([text = std::string(answer)](RawListener& listener) {
      RawSocket peer = listener.accept();
      peer.read_until("\r\n\r\n");
      peer.send(text);
    });
    const auto response = client_of(server.endpoint())->exchange(request_of("POST", "/"), kLong);
    ASSERT_FALSE(response.has_value()) << answer;
    EXPECT_EQ(response.error().code(), ErrorCode::kIo) << answer;
  }
}

TEST(HttpClient, ReadsTheRefusalOfAServerThatStopsReading) {
  HttpServerConfig small;
  small.body_bytes_max = 1000;
  auto server =
      HttpServer::start(small, [](HttpRequest, Responder respond) { respond(text_response(200, "")); });
  const auto response =
      client_of((*server)->endpoint())->exchange(request_of("POST", "/", std::string(8u << 20, 'x')), kLong);
  ASSERT_TRUE(response.has_value()) << response.error().message();
  EXPECT_EQ(response->status, 413);
}

TEST(HttpClient, AnswersHeadWithoutWaitingForABody) {
  auto server =
      HttpServer::start({}, [](HttpRequest, Responder respond) { respond(text_response(200, "12345")); });
  const auto client = client_of((*server)->endpoint());
  for (int i = 0; i < 2; ++i) {
    const auto response = client->exchange(request_of("HEAD", "/"), kLong);
    ASSERT_TRUE(response.has_value()) << response.error().message();
    EXPECT_EQ(response->headers.get("Content-Length"), "5");
    EXPECT_EQ(response->body, "");
  }
}

TEST(HttpClient, ResolvesHostNames) {
  auto server =
      HttpServer::start({}, [](HttpRequest, Responder respond) { respond(text_response(200, "ok")); });
  const std::string port = (*server)->endpoint().substr((*server)->endpoint().rfind(':'));
  EXPECT_TRUE(client_of("localhost" + port)->exchange(request_of("GET", "/"), kLong).has_value());
  const auto unknown = client_of("no-such-host.invalid" + port)->exchange(request_of("GET", "/"), kLong);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code(), ErrorCode::kUnavailable);
}

TEST(HttpClient, NamesTheUrlThatItCannotUse) {
  for (const char* url : {"", "127.0.0.1:1", "ftp://x:1", "http://", "http://h:port", "http://u:p@h:1",
                          "http://h:1/?q", "http://h:1/a b"}) {
    HttpClientConfig config;
    config.url = url;
    const auto client = make_http_client(config);
    ASSERT_FALSE(client.has_value()) << url;
    EXPECT_EQ(client.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(client.error().message().find(std::string("'") + url), std::string::npos)
        << client.error().message();
  }
}

}  // namespace
}  // namespace naru::net
