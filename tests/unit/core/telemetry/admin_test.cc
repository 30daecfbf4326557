#include "core/telemetry/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::telemetry {
namespace {

using testing::HasSubstr;

class AdminTest : public testing::Test {
 protected:
  net::HttpResponse ask(const std::string& target, const std::string& method = "GET") {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    return answer_admin(request, registry_, health_);
  }

  Registry registry_;
  Health health_{registry_};
};

TEST_F(AdminTest, ShowsMetricsAsPrometheusReadsThem) {
  registry_.counter("naru_things_total", "Things.").add(3);
  const net::HttpResponse response = ask("/metrics?x=1");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(response.body, HasSubstr("naru_things_total 3\n"));
}

TEST_F(AdminTest, IsAliveWhateverTheChecksSay) {
  health_.set("disk", false, "full");
  EXPECT_EQ(ask("/livez").status, 200);
}

TEST_F(AdminTest, IsReadyWithTheReasonsWhenNot) {
  health_.set("kafka", true);
  EXPECT_EQ(ask("/readyz").status, 200);
  EXPECT_EQ(ask("/readyz").body, "{\"ready\":true,\"checks\":[{\"name\":\"kafka\",\"ok\":true}]}\n");
  health_.set("disk", false, "no \"space\"");
  const net::HttpResponse red = ask("/readyz");
  EXPECT_EQ(red.status, 503);
  EXPECT_EQ(red.headers.get("Content-Type"), "application/json");
  EXPECT_EQ(red.body,
            "{\"ready\":false,\"checks\":[{\"name\":\"disk\",\"ok\":false,\"reason\":\"no \\\"space\\\"\"},"
            "{\"name\":\"kafka\",\"ok\":true}]}\n");
}

TEST_F(AdminTest, AnswersHeadWithoutABody) {
  health_.set("disk", false, "full");
  EXPECT_EQ(ask("/readyz", "HEAD").status, 503);
  EXPECT_EQ(ask("/readyz", "HEAD").body, "");
}

TEST_F(AdminTest, RefusesOtherPathsAndMethods) {
  EXPECT_EQ(ask("/").status, 404);
  EXPECT_EQ(ask("/metrics/x").status, 404);
  const net::HttpResponse post = ask("/metrics", "POST");
  EXPECT_EQ(post.status, 405);
  EXPECT_EQ(post.headers.get("Allow"), "GET, HEAD");
}

TEST_F(AdminTest, AnswersThroughItsHandler) {
  net::HttpRequest request;
  request.target = "/livez";
  net::HttpResponse got;
  admin_handler(registry_, health_)(
      request, net::Responder([&](net::HttpResponse response) { got = std::move(response); }));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "ok\n");
}

}  // namespace
}  // namespace naru::telemetry
