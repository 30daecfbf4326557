#include "prepper/consume/lanes.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace naru::prepper {
namespace {

TEST(Lanes, GiveAnyWorkerWhatHasWaitedLongestWithoutOrder) {
  Lanes<int> lanes(3, Order::kNone);
  lanes.put("a", 1);
  lanes.put("a", 2);
  lanes.put("", 3);
  EXPECT_EQ(lanes.size(), 3u);
  EXPECT_EQ(lanes.take(2), 1);
  EXPECT_EQ(lanes.take(0), 2);
  EXPECT_EQ(lanes.take(1), 3);
  EXPECT_EQ(lanes.take(1), std::nullopt);
}

TEST(Lanes, GiveRecordsWithoutAKeyToAnyWorkerAlsoBesideABusyLane) {
  Lanes<std::string> lanes(2, Order::kKey);
  lanes.put("k", "k1");
  lanes.put("", "free");
  lanes.put("k", "k2");
  const std::size_t of_k = xxh3_64("k") % 2;
  EXPECT_EQ(lanes.take(of_k), "k1");
  EXPECT_EQ(lanes.take(of_k), "free");  // it waits longer than k2
  EXPECT_FALSE(lanes.has(1 - of_k));
  EXPECT_EQ(lanes.take(1 - of_k), std::nullopt);
  EXPECT_TRUE(lanes.has(of_k));
  EXPECT_EQ(lanes.take(of_k), "k2");
  lanes.put("k", "k3");
  lanes.clear();
  EXPECT_EQ(lanes.size(), 0u);
  EXPECT_FALSE(lanes.has(of_k));
}

// Workers take and end at random: no message is lost or given twice, and in key order no two of one key are
// under way at once, nor out of turn.
TEST(Lanes, KeepTheOrderOfEachKeyUnderRandomTurns) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const std::size_t workers = 1 + random() % 6;
    Lanes<std::pair<int, int>> lanes(workers, Order::kKey);  // key, number
    std::map<int, int> put, ended;
    std::map<std::size_t, std::pair<int, int>> busy;
    int open = 0;
    for (int step = 0; step < 600 || open > 0; ++step) {
      ASSERT_LT(step, 100'000);
      const std::size_t worker = random() % workers;
      if (step < 600 && random() % 2 == 0) {
        const int key = static_cast<int>(random() % 9);
        lanes.put("key" + std::to_string(key), {key, put[key]++});
        ++open;
      } else if (const auto at = busy.find(worker); at != busy.end()) {
        EXPECT_EQ(ended[at->second.first]++, at->second.second);
        busy.erase(at);
        --open;
      } else if (const auto message = lanes.take(worker)) {
        for (const auto& [other, running] : busy) {
          EXPECT_NE(running.first, message->first) << "two of a key at once";
        }
        busy.emplace(worker, *message);
      }
    }
    EXPECT_EQ(put, ended);
    EXPECT_EQ(lanes.size(), 0u);
  }
}

}  // namespace
}  // namespace naru::prepper
