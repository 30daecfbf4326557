#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alerting/webhook/alert.h"
#include "alerting/webhook/authentication.h"
#include "alerting/webhook/mapping.h"
#include "alerting/webhook/payload.h"

namespace naru::alerting {
namespace {

using testing::HasSubstr;

constexpr UnixNanos kNow = 1'800'000'000 * kNanosPerSecond;

// As Debian's Alertmanager 0.25 sends it.
constexpr std::string_view kAlertmanager =
    R"({"receiver":"failover","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"BrokerErrors",)"
    R"("broker":"main","severity":"critical"},"annotations":{"summary":"broken"},"startsAt":"2026-11-21T01:02:03.5Z",)"
    R"("endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p:9090/graph","fingerprint":"0123456789abcdef"}],)"
    R"("groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am:9093","version":"4",)"
    R"("groupKey":"{}:{}","truncatedAlerts":0})";

TEST(Payload, ReadsAlertmanager) {
  const Payload payload = parse_payload(Provider::kAlertmanager, kAlertmanager, kNow).value();
  ASSERT_EQ(payload.alerts.size(), 1u);
  const Alert& alert = payload.alerts[0];
  EXPECT_EQ(alert.state, Alert::State::kFiring);
  EXPECT_EQ(alert.labels.at("broker"), "main");
  EXPECT_EQ(alert.annotations.at("summary"), "broken");
  EXPECT_EQ(alert.fingerprint, "0123456789abcdef");
  EXPECT_EQ(alert.url, "http://p:9090/graph");
  EXPECT_EQ(alert.starts_at, parse_rfc3339("2026-11-21T01:02:03.5Z").value());
  EXPECT_FALSE(alert.unknown);
}

std::string grafana(const std::string& status, const std::string& name, const std::string& annotations) {
  return R"({"receiver":"failover","status":"x","orgId":1,"alerts":[{"status":")" + status +
         R"(","labels":{"alertname":")" + name + R"(","grafana_folder":"P"},"annotations":{)" + annotations +
         R"(},"startsAt":"2026-11-21T01:02:03Z","fingerprint":"f","values":null,"newField":{"a":[1]}}]})";
}

TEST(Payload, ReadsGrafanaAndTellsWhatIsOnlyNotKnown) {
  const auto unknown = [](const std::string& body) {
    return parse_payload(Provider::kGrafana, body, kNow).value().alerts.at(0).unknown;
  };
  EXPECT_FALSE(unknown(grafana("firing", "Failures", "")));
  EXPECT_FALSE(unknown(grafana("resolved", "Failures", R"("grafana_state_reason":"")")));
  EXPECT_TRUE(unknown(grafana("firing", "DatasourceError", "")));
  EXPECT_TRUE(unknown(grafana("firing", "DatasourceNoData", "")));
  for (const char* reason : {"MissingSeries", "NoData", "Error", "Paused", "RuleDeleted", "Updated"}) {
    EXPECT_TRUE(
        unknown(grafana("resolved", "Failures", std::string(R"("grafana_state_reason":")") + reason + "\"")))
        << reason;
  }
}

TEST(Payload, ReadsKibanaAndTheGenericForm) {
  const Alert kibana = parse_payload(Provider::kKibana,
                                     R"({"rule":"Errors","ruleId":"r1","alertId":"a1","status":"recovered",)"
                                     R"("at":"2026-11-21T01:02:03Z","labels":{"n":5}})",
                                     kNow)
                           .value()
                           .alerts.at(0);
  EXPECT_EQ(kibana.state, Alert::State::kResolved);
  EXPECT_EQ(kibana.fingerprint, "r1/a1");
  EXPECT_EQ(kibana.labels.at("alertname"), "Errors");
  EXPECT_EQ(kibana.labels.at("n"), "5");
  const Alert generic = parse_payload(Provider::kGeneric,
                                      R"({"target":"broker.main","level":"CAUTION","status":"firing",)"
                                      R"("fingerprint":"x","startsAt":"2026-11-21T01:02:03Z"})",
                                      kNow)
                            .value()
                            .alerts.at(0);
  EXPECT_EQ(generic.target, "broker.main");
  EXPECT_EQ(generic.level, "CAUTION");
}

TEST(Payload, SaysWhatIsMissingOrMalformed) {
  const auto problem = [](Provider provider, std::string_view body) {
    const auto parsed = parse_payload(provider, body, kNow);
    return parsed ? std::string("taken") : parsed.error().message();
  };
  EXPECT_THAT(problem(Provider::kGrafana, ""), HasSubstr("no JSON object"));
  EXPECT_THAT(problem(Provider::kGrafana, "[1]"), HasSubstr("no JSON object"));
  EXPECT_THAT(problem(Provider::kGrafana, R"({"title":"custom"})"), HasSubstr("no list \"alerts\""));
  EXPECT_THAT(problem(Provider::kGrafana, R"({"alerts":[1]})"), HasSubstr("alerts[0] is no object"));
  EXPECT_THAT(problem(Provider::kGrafana, grafana("broken", "A", "")),
              HasSubstr("alerts[0]: status is \"broken\""));
  EXPECT_THAT(problem(Provider::kAlertmanager, R"({"alerts":[{"status":"firing","labels":{}}]})"),
              HasSubstr("alerts[0].startsAt"));
  EXPECT_THAT(problem(Provider::kKibana, R"({"status":"active","at":"2026-11-21T01:02:03Z"})"),
              HasSubstr("\"ruleId\" and \"alertId\""));
  EXPECT_THAT(problem(Provider::kGeneric, R"({"status":"firing"})"), HasSubstr("\"target\" is needed"));
  EXPECT_THAT(
      problem(
          Provider::kGeneric,
          R"({"target":"t","level":"BAD","status":"firing","fingerprint":"x","startsAt":"2026-11-21T01:02:03Z"})"),
      HasSubstr("level is \"BAD\""));
  std::string future = grafana("firing", "A", "");
  future.replace(future.find("2026-11-21"), 10, "2199-11-21");
  EXPECT_THAT(problem(Provider::kGrafana, future), HasSubstr("check the sender's clock"));
  for (std::size_t size = 0; size < kAlertmanager.size(); ++size) {
    EXPECT_FALSE(parse_payload(Provider::kAlertmanager, kAlertmanager.substr(0, size), kNow)) << size;
  }
  std::string many = R"({"alerts":[)";
  for (std::size_t i = 0; i <= kAlertsMax; ++i) {
    many += R"({"status":"firing","startsAt":"2026-11-21T01:02:03Z","fingerprint":"x"},)";
  }
  many.back() = ']';
  EXPECT_EQ(parse_payload(Provider::kGrafana, many + "}", kNow).error().code(), ErrorCode::kTooLarge);
}

TEST(Payload, CountsWhatWasLeftOutAndTellsAlertsWithoutAFingerprintApart) {
  const Payload payload =
      parse_payload(
          Provider::kGrafana,
          R"({"truncatedAlerts":7,"alerts":[{"status":"firing","labels":{"a":"1"},"startsAt":"2026-11-21T01:02:03Z"},)"
          R"({"status":"firing","labels":{"a":"2"},"startsAt":"2026-11-21T01:02:03Z"}]})",
          kNow)
          .value();
  EXPECT_EQ(payload.truncated, 7u);
  EXPECT_NE(payload.alerts[0].fingerprint, payload.alerts[1].fingerprint);
}

Alert alert_of(Alert::State state, UnixNanos starts_at) {
  Alert alert;
  alert.source = "grafana";
  alert.fingerprint = "f";
  alert.state = state;
  alert.starts_at = starts_at;
  return alert;
}

TEST(AlertOrder, ResolvedIsFinalAndLateOrRepeatedAlertsAreTold) {
  using Verdict = AlertOrder::Verdict;
  AlertOrder order(10);
  const auto take = [&](Alert::State state, UnixNanos starts_at) {
    const Alert alert = alert_of(state, starts_at);
    const Verdict verdict = order.judge(alert);
    if (verdict == Verdict::kNew) {
      order.remember(alert.source, alert.fingerprint, {alert.starts_at, state == Alert::State::kResolved});
    }
    return verdict;
  };
  constexpr auto kFiring = Alert::State::kFiring, kResolved = Alert::State::kResolved;
  EXPECT_EQ(take(kFiring, 10), Verdict::kNew);
  EXPECT_EQ(take(kFiring, 10), Verdict::kDuplicate);
  EXPECT_EQ(take(kResolved, 10), Verdict::kNew);
  EXPECT_EQ(take(kResolved, 10), Verdict::kDuplicate);
  EXPECT_EQ(take(kFiring, 10), Verdict::kStale);
  EXPECT_EQ(take(kFiring, 20), Verdict::kNew);
  EXPECT_EQ(take(kResolved, 10), Verdict::kStale);
  EXPECT_EQ(take(kResolved, 30), Verdict::kNew);  // its firing got lost
  EXPECT_EQ(take(kFiring, 30), Verdict::kStale);
}

TEST(AlertOrder, ForgetsResolvedAlertsFirst) {
  AlertOrder order(2);
  order.remember("g", "firing", {1, false});
  order.remember("g", "resolved", {1, true});
  order.remember("g", "third", {1, false});
  EXPECT_EQ(order.size(), 2u);
  EXPECT_EQ(order.take_forgotten(), "g/resolved");
  EXPECT_EQ(order.take_forgotten(), std::nullopt);
}

net::HttpRequest request_of(std::string body) {
  net::HttpRequest request;
  request.method = "POST";
  request.body = std::move(body);
  request.peer.address = "10.0.0.1:1";
  return request;
}

TEST(Authentication, OpensToThisMachineOnlyWhenNothingIsConfigured) {
  net::HttpRequest request = request_of("x");
  EXPECT_EQ(authenticate({}, request, kNow).error().code(), ErrorCode::kPermissionDenied);
  request.peer.loopback = true;
  EXPECT_TRUE(authenticate({}, request, kNow));
}

TEST(Authentication, TakesWhatFitsAndNothingElse) {
  WebhookAuth auth;
  auth.bearer_token = "secret";
  auth.basic_user = "grafana";
  auth.basic_password = "pw";
  auth.tls_identities = {"alertmanager.example"};
  net::HttpRequest request = request_of("x");
  request.peer.loopback = true;  // no way round
  EXPECT_FALSE(authenticate(auth, request, kNow));
  request.headers.set("Authorization", "Bearer secre");
  EXPECT_FALSE(authenticate(auth, request, kNow));
  request.headers.set("Authorization", "Bearer secret");
  EXPECT_TRUE(authenticate(auth, request, kNow));
  request.headers.set("Authorization", "Basic Z3JhZmFuYTpwdw==");
  EXPECT_TRUE(authenticate(auth, request, kNow));
  request.headers.set("Authorization", "Basic Z3JhZmFuYTpwWA==");
  EXPECT_FALSE(authenticate(auth, request, kNow));
  request.peer.tls_identity = "other.example";
  EXPECT_FALSE(authenticate(auth, request, kNow));
  request.peer.tls_identity = "alertmanager.example";
  EXPECT_TRUE(authenticate(auth, request, kNow));
}

// RFC 4231, test case 2.
TEST(Authentication, SignsAsTheStandardSays) {
  EXPECT_EQ(hmac_sha256_hex("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Authentication, RefusesForgedRepeatedAndUnstampedSignatures) {
  WebhookAuth auth;
  auth.hmac_secret = "s3cret";
  auth.hmac_timestamp_header = "X-Time";
  const std::string stamp = std::to_string(kNow / kNanosPerSecond);
  net::HttpRequest request = request_of(R"({"alerts":[]})");
  request.headers.set("X-Time", stamp);
  request.headers.set(auth.hmac_header, hmac_sha256_hex("s3cret", stamp + ":" + request.body));
  EXPECT_TRUE(authenticate(auth, request, kNow));
  EXPECT_TRUE(authenticate(auth, request, kNow + 299 * kNanosPerSecond));
  EXPECT_THAT(authenticate(auth, request, kNow + 301 * kNanosPerSecond).error().message(),
              HasSubstr("it is a repeat"));
  net::HttpRequest later = request;
  later.headers.set("X-Time",
                    std::to_string(kNow / kNanosPerSecond + 100));  // another time, the same signature
  EXPECT_THAT(authenticate(auth, later, kNow).error().message(), HasSubstr("not that of this body"));
  net::HttpRequest forged = request;
  forged.body += " ";
  EXPECT_THAT(authenticate(auth, forged, kNow).error().message(), HasSubstr("not that of this body"));
  net::HttpRequest unstamped = request;
  unstamped.headers.set("X-Time", "");
  unstamped.headers.set(auth.hmac_header, hmac_sha256_hex("s3cret", request.body));
  EXPECT_THAT(authenticate(auth, unstamped, kNow).error().message(), HasSubstr("has no time"));
}

Alert labelled(rules::Labels labels) {
  Alert alert = alert_of(Alert::State::kFiring, 1);
  alert.labels = std::move(labels);
  return alert;
}

TEST(Mapping, TakesTheFirstEntryThatFits) {
  std::vector<MappingConfig> config(3);
  config[0].match = {{"team", "/infra|net.*/"}};
  config[0].ignore = true;
  config[1].match = {{"alertname", "BrokerErrors"}};
  config[1].target = "broker.{{ $labels.broker }}";
  config[1].level = Status::kCritical;
  const Mapping mapping = Mapping::compile(config).value();
  EXPECT_FALSE(mapping.map(labelled({{"alertname", "BrokerErrors"}, {"team", "network"}})));
  const auto broker = mapping.map(labelled({{"alertname", "BrokerErrors"}, {"broker", "main"}}));
  EXPECT_EQ(broker->target, "broker.main");
  EXPECT_EQ(broker->level, Status::kCritical);
  const auto other = mapping.map(labelled({{"alertname", "Other"}, {"severity", "warning"}}));
  EXPECT_EQ(other->target, "Other");
  EXPECT_EQ(other->level, Status::kCaution);
}

TEST(Mapping, WhatNobodyDeclaredSeriousIsNoMoreThanCaution) {
  const Mapping mapping = Mapping::compile({}).value();
  EXPECT_EQ(mapping.map(labelled({{"alertname", "A"}}))->level, Status::kCaution);
  EXPECT_EQ(mapping.map(labelled({{"alertname", "A"}, {"severity", "odd"}}))->level, Status::kCaution);
  EXPECT_EQ(mapping.map(labelled({{"alertname", "A"}, {"severity", "critical"}}))->level, Status::kCritical);
  EXPECT_FALSE(mapping.map(labelled({{"alertname", "A"}, {"severity", "info"}})));
}

TEST(Mapping, TakesTheTargetThatTheAlertNames) {
  const Mapping mapping = Mapping::compile({}).value();
  EXPECT_EQ(mapping.map(labelled({{"alertname", "A"}, {"target", "service.shop"}}))->target, "service.shop");
  EXPECT_EQ(mapping.map(labelled({{"alertname", "A"}}))->target, "A");
}

TEST(Mapping, SaysWhatItCannotUse) {
  MappingConfig bad;
  bad.match = {{"a", "/(/"}};
  EXPECT_THAT(Mapping::compile({bad}).error().message(), HasSubstr("webhooks.mappings[0]: match.a"));
  bad = {};
  bad.levels = {{"x", "BAD"}};
  EXPECT_THAT(Mapping::compile({bad}).error().message(), HasSubstr("levels.x"));
}

}  // namespace
}  // namespace naru::alerting
