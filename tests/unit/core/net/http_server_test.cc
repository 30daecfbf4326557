#include "core/net/http_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "core/net/http_client.h"
#include "tests/unit/core/net/test_bytes.h"
#include "tests/unit/core/net/test_sockets.h"

namespace naru::net {
namespace {

using std::chrono::milliseconds;
using testing::gzip;
using testing::RawListener;
using testing::RawSocket;
using testing::sample_text;
using testing::zstd;

// Answers with the method, the body's size and a hash of nothing else: enough to see what arrived.
void echo(HttpRequest request, Responder respond) {
  respond(text_response(200, request.method + " " + request.target + " " + request.body));
}

std::unique_ptr<HttpServer> serve(HttpHandler handler, HttpServerConfig config = {}) {
  auto server = HttpServer::start(std::move(config), std::move(handler));
  EXPECT_TRUE(server.has_value()) << server.error().message();
  return std::move(*server);
}

std::string post(std::string_view body, std::string_view fields = "") {
  return fmt::format("POST /p HTTP/1.1\r\nHost: h\r\n{}Content-Length: {}\r\n\r\n{}", fields, body.size(),
                     body);
}

// Requests that wait for the test's word.
class Gate {
 public:
  HttpHandler handler() {
    return [this](HttpRequest, Responder respond) {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(respond));
      changed_.notify_all();
    };
  }
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() >= count; });
  }
  void answer_all() {
    std::vector<Responder> taken;
    {
      const std::lock_guard lock(mutex_);
      taken.swap(waiting_);
    }
    for (Responder& respond : taken) {
      respond(text_response(200, "done"));
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Responder> waiting_;
};

TEST(HttpServer, ServesManyRequestsOnOneConnection) {
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  for (int i = 0; i < 3; ++i) {
    client.send(post(fmt::format("body {}", i)));
    const std::string response = client.read_response();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n")) << response;
    EXPECT_TRUE(response.ends_with(fmt::format("POST /p body {}", i))) << response;
  }
  EXPECT_EQ(server->stats().connections, 1u);
  EXPECT_EQ(server->stats().requests, 3u);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send(post("one") + "GET /g HTTP/1.1\r\nHost: h\r\n\r\n" + post("two"));
  EXPECT_TRUE(client.read_response().ends_with("POST /p one"));
  EXPECT_TRUE(client.read_response().ends_with("GET /g "));
  EXPECT_TRUE(client.read_response().ends_with("POST /p two"));
}

TEST(HttpServer, TakesARequestByteByByte) {
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  for (const char c : post("slow")) {
    ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  }
  EXPECT_TRUE(client.read_response().ends_with("POST /p slow"));
}

TEST(HttpServer, TakesChunkedBodies) {
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n");
  client.send("3\r\nefg\r\n0\r\nTrailer: t\r\n\r\n" + post("next"));
  EXPECT_TRUE(client.read_response().ends_with("POST /p abcdefg"));
  EXPECT_TRUE(client.read_response().ends_with("POST /p next"));
}

TEST(HttpServer, HandsOverABodyOfTheFullLimit) {
  const std::string body = sample_text(64u << 20);
  std::string received;
  const auto server = serve([&](HttpRequest request, Responder respond) {
    received = std::move(request.body);
    respond(text_response(200, "ok"));
  });
  RawSocket client = RawSocket::connect(server->endpoint());
  ASSERT_TRUE(client.send(post(body)));
  EXPECT_TRUE(client.read_response().starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(received == body);
  EXPECT_EQ(server->stats().body_bytes_in_flight, 0u);
}

TEST(HttpServer, UndoesContentEncoding) {
  const std::string body = sample_text(200'000);
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  for (const auto& [encoding, bytes] : {std::pair("gzip", gzip(body)), std::pair("ZSTD", zstd(body))}) {
    client.send(post(bytes, fmt::format("Content-Encoding: {}\r\n", encoding)));
    EXPECT_TRUE(client.read_response().ends_with("POST /p " + body)) << encoding;
  }
}

TEST(HttpServer, TakesCompressedChunkedBodies) {
  const std::string bytes = gzip("compressed");
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const char c : bytes) {
    client.send(fmt::format("1\r\n{}\r\n", c));
  }
  client.send("0\r\n\r\n");
  EXPECT_TRUE(client.read_response().ends_with("POST /p compressed"));
}

TEST(HttpServer, RefusesWhatIsTooLargeWith413) {
  HttpServerConfig config;
  config.body_bytes_max = 1000;
  const auto server = serve(echo, config);
  const std::string big(1001, 'x');
  const std::string bomb(1u << 20, 'x');
  for (const std::string& request :
       {post(big), post(gzip(bomb), "Content-Encoding: gzip\r\n"),
        post(zstd(bomb), "Content-Encoding: zstd\r\n"),
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + big + "\r\n0\r\n\r\n"}) {
    RawSocket client = RawSocket::connect(server->endpoint());
    client.send(request);
    const std::string response = client.read_to_end();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 413")) << response;
    EXPECT_NE(response.find("Connection: close"), std::string::npos);
    EXPECT_NE(response.find("1000 bytes"), std::string::npos);
  }
  EXPECT_EQ(server->stats().requests, 0u);
  EXPECT_EQ(server->stats().requests_too_large, 4u);
}

TEST(HttpServer, LetsAClientThatIsStillSendingSeeThe413) {
  HttpServerConfig config;
  config.body_bytes_max = 16u << 20;
  const auto server = serve(echo, config);
  RawSocket client = RawSocket::connect(server->endpoint());
  EXPECT_TRUE(client.send(post(std::string((16u << 20) + 1, 'x'))));
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 413"));
}

TEST(HttpServer, RefusesAHeaderOverTheLimitWith431) {
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(70'000, 'x'));
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 431"));
}

TEST(HttpServer, RefusesMalformedRequestsWith400AndCloses) {
  const auto server = serve(echo);
  std::uint64_t count = 0;
  for (const std::string& request : {
           std::string("nonsense\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\n\r\n"),                        // no Host
           std::string("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),  // two
           std::string("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n"),
           std::string(
               "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
           std::string("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"),
           std::string("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
           std::string("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(300'000, 'x'),
           post("not gzip", "Content-Encoding: gzip\r\n"),
           std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),  // TLS to a plain port
       }) {
    RawSocket client = RawSocket::connect(server->endpoint());
    client.send(request);
    EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 400")) << request.substr(0, 80);
    EXPECT_EQ(server->stats().requests_malformed, ++count) << request.substr(0, 80);
  }
  EXPECT_EQ(server->stats().requests, 0u);
}

TEST(HttpServer, RefusesUnknownEncodingsWith415) {
  const auto server = serve(echo);
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send(post("x", "Content-Encoding: br\r\n"));
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 415"));
}

TEST(HttpServer, AsksForTheBodyOfExpectContinueOnlyWhenItFits) {
  HttpServerConfig config;
  config.body_bytes_max = 10;
  const auto server = serve(echo, config);
  RawSocket fits = RawSocket::connect(server->endpoint());
  fits.send("POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(fits.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  fits.send("ok");
  EXPECT_TRUE(fits.read_response().ends_with("POST /p ok"));
  RawSocket large = RawSocket::connect(server->endpoint());
  large.send("POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
  EXPECT_TRUE(large.read_until("\r\n\r\n").starts_with("HTTP/1.1 413"));
}

TEST(HttpServer, AnswersHeadWithTheLengthButNoBody) {
  const auto server = serve([](HttpRequest, Responder respond) { respond(text_response(200, "12345")); });
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_TRUE(client.read_response().ends_with("\r\n\r\n12345"));
}

TEST(HttpServer, GivesNoBodyOrLengthWith204) {
  const auto server = serve([](HttpRequest, Responder respond) { respond(HttpResponse{204, {}, ""}); });
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.read_to_end().find("Content-Length"), std::string::npos);
}

TEST(HttpServer, ClosesWhenTheClientSaysSoAndServesHttp10) {
  const auto server = serve(echo);
  for (const char* request :
       {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"}) {
    RawSocket client = RawSocket::connect(server->endpoint());
    client.send(request);
    EXPECT_NE(client.read_to_end().find("GET / "), std::string::npos);
  }
}

TEST(HttpServer, LetsNoHeaderValueEndTheHeader) {
  const auto server = serve([](HttpRequest, Responder respond) {
    HttpResponse response = text_response(200, "x");
    response.headers.add("X-Name", "a\r\nSet-Cookie: stolen");
    response.headers.add("Content-Length", "99");
    respond(std::move(response));
  });
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string response = client.read_to_end();
  EXPECT_EQ(response.find("\r\nSet-Cookie"), std::string::npos);
  EXPECT_EQ(response.find("99"), std::string::npos);
}

TEST(HttpServer, TakesAnswersFromOtherThreads) {
  std::vector<std::thread> others;
  std::mutex mutex;
  HttpServerConfig config;
  config.threads = 2;
  const auto server = serve(
      [&](HttpRequest request, Responder respond) {
        const std::lock_guard lock(mutex);
        others.emplace_back([body = std::move(request.body), respond = std::move(respond)]() mutable {
          respond(text_response(200, std::move(body)));
        });
      },
      config);
  std::vector<RawSocket> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(RawSocket::connect(server->endpoint()));
    clients.back().send(post(std::to_string(i)));
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(clients[i].read_response().ends_with("\r\n\r\n" + std::to_string(i)));
  }
  for (std::thread& other : others) {
    other.join();
  }
}

TEST(HttpServer, AnswersFiveHundredForADroppedRequest) {
  const auto server = serve([](HttpRequest, Responder) {});
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send(post("x"));
  EXPECT_TRUE(client.read_response().starts_with("HTTP/1.1 500"));
}

TEST(HttpServer, RefusesConnectionsOverTheLimitWith503) {
  HttpServerConfig config;
  config.connections_max = 1;
  const auto server = serve(echo, config);
  RawSocket first = RawSocket::connect(server->endpoint());
  first.send(post("x"));
  EXPECT_TRUE(first.read_response().starts_with("HTTP/1.1 200"));
  RawSocket second = RawSocket::connect(server->endpoint());
  second.send(post("x"));
  const std::string refusal = second.read_to_end();
  EXPECT_TRUE(refusal.starts_with("HTTP/1.1 503")) << refusal;
  EXPECT_NE(refusal.find("Retry-After: 1"), std::string::npos);
  EXPECT_EQ(server->stats().connections_refused, 1u);
  first.send(post("still served"));
  EXPECT_TRUE(first.read_response().ends_with("still served"));
}

TEST(HttpServer, AsksToComeBackWhenRequestsInFlightHoldTooMuch) {
  Gate gate;
  HttpServerConfig config;
  config.body_bytes_in_flight_max = 1000;
  const auto server = serve(gate.handler(), config);
  RawSocket first = RawSocket::connect(server->endpoint());
  first.send(post(std::string(800, 'x')));
  gate.wait_for(1);
  EXPECT_EQ(server->stats().body_bytes_in_flight, 800u);
  for (const std::string& request :
       {post(std::string(201, 'x')), post(gzip(std::string(201, 'x')), "Content-Encoding: gzip\r\n")}) {
    RawSocket second = RawSocket::connect(server->endpoint());
    second.send(request);
    const std::string refusal = second.read_to_end();
    EXPECT_TRUE(refusal.starts_with("HTTP/1.1 503")) << refusal;
    EXPECT_NE(refusal.find("Retry-After: 1"), std::string::npos);
  }
  RawSocket announcing = RawSocket::connect(server->endpoint());
  announcing.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 201\r\n\r\n");
  EXPECT_TRUE(announcing.read_response().starts_with("HTTP/1.1 503"));
  EXPECT_EQ(server->stats().requests_overloaded, 3u);
  gate.answer_all();
  EXPECT_TRUE(first.read_response().starts_with("HTTP/1.1 200"));
  EXPECT_EQ(server->stats().body_bytes_in_flight, 0u);
}

TEST(HttpServer, ClosesConnectionsThatStandStill) {
  HttpServerConfig config;
  config.idle_timeout = milliseconds(50);
  const auto server = serve(echo, config);
  std::uint64_t count = 0;
  for (const char* start : {"", "GET / HT", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf"}) {
    RawSocket client = RawSocket::connect(server->endpoint());
    client.send(start);
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(server->stats().connections_timed_out, ++count);
  }
}

TEST(HttpServer, LetsAHandlerTakeLongerThanTheIdleTimeout) {
  Gate gate;
  HttpServerConfig config;
  config.idle_timeout = milliseconds(20);
  const auto server = serve(gate.handler(), config);
  RawSocket slow = RawSocket::connect(server->endpoint());
  slow.send(post("x"));
  gate.wait_for(1);
  // A second connection that times out proves that the time has passed.
  EXPECT_EQ(RawSocket::connect(server->endpoint()).read_to_end(), "");
  gate.answer_all();
  EXPECT_TRUE(slow.read_response().starts_with("HTTP/1.1 200"));
}

TEST(HttpServer, SurvivesClientsThatGoAway) {
  Gate gate;
  const auto server = serve(gate.handler());
  for (int i = 0; i < 10; ++i) {
    RawSocket client = RawSocket::connect(server->endpoint());
    client.send(post("x"));
    gate.wait_for(i + 1);
  }
  gate.answer_all();
}

TEST(HttpServer, DrainsRunningRequestsAndClosesIdleConnectionsAtOnce) {
  Gate gate;
  const auto server = serve(gate.handler());
  RawSocket idle = RawSocket::connect(server->endpoint());
  RawSocket busy = RawSocket::connect(server->endpoint());
  busy.send(post("x"));
  gate.wait_for(1);
  std::thread stopper([&] { server->stop(milliseconds(60'000)); });
  EXPECT_EQ(idle.read_to_end(), "");
  gate.answer_all();
  const std::string response = busy.read_to_end();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200")) << response;
  EXPECT_NE(response.find("Connection: close"), std::string::npos);
  stopper.join();
  EXPECT_FALSE(RawSocket::connect(server->endpoint()).ok());
}

TEST(HttpServer, ClosesRunningRequestsWhenTheDrainIsOver) {
  Gate gate;
  const auto server = serve(gate.handler());
  RawSocket busy = RawSocket::connect(server->endpoint());
  busy.send(post("x"));
  gate.wait_for(1);
  server->stop(milliseconds(1));
  EXPECT_EQ(busy.read_to_end(), "");
  gate.answer_all();  // too late, and harmless
  server->stop(milliseconds(1));
}

TEST(HttpServer, NamesAnAddressThatIsInUse) {
  const auto server = serve(echo);
  HttpServerConfig config;
  config.address = server->endpoint();
  const auto second = HttpServer::start(config, echo);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message().find(server->endpoint()), std::string::npos);
}

TEST(HttpServer, SaysThatAnAddressIsNotOfThisMachine) {
  HttpServerConfig config;
  config.address = "192.0.2.1:0";  // reserved for documentation (RFC 5737)
  const auto server = HttpServer::start(config, echo);
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().message(),
            "cannot listen on 192.0.2.1:0: this machine has no such address; choose one of its own");
}

TEST(HttpServer, NamesAnAddressThatItCannotRead) {
  for (const char* address : {"nonsense", "127.0.0.1:99999", "no-such-host.invalid:0"}) {
    HttpServerConfig config;
    config.address = address;
    const auto server = HttpServer::start(config, echo);
    ASSERT_FALSE(server.has_value());
    EXPECT_EQ(server.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(server.error().message().find(address), std::string::npos);
  }
}

TEST(HttpServer, TellsTheHandlerWhoCalls) {
  Peer peer;
  const auto server = serve([&](HttpRequest request, Responder respond) {
    peer = request.peer;
    respond(text_response(200, ""));
  });
  RawSocket client = RawSocket::connect(server->endpoint());
  client.send(post("x"));
  client.read_response();
  EXPECT_TRUE(peer.address.starts_with("127.0.0.1:"));
  EXPECT_TRUE(peer.loopback);
  EXPECT_FALSE(peer.tls);
  EXPECT_EQ(peer.tls_identity, "");
}

}  // namespace
}  // namespace naru::net
