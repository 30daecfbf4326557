#include "core/net/http.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace naru::net {
namespace {

using std::chrono::milliseconds;

TEST(Headers, FindNamesInAnyCase) {
  Headers headers;
  headers.add("Content-Type", "text/plain");
  headers.add("X-A", "1");
  headers.add("x-a", "2");
  EXPECT_EQ(headers.get("content-type"), "text/plain");
  EXPECT_EQ(headers.get("X-a"), "1");
  EXPECT_TRUE(headers.has("CONTENT-TYPE"));
  EXPECT_EQ(headers.get("absent"), "");
}

TEST(Headers, SetReplacesEveryFieldOfTheName) {
  Headers headers;
  headers.add("X-A", "1");
  headers.add("x-a", "2");
  headers.set("X-A", "3");
  ASSERT_EQ(headers.all().size(), 1u);
  EXPECT_EQ(headers.get("x-a"), "3");
}

TEST(HttpRequest, SplitsTheTargetAndDecodesParameters) {
  HttpRequest request;
  request.target = "/logs/_search?q=a%3Ab+c&pretty&x=%zz&q=second";
  EXPECT_EQ(request.path(), "/logs/_search");
  EXPECT_EQ(request.query_parameter("q"), "a:b c");
  EXPECT_TRUE(request.has_query_parameter("pretty"));
  EXPECT_EQ(request.query_parameter("pretty"), "");
  EXPECT_EQ(request.query_parameter("x"), "%zz");
  EXPECT_FALSE(request.has_query_parameter("absent"));
  request.target = "/";
  EXPECT_EQ(request.query(), "");
}

TEST(Responder, AnswersFiveHundredWhenDropped) {
  int status = 0;
  {
    Responder dropped([&](HttpResponse response) { status = response.status; });
  }
  EXPECT_EQ(status, 500);
}

TEST(Responder, AnswersOnceAlsoAfterAMove) {
  int answers = 0;
  {
    Responder first([&](HttpResponse) { ++answers; });
    Responder second(std::move(first));
    second(text_response(200, "x"));
  }
  EXPECT_EQ(answers, 1);
}

TEST(ResponderDeathTest, ASecondAnswerIsADefect) {
  EXPECT_DEATH(
      {
        Responder responder([](HttpResponse) {});
        responder(HttpResponse());
        responder(HttpResponse());
      },
      "answered twice");
}

TEST(LocalTransport, CarriesTheRequestToTheHandlerAsALoopbackPeer) {
  LocalTransport transport([](HttpRequest request, Responder respond) {
    EXPECT_TRUE(request.peer.loopback);
    EXPECT_EQ(request.peer.address, "in-process");
    respond(text_response(202, request.method + request.body));
  });
  HttpRequest request;
  request.method = "POST";
  request.body = "x";
  const auto response = transport.exchange(std::move(request), milliseconds(1000));
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->status, 202);
  EXPECT_EQ(response->body, "POSTx");
}

TEST(LocalTransport, TakesAnAnswerFromAnotherThread) {
  std::thread other;
  LocalTransport transport([&](HttpRequest, Responder respond) {
    other = std::thread([respond = std::move(respond)]() mutable { respond(text_response(200, "later")); });
  });
  const auto response = transport.exchange(HttpRequest(), milliseconds(10'000));
  other.join();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, "later");
}

TEST(LocalTransport, EndsAtTheDeadlineAndSurvivesTheLateAnswer) {
  std::optional<Responder> kept;
  LocalTransport transport([&](HttpRequest, Responder respond) { kept.emplace(std::move(respond)); });
  const auto response = transport.exchange(HttpRequest(), milliseconds(1));
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code(), ErrorCode::kTimeout);
  (*kept)(text_response(200, "too late"));
}

}  // namespace
}  // namespace naru::net
