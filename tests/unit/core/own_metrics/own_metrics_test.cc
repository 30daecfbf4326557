#include "core/own_metrics/own_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/net/http_server.h"

namespace naru::own_metrics {
namespace {

// A collector that answers as a test wants.
class OwnMetricsTest : public testing::Test {
 protected:
  OwnMetricsTest()
      : server_(*net::HttpServer::start({}, [this](net::HttpRequest request, net::Responder respond) {
          const std::lock_guard lock(mutex_);
          bodies_.push_back(request.target + " " + request.body);
          net::HttpResponse response;
          response.status = status_;
          respond(std::move(response));
        })) {
    config_.every = std::chrono::milliseconds{20};
    config_.collector = "http://" + server_->endpoint();
  }
  std::vector<std::string> bodies(std::size_t least) {
    for (int i = 0; i < 5'000; ++i) {
      {
        const std::lock_guard lock(mutex_);
        if (bodies_.size() >= least) {
          return bodies_;
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    return {};
  }
  void answer(int status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
    bodies_.clear();
  }

  std::mutex mutex_;
  int status_ = 200;
  std::vector<std::string> bodies_;
  std::unique_ptr<net::HttpServer> server_;
  telemetry::Registry registry_;
  OwnMetricsConfig config_;
};

TEST_F(OwnMetricsTest, SendsAgainTheSameUntilItIsTaken) {
  answer(503);
  const auto own = OwnMetrics::start(config_, "naru-test", registry_);
  ASSERT_TRUE(own);
  const auto failed = bodies(3);
  ASSERT_GE(failed.size(), 3u);
  EXPECT_THAT(failed[0], testing::StartsWith("/v1/metrics "));
  EXPECT_THAT(failed[0], testing::HasSubstr("naru-test"));
  EXPECT_EQ(failed[0], failed[1]);
  EXPECT_EQ(failed[1], failed[2]);
  answer(200);
  const auto taken = bodies(3);
  ASSERT_GE(taken.size(), 3u);
  EXPECT_NE(taken[1], taken[2]);
}

TEST_F(OwnMetricsTest, DoesNotRepeatWhatIsRefused) {
  answer(400);
  const auto own = OwnMetrics::start(config_, "naru-test", registry_);
  const auto refused = bodies(2);
  ASSERT_GE(refused.size(), 2u);
  EXPECT_NE(refused[0], refused[1]);
}

TEST_F(OwnMetricsTest, WithoutACollectorThereIsNone) {
  config_.collector.clear();
  EXPECT_EQ(*OwnMetrics::start(config_, "naru-test", registry_), nullptr);
  config_.collector = "ftp://x";
  EXPECT_FALSE(OwnMetrics::start(config_, "naru-test", registry_));
}

}  // namespace
}  // namespace naru::own_metrics
