#include "prepper/write/node_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "prepper/write/batch_size.h"

namespace naru::prepper {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
const std::vector<BulkNode> kTwoZones = {
    {"http://a1", "dc1"}, {"http://a2", "dc1"}, {"http://b1", "dc2"}, {"http://b2", "dc2"}};

NodePool two_zones(std::string zone = "dc1") {
  NodePool pool({.in_flight_max = 3, .zone = std::move(zone)}, {"http://seed"});
  pool.discovered(kTwoZones);
  return pool;
}

TEST(NodePool, UsesItsZoneFirstAndOthersWhenItIsBusy) {
  NodePool pool = two_zones();
  std::multiset<std::string> used;
  for (int i = 0; i < 8; ++i) {
    const auto lease = pool.take();
    ASSERT_TRUE(lease);
    EXPECT_EQ(lease->url.starts_with("http://a"), i < 4) << i;
    used.insert(lease->url);
  }
  EXPECT_EQ(used, (std::multiset<std::string>{"http://a1", "http://a1", "http://a2", "http://a2", "http://b1",
                                              "http://b1", "http://b2", "http://b2"}));
  EXPECT_FALSE(pool.take());
}

TEST(NodePool, LeavesASenderToTheOthersWhenANodeHangs) {
  NodePool pool({.in_flight_max = 4, .zone = "near"}, {"http://seed"});
  pool.discovered({{"http://hangs", "near"}, {"http://other", "far"}});
  std::map<std::string, int> used;
  for (int i = 0; i < 4; ++i) {
    ++used[pool.take()->url];
  }
  EXPECT_EQ(used, (std::map<std::string, int>{{"http://hangs", 3}, {"http://other", 1}}));
}

TEST(NodePool, SpreadsOverAllWithoutAZone) {
  NodePool pool = two_zones("");
  std::map<std::string, int> used;
  for (int i = 0; i < 400; ++i) {
    const auto lease = *pool.take();
    ++used[lease.url];
    pool.answered(lease, 0.1, 5 << 20);
  }
  for (const auto& [url, times] : used) {
    EXPECT_EQ(times, 100) << url;
  }
  EXPECT_FALSE(used.contains("http://seed"));
}

TEST(NodePool, LeavesAFailedNodeAloneUntilASmallRequestSucceeds) {
  NodePool pool = two_zones();
  for (const char* url : {"http://a1", "http://a2"}) {
    const auto lease = *pool.take();
    EXPECT_EQ(lease.url, url);
    pool.failed(lease, kSecond);
  }
  EXPECT_TRUE(pool.any_works());
  EXPECT_TRUE(pool.take()->url.starts_with("http://b"));
  EXPECT_FALSE(pool.take_retry(kSecond));
  EXPECT_EQ(pool.retry_at(), 2 * kSecond);
  const auto first = *pool.take_retry(2 * kSecond);
  EXPECT_FALSE(pool.take_retry(2 * kSecond)) << "one at a time: each may keep a thread for seconds";
  EXPECT_TRUE(pool.take()->url.starts_with("http://b")) << "no batch before it is known to answer";
  pool.asked(first);
  const auto second = *pool.take_retry(2 * kSecond);
  EXPECT_NE(first.url, second.url);
  pool.failed(second, 3 * kSecond);
  EXPECT_EQ(pool.take()->url, first.url);
  EXPECT_EQ(pool.retry_at(), 5 * kSecond) << "twice as long";
}

TEST(NodePool, GoesBackToTheSeedsWhenNoListedNodeAnswers) {
  NodePool pool = two_zones();
  for (int i = 0; i < 4; ++i) {
    pool.failed(*pool.take(), kSecond);
  }
  EXPECT_EQ(pool.take()->url, "http://seed");
  pool.asked(*pool.take_retry(3 * kSecond));
  EXPECT_NE(pool.take()->url, "http://seed");
}

TEST(NodePool, TriesEverySecondWhileNoNodeWorks) {
  NodePool pool({.in_flight_max = 1, .zone = ""}, {"http://only"});
  std::uint64_t now = kSecond;
  pool.failed(*pool.take(), now);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(pool.retry_at(), now + kSecond) << i;
    now += kSecond;
    pool.failed(*pool.take_retry(now), now);
  }
  pool.asked(*pool.take_retry(now + kSecond));
  EXPECT_TRUE(pool.take());
}

TEST(NodePool, FollowsTheClustersList) {
  NodePool pool = two_zones();
  const auto held = *pool.take();
  EXPECT_EQ(held.url, "http://a1");
  pool.discovered({{"http://b1", "dc2"}, {"http://seed", "dc1"}});
  pool.answered(held, 1, 1);  // a node that is gone: nothing happens
  EXPECT_EQ(pool.take()->url, "http://seed");
  pool.discovered({});
  EXPECT_EQ(pool.states().size(), 1u);
  EXPECT_EQ(pool.states()[0].url, "http://seed");
}

TEST(NodePool, GivesAnOverloadedNodeLess) {
  NodePool pool({.in_flight_max = 8, .zone = ""}, {"http://x", "http://y"});
  const auto lease = *pool.take();
  pool.overloaded(lease);
  std::map<std::string, int> used;
  while (const auto next = pool.take()) {
    ++used[next->url];
  }
  EXPECT_EQ(used[lease.url], 4);
  EXPECT_EQ(used.size(), 2u);
  EXPECT_TRUE(pool.any_works());
}

TEST(BatchSize, FindsWhereBytesPassFastest) {
  BatchSize size(5 << 20, 15 << 20);
  const auto rate = [](double bytes) {
    return bytes < (9 << 20) ? bytes : (18 << 20) - bytes;
  };  // best at 9 MiB
  double sum = 0;
  for (int i = 0; i < 8'000; ++i) {
    const std::size_t now = size.now()->load();
    ASSERT_GE(now, 5u << 20);
    ASSERT_LE(now, 15u << 20);
    size.answered(now, static_cast<double>(now) / rate(static_cast<double>(now)));
    sum += i >= 4'000 ? static_cast<double>(now) : 0;
  }
  EXPECT_NEAR(sum / 4'000 / (1 << 20), 9, 1.5);
}

TEST(BatchSize, HalvesOnRefusalAndComesBack) {
  BatchSize size(5 << 20, 15 << 20);
  size.refused();
  size.refused();
  EXPECT_EQ(size.now()->load(), (5u << 20) / 4);
  for (int i = 0; i < 100; ++i) {
    size.refused();
  }
  EXPECT_EQ(size.now()->load(), 64u << 10);
  for (int i = 0; i < 16 * 8; ++i) {
    size.answered(size.now()->load(), 0.1);
  }
  EXPECT_GE(size.now()->load(), 5u << 20);
  const std::size_t before = size.now()->load();
  for (int i = 0; i < 1'000; ++i) {
    size.answered(100, 0.1);  // sent by the linger, not full
  }
  EXPECT_EQ(size.now()->load(), before);
}

}  // namespace
}  // namespace naru::prepper
