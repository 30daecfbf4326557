#include "core/base/periodic.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>

namespace naru {
namespace {

using std::chrono::milliseconds;

TEST(Periodic, BeginsWhenItIsAskedTo) {
  std::atomic<int> later{0}, at_once{0};
  const Periodic one(std::chrono::hours{1}, [&] { ++later; });
  const Periodic other(std::chrono::hours{1}, [&] { ++at_once; }, Periodic::First::kAtOnce);
  while (at_once == 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(later, 0);
  EXPECT_EQ(at_once, 1);
}

TEST(Periodic, GoesOnUntilItsEndAndWaitsForTheLast) {
  std::atomic<int> begun{0}, ended{0};
  {
    const Periodic one(milliseconds{1}, [&] {
      ++begun;
      std::this_thread::sleep_for(milliseconds{2});
      ++ended;
    });
    while (begun < 5) {
      std::this_thread::yield();
    }
  }
  const int at_end = begun;
  EXPECT_EQ(ended, at_end);
  std::this_thread::sleep_for(milliseconds{20});
  EXPECT_EQ(begun, at_end);
}

// Ten that take a while end together, not one after the other.
TEST(Periodic, SeveralAreAskedToStopBeforeTheFirstIsWaitedFor) {
  std::atomic<int> at_work{0}, calls{0};
  std::atomic<bool> go{false};
  std::deque<Periodic> all;
  for (int i = 0; i < 10; ++i) {
    all.emplace_back(
        milliseconds{1},
        [&] {
          ++calls;
          ++at_work;
          while (!go) {
            std::this_thread::yield();
          }
        },
        Periodic::First::kAtOnce);
  }
  while (at_work < 10) {
    std::this_thread::yield();
  }
  for (Periodic& one : all) {
    one.ask_to_stop();
  }
  go = true;
  all.clear();
  EXPECT_EQ(calls, 10);  // none began again
}

}  // namespace
}  // namespace naru
