#include "alerting/limit/limiter.h"

#include <gtest/gtest.h>

#include <deque>
#include <future>

#include "alerting/limit/limit_service.h"

namespace naru::alerting {
namespace {

constexpr std::uint64_t kSecond = kNanosPerSecond;
constexpr std::uint64_t kStart = 1'000 * kSecond;

TEST(Limiter, NeverGrantsMoreThanTheRateInAnySecond) {
  Limiter limiter(50);
  std::deque<std::pair<std::uint64_t, std::uint64_t>> granted;
  std::uint64_t total = 0;
  for (std::uint64_t now = kStart; now < kStart + 10 * kSecond; now += kSecond / 997) {
    if (const std::uint64_t n = limiter.take(3, now)) {
      granted.emplace_back(now, n);
      total += n;
    }
    std::uint64_t within = 0;
    for (const auto& [at, n] : granted) {
      within += at + kSecond > now ? n : 0;
    }
    ASSERT_LE(within, 50u);
  }
  EXPECT_GE(total, 480u);  // and uses it
  EXPECT_LE(total, 500u);
}

TEST(Limiter, FollowsANewRateAtOnce) {
  Limiter limiter(10);
  EXPECT_EQ(limiter.take(100, kStart), 10u);
  limiter.set_rate(30);
  EXPECT_EQ(limiter.take(100, kStart), 20u);
  limiter.set_rate(5);
  EXPECT_EQ(limiter.take(100, kStart + kSecond / 2), 0u);
  EXPECT_EQ(limiter.take(100, kStart + 2 * kSecond), 5u);
  limiter.set_rate(0);
  EXPECT_EQ(limiter.take(1, kStart + 9 * kSecond), 0u);
}

TEST(Limiter, RatesBelowOneASecondSpaceTheirGrants) {
  Limiter limiter(0.5);
  EXPECT_EQ(limiter.take(5, kStart), 1u);
  EXPECT_EQ(limiter.take(5, kStart + kSecond), 0u);
  EXPECT_EQ(limiter.take(5, kStart + 2 * kSecond), 1u);
}

TEST(Limiter, ASuccessorCountsWhatItsPredecessorMayHaveGranted) {
  Limiter limiter(10, kStart);
  EXPECT_EQ(limiter.take(1, kStart + kSecond / 2), 0u);
  EXPECT_EQ(limiter.take(20, kStart + kSecond + 2 * Limiter::kSlice), 10u);
}

class Limits : public testing::Test {
 protected:
  std::future<net::HttpResponse> acquire(const std::string& name, const std::string& body) {
    auto promise = std::make_shared<std::promise<net::HttpResponse>>();
    service.acquire(name, body, net::Responder([promise](net::HttpResponse response) {
                      promise->set_value(std::move(response));
                    }));
    return promise->get_future();
  }
  telemetry::Registry registry;
  LimitService service{3, registry};
};

TEST_F(Limits, AnswersWhoLeadsOnly) {
  EXPECT_EQ(acquire("a", "{}").get().status, 503);
  service.lead({{"a", 1'000}});
  EXPECT_EQ(acquire("b", "{}").get().status, 404);
  EXPECT_EQ(acquire("a", R"({"permits":0})").get().status, 400);
  EXPECT_EQ(acquire("a", R"({"permits":1,"waitMs":5001})").get().status, 400);
  EXPECT_EQ(acquire("a", R"([])").get().status, 400);
  // Its predecessor may have granted everything within the last second.
  const net::HttpResponse waited = acquire("a", R"({"permits":2,"waitMs":5000})").get();
  EXPECT_EQ(waited.status, 200);
  EXPECT_EQ(waited.body, "{\"granted\":2,\"leaseMs\":1000}\n");
  service.resign();
  EXPECT_EQ(acquire("a", "{}").get().status, 503);
}

TEST_F(Limits, RefusesAfterTheWaitAndWhenTooManyWait) {
  service.lead({{"a", 0}});
  EXPECT_EQ(acquire("a", "").get().status, 429);
  std::vector<std::future<net::HttpResponse>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(acquire("a", R"({"waitMs":100})"));
  }
  EXPECT_EQ(acquire("a", R"({"waitMs":100})").get().status, 503);
  for (auto& one : waiting) {
    EXPECT_EQ(one.get().status, 429);
  }
}

TEST_F(Limits, WakesWhoWaitsWhenTheRateRises) {
  service.lead({{"a", 0}});
  auto waiting = acquire("a", R"({"waitMs":5000})");
  service.set_rate("a", 1'000);
  EXPECT_EQ(waiting.get().status, 200);
}

}  // namespace
}  // namespace naru::alerting
