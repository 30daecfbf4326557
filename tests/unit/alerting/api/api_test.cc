// The HTTP API in front of a running leader on the embedded bus.
#include "alerting/api/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "alerting/alerting.h"
#include "core/bus/local/local_bus.h"
#include "tests/unit/temp_dir.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;

class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    bus::LocalBusConfig config;
    config.directory = directory_.path();
    bus_ = bus::open_local_bus(config).value();
    TargetConfig target;
    target.name = "broker";
    target.routes = {{.name = "main", .url = "http://main", .watch = {}, .probe = {}},
                     {.name = "sub", .url = "http://sub", .watch = {}, .probe = {}}};
    config_.targets = {target};
    config_.limits = {{"orders", {.per_second = 5}}};
    config_.webhooks.body_bytes_max = 10'000;
  }
  ~ApiTest() override {
    alerting_.reset();
    bus_.reset();
  }
  void start() {
    alerting_ = std::make_unique<Alerting>(config_, only_cluster("test", *bus_), registry_, health_);
    ASSERT_TRUE(alerting_->start());
    for (int i = 0; i < 5'000 && !alerting_->leads(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    ASSERT_TRUE(alerting_->leads());
  }
  net::HttpResponse ask(const std::string& method, const std::string& target, const std::string& body = {},
                        bool loopback = true, const std::string& authorization = {}) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.peer.loopback = loopback;
    request.peer.address = loopback ? "127.0.0.1:1" : "10.0.0.1:1";
    if (!authorization.empty()) {
      request.headers.set("Authorization", authorization);
    }
    std::promise<net::HttpResponse> promise;
    net::Responder respond([&](net::HttpResponse response) { promise.set_value(std::move(response)); });
    EXPECT_TRUE(alerting_->answer(request, respond));
    return promise.get_future().get();
  }
  static std::string alert(const std::string& status, const std::string& starts_at) {
    return R"({"target":"broker","level":"CRITICAL","status":")" + status +
           R"(","fingerprint":"f","startsAt":")" + starts_at + "\"}";
  }

  test::TempDir directory_;
  AlertingConfig config_;
  telemetry::Registry registry_;
  telemetry::Health health_{registry_};
  std::unique_ptr<bus::LocalBus> bus_;
  std::unique_ptr<Alerting> alerting_;
};

TEST_F(ApiTest, AnAlertIsTakenOnceAndSwitches) {
  start();
  EXPECT_EQ(ask("POST", "/webhooks/generic", alert("firing", "2026-11-21T01:02:03Z")).body,
            "{\"taken\":1,\"duplicate\":0,\"stale\":0,\"unknown\":0}\n");
  EXPECT_THAT(ask("GET", "/v1/status/broker").body, HasSubstr(R"("status":"CRITICAL")"));
  EXPECT_THAT(ask("GET", "/v1/routes/broker").body, HasSubstr(R"("active":"sub")"));
  EXPECT_EQ(ask("POST", "/webhooks/generic", alert("firing", "2026-11-21T01:02:03Z")).body,
            "{\"taken\":0,\"duplicate\":1,\"stale\":0,\"unknown\":0}\n");
  EXPECT_EQ(ask("POST", "/webhooks/generic", alert("resolved", "2026-11-20T01:02:03Z")).body,
            "{\"taken\":0,\"duplicate\":0,\"stale\":1,\"unknown\":0}\n");
  EXPECT_THAT(ask("GET", "/v1/overview").body,
              HasSubstr(R"("kind":"route","type":"broker","from":"main","to":"sub")"));
  EXPECT_THAT(registry_.expose(),
              HasSubstr(R"(naru_webhook_alerts_total{outcome="duplicate",provider="generic"} 1)"));
}

TEST_F(ApiTest, RefusesWhatIsForgedHugeOrMalformed) {
  start();
  EXPECT_EQ(ask("POST", "/webhooks/generic", alert("firing", "2026-11-21T01:02:03Z"), false).status, 403);
  EXPECT_EQ(ask("POST", "/webhooks/generic", std::string(10'001, 'x')).status, 413);
  EXPECT_EQ(ask("POST", "/webhooks/generic", "{").status, 400);
  EXPECT_EQ(ask("POST", "/webhooks/generic", "").status, 400);
  EXPECT_EQ(ask("GET", "/webhooks/generic").status, 405);
  EXPECT_EQ(ask("POST", "/webhooks/pagerduty", "{}").status, 404);
  EXPECT_THAT(ask("GET", "/v1/status").body, HasSubstr(R"("targets":[])"));
}

TEST_F(ApiTest, OthersNeedTheTokenForEverything) {
  config_.api_token = "secret";
  start();
  for (const char* target : {"/v1/status", "/v1/routes/broker", "/v1/limits", "/v1/overview"}) {
    EXPECT_EQ(ask("GET", target, {}, false).status, 401) << target;
    EXPECT_EQ(ask("GET", target, {}, false, "Bearer secre").status, 401) << target;
    EXPECT_EQ(ask("GET", target, {}, false, "Bearer secret").status, 200) << target;
  }
  EXPECT_EQ(ask("PUT", "/v1/status/broker", R"({"status":"CRITICAL","reason":"x"})", false).status, 401);
}

TEST_F(ApiTest, PeopleSetStatusesRoutesAndRates) {
  start();
  EXPECT_EQ(ask("PUT", "/v1/status/broker", R"({"status":"CRITICAL"})").status, 400);
  EXPECT_EQ(ask("PUT", "/v1/status/broker", R"({"status":"BAD","reason":"x"})").status, 400);
  EXPECT_THAT(ask("PUT", "/v1/status/broker", R"({"status":"CRITICAL","reason":"drill","by":"kim"})").body,
              HasSubstr(R"("source":"person/kim")"));
  EXPECT_EQ(ask("PUT", "/v1/routes/broker", R"({"reason":"x"})").status, 400);
  EXPECT_EQ(ask("PUT", "/v1/routes/broker", R"({"route":"west","reason":"x"})").status, 404);
  EXPECT_EQ(ask("PUT", "/v1/routes/none", R"({"route":"main","reason":"x"})").status, 404);
  EXPECT_THAT(ask("PUT", "/v1/routes/broker", R"({"route":"main","lock":true,"reason":"drill"})").body,
              HasSubstr(R"("active":"main")"));
  EXPECT_EQ(ask("GET", "/v1/routes/none").status, 404);
  // A planned move.
  EXPECT_EQ(ask("PUT", "/v1/routes/broker", R"({"route":"sub","percent":101,"reason":"x"})").status, 400);
  EXPECT_EQ(ask("PUT", "/v1/routes/broker", R"({"route":"sub","percent":"all","reason":"x"})").status, 400);
  EXPECT_EQ(ask("PUT", "/v1/routes/broker", R"({"percent":5,"reason":"x"})").status, 400);
  EXPECT_THAT(ask("PUT", "/v1/routes/broker", R"({"route":"sub","percent":5,"reason":"new"})").body,
              HasSubstr(R"("shift":{"to":"sub","percent":5})"));
  EXPECT_EQ(ask("PUT", "/v1/limits/orders", R"({"perSecond":-1})").status, 400);
  EXPECT_EQ(ask("PUT", "/v1/limits/orders", R"({"perSecond":1e10})").status, 400);
  EXPECT_EQ(ask("PUT", "/v1/limits/orders", R"({"perSecond":50})").body,
            "{\"name\":\"orders\",\"perSecond\":50}\n");
  EXPECT_THAT(ask("GET", "/v1/limits").body, HasSubstr(R"({"name":"orders","perSecond":50})"));
  EXPECT_EQ(ask("GET", "/v1/limits/none").status, 404);
  EXPECT_EQ(ask("POST", "/v1/limits/orders/acquire", R"({"permits":1,"waitMs":5000})").status, 200);
}

TEST_F(ApiTest, NamesWithOddCharactersAreDecoded) {
  start();
  EXPECT_THAT(ask("PUT", "/v1/status/a%20b%2Fc", R"({"status":"CAUTION","reason":"x"})").body,
              HasSubstr(R"("target":"a b/c")"));
}

}  // namespace
}  // namespace naru::alerting
